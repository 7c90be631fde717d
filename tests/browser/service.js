// A host of its own for the tests of a file, with people in memory.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BINARY = process.env.BIRTHDAY_HOST_BINARY ?? "target/release/birthday-host";

/** Starts a host with these variables; `stop()` ends it. */
export async function startService(variables = {}) {
  const options = ["--listen", "127.0.0.1:0", "--admin", "off", "--key-value", "memory"];
  for (const [name, value] of Object.entries(variables)) {
    options.push("--variable", `${name}=${value}`);
  }
  const env = { ...process.env, RUST_LOG: "warn" };
  const host = spawn(BINARY, options, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => host.once("close", resolve));
  const failed = new Promise((_, reject) => host.once("error", reject));
  const stop = async () => {
    host.kill("SIGKILL");
    await ended;
  };
  const url = await Promise.race([address(host.stdout), failed]);
  return { url, stop, ask: (method, path, body) => ask(url + path, method, body) };
}

/** The address that the host prints when it listens. */
async function address(output) {
  let text = "";
  for await (const chunk of output) {
    text += chunk;
    const found = /listening on (http:\/\/[^\s]+)/.exec(text);
    if (found) {
      return found[1].replace(/\/$/, "");
    }
  }
  throw new Error(`the host has ended: ${text}`);
}

async function ask(url, method, body) {
  const response = await fetch(url, { method, body });
  assert.ok(response.ok, `${method} ${url}: ${response.status}`);
  return response.status === 204 ? null : response.json();
}
