// The store's side of the calls of one instance: the store is in the main thread, where all instances share it.

import { MessageChannel } from "node:worker_threads";

/**
 * Answers the calls that come to the returned `port`, and wakes the caller by `signal`. The methods of `store` may return
 * promises. What they throw becomes the WIT's error, `other`, unless it is one already.
 */
export function serveStore(store) {
  const { port1, port2 } = new MessageChannel();
  const signal = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  port1.on("message", async ({ id, method, parameters }) => {
    const outcome = await call(store, method, parameters);
    port1.postMessage({ id, ...outcome });
    Atomics.add(signal, 0, 1);
    Atomics.notify(signal, 0);
  });
  // A thread that is idle does not keep the process alive.
  port1.unref();
  return { port: port2, signal };
}

async function call(store, method, parameters) {
  try {
    return { value: await store[method](...parameters) };
  } catch (error) {
    return { error: error?.tag === undefined ? { tag: "other", val: String(error?.message ?? error) } : error };
  }
}
