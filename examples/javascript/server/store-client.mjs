// An instance's side of the calls to the store. A call blocks the thread, as WIT has it.

import { receiveMessageOnPort } from "node:worker_threads";

/** So long a call may take. */
const CALL_MS = 5_000;

export class StoreClient {
  #port;
  #signal;
  #id = 0;

  constructor({ port, signal }) {
    this.#port = port;
    this.#signal = signal;
  }

  /** The values of `keys`, in their order; `undefined` for one that is not there. */
  getMany(keys) {
    return this.#call("getMany", keys);
  }

  /** Stores `[key, value]` pairs. */
  setMany(pairs) {
    return this.#call("setMany", pairs);
  }

  /** Removes those of `keys` that are there. */
  deleteMany(keys) {
    return this.#call("deleteMany", keys);
  }

  /** All keys, in any order. */
  keys() {
    return this.#call("keys");
  }

  #call(method, ...parameters) {
    const id = (this.#id += 1);
    this.#port.postMessage({ id, method, parameters });
    const deadline = performance.now() + CALL_MS;
    for (;;) {
      const seen = Atomics.load(this.#signal, 0);
      const answer = this.#received(id);
      if (answer !== undefined) {
        if (answer.error !== undefined) {
          throw answer.error;
        }
        return answer.value;
      }
      const rest = deadline - performance.now();
      if (rest <= 0 || Atomics.wait(this.#signal, 0, seen, rest) === "timed-out") {
        throw { tag: "other", val: `the store has not answered in ${CALL_MS} ms` };
      }
    }
  }

  /** The answer to this call, if it is there. Those to calls that were given up are dropped. */
  #received(id) {
    for (;;) {
      const message = receiveMessageOnPort(this.#port)?.message;
      if (message === undefined || message.id === id) {
        return message;
      }
    }
  }
}
