// node server/serve.mjs [--listen HOST:PORT]

import { availableParallelism } from "node:os";
import { addressOfArguments, serve } from "../listen.mjs";
import { MemoryStore } from "./memory-store.mjs";
import { Pool } from "./pool.mjs";
import { createComponentServer } from "./server.mjs";

/** Each instance has two threads, and about 40 MB. */
const MAX_INSTANCES = 4;

const address = addressOfArguments();
try {
  const instances = Math.min(availableParallelism(), MAX_INSTANCES);
  const pool = await Pool.start({ instances, store: new MemoryStore() });
  serve(createComponentServer(pool), address);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
