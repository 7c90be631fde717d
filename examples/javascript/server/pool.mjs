// The instances of the component, each of which handles one request at a time.

import { loadComponent } from "./component.mjs";
import { Instance } from "./instance.mjs";

/** So many requests may wait for an instance; each keeps at most 16 KiB of its body. */
const MAX_WAITING = 1_024;

/** So long a request waits. */
const WAIT_MS = 10_000;

/** So many requests an instance handles before another one takes its place: the shim keeps a little of each request. */
const MAX_REQUESTS = 2_000;

/** So long after a failed start the next one is tried. */
const RESTART_MS = 1_000;

const IMPORTS = new URL("imports/index.mjs", import.meta.url);

export class Pool {
  #start;
  #log;
  #all = new Set();
  #idle = [];
  #waiting = [];
  #isClosed = false;

  /**
   * Starts `instances` instances. `store` has the data of all of them. `imports` is the URL of the module that gives an
   * instance its imports (as `imports/index.mjs`), and `log` takes a line.
   *
   * It fails if the first instances do not start, such as for an import that is not given.
   */
  static async start({ instances, store, imports = IMPORTS, log = console.error }) {
    const component = await loadComponent();
    const start = () => Instance.start({ component, imports, store, log });
    const started = await Promise.all(Array.from({ length: instances }, start));
    return new Pool(started, start, log);
  }

  constructor(instances, start, log) {
    this.#start = start;
    this.#log = log;
    instances.forEach((instance) => this.#add(instance));
  }

  /** An idle instance, or `undefined` if too many wait for one, or for too long. */
  acquire() {
    const instance = this.#idle.pop();
    if (instance?.hasEnded) {
      this.release(instance, false);
      return this.acquire();
    }
    if (instance !== undefined) {
      return Promise.resolve(instance);
    }
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.resolve(undefined);
    }
    return new Promise((resolve) => {
      const waiting = { resolve };
      waiting.timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        resolve(undefined);
      }, WAIT_MS);
      this.#waiting.push(waiting);
    });
  }

  /** Takes back an instance. If it has not ended its request cleanly, another one takes its place. */
  release(instance, isClean) {
    if (isClean && instance.requests < MAX_REQUESTS) {
      this.#give(instance);
    } else {
      instance.stop();
      this.#all.delete(instance);
      this.#replace();
    }
  }

  /** Ends all instances, whatever they do. */
  async close() {
    this.#isClosed = true;
    await Promise.all([...this.#all].map((instance) => instance.stop()));
  }

  #add(instance) {
    this.#all.add(instance);
    this.#give(instance);
  }

  #give(instance) {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#idle.push(instance);
    } else {
      clearTimeout(waiting.timer);
      waiting.resolve(instance);
    }
  }

  #replace() {
    if (this.#isClosed) {
      return;
    }
    this.#start().then(
      (instance) => (this.#isClosed ? instance.stop() : this.#add(instance)),
      (error) => {
        this.#log(`an instance does not start: ${error.message}`);
        setTimeout(() => this.#replace(), RESTART_MS).unref();
      },
    );
  }
}
