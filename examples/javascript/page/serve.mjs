// node page/serve.mjs [--listen HOST:PORT]: the page, its modules and the component, as static files.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { addressOfArguments, serve } from "../listen.mjs";

const FOLDER = new URL("../", import.meta.url);

/** All that the page needs; nothing else is served. */
const FILES = [
  "page/index.html",
  "page/page.css",
  "page/page.mjs",
  "greeting.mjs",
  "generated/greeting/greeting.js",
  "generated/greeting/greeting.core.wasm",
];

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  // Browsers compile WebAssembly of this type while it arrives.
  ".wasm": "application/wasm",
};

const address = addressOfArguments();
const files = new Map();
for (const name of FILES) {
  const content = await readFile(new URL(name, FOLDER)).catch(() => {
    console.error(`there is no ${name}: run \`node examples/javascript/transpile.mjs\``);
    process.exit(1);
  });
  files.set(`/${name}`, { type: TYPES[extname(name)], content });
}
files.set("/page/", files.get("/page/index.html"));

const server = createServer((request, response) => {
  const [pathname] = request.url.split("?");
  const file = files.get(pathname);
  if (!["GET", "HEAD"].includes(request.method)) {
    response.writeHead(405, { allow: "GET, HEAD" }).end();
  } else if (pathname === "/") {
    response.writeHead(302, { location: "/page/" }).end();
  } else if (file === undefined) {
    response.writeHead(404).end();
  } else {
    // What a page cannot say of itself.
    const policy = { "content-security-policy": "frame-ancestors 'none'", "x-content-type-options": "nosniff" };
    response.writeHead(200, { "content-type": file.type, "content-length": file.content.length, ...policy });
    response.end(file.content);
  }
});
serve(server, address);
