// One instance of the component: a thread, because calls of the component's imports block it.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { serveStore } from "./store-server.mjs";

/** So long a start may take: it takes about 1 s. */
const START_MS = 15_000;

/** So many characters of a reason are logged. */
const MAX_REASON = 300;

/** That of a thread that was stopped, or has ended by an error, which is logged by itself. */
const EXIT_ERROR = 1;

const WORKER = new URL("worker.mjs", import.meta.url);

export class Instance {
  /** Where it takes requests, on the loopback interface. */
  port;
  /** So many requests it was given. */
  requests = 0;
  /** Whether its thread has ended. */
  hasEnded = false;
  #worker;
  #log;
  #settle;

  /** Starts an instance. It fails with what the thread throws before it is ready, or if it is not ready in time. */
  static async start({ component, imports, store, log }) {
    const { port, signal } = serveStore(store);
    const workerData = { component, imports: String(imports), store: { port, signal } };
    // The component sees the variables that `imports` gives it, and no environment.
    const worker = new Worker(WORKER, { workerData, transferList: [port] });
    let late;
    const timer = setTimeout(() => {
      late = `the thread is not ready after ${START_MS} ms`;
      worker.terminate();
    }, START_MS);
    const ended = once(worker, "exit").then(([code]) => {
      throw new Error(late ?? `the thread has ended with exit code ${code}`);
    });
    try {
      const [{ listening }] = await Promise.race([once(worker, "message"), ended]);
      return new Instance(worker, listening, log);
    } finally {
      clearTimeout(timer);
    }
  }

  constructor(worker, port, log) {
    this.#worker = worker;
    this.#log = log;
    this.port = port;
    worker.on("message", () => this.#settle?.(true));
    worker.once("error", (error) => log(`an instance has ended: ${reason(error)}`));
    worker.once("exit", (code) => {
      this.hasEnded = true;
      if (code !== EXIT_ERROR) {
        log(`an instance has ended: exit code ${code}`);
      }
      this.#settle?.(false);
    });
  }

  /**
   * Whether the component handles the request that comes now to its end. It is `false` once the thread has ended before,
   * and the log has why.
   */
  handled() {
    this.requests += 1;
    return new Promise((resolve) => (this.#settle = resolve));
  }

  /** Ends it, because a request takes too long. */
  giveUp() {
    this.#log("an instance was stopped: a request took too long");
    this.stop();
  }

  /** Ends it, whatever it does. */
  stop() {
    return this.#worker.terminate();
  }
}

/** One line, of bounded length. */
function reason(error) {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.replace(/\p{Cc}+/gu, " ").slice(0, MAX_REASON);
}
