// A service for a test, in this process: the server, its instances, and what they have logged.

import { once } from "node:events";
import { MemoryStore } from "../server/memory-store.mjs";
import { Pool } from "../server/pool.mjs";
import { createComponentServer } from "../server/server.mjs";

/** Starts it; `ask` sends a request, `stop` ends it. With one instance, each request meets that of the last one. */
export async function startService({ instances = 1, store = new MemoryStore(), imports } = {}) {
  const log = [];
  const pool = await Pool.start({ instances, store, imports, log: (line) => log.push(line) });
  const server = createComponentServer(pool);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}`;
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await pool.close();
  };
  return { url, log, stop, ask: (method, path, options) => ask(method, url + path, options) };
}

async function ask(method, url, options) {
  const response = await fetch(url, { method, ...options });
  const body = await response.text();
  const type = response.headers.get("content-type");
  return { status: response.status, type, body: type?.includes("json") ? JSON.parse(body) : body };
}
