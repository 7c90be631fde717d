// `node:http` in front of the instances: receives a request, gives it to an idle instance, and sends the answer.

import { createServer } from "node:http";
import { forward } from "./forward.mjs";
import { sendProblem } from "./problem.mjs";

/** So many clients may be connected; for each at most 2 MiB of an answer are kept. */
const MAX_CONNECTIONS = 256;

/** So many bytes of a body are received before an instance is taken, so that none waits for a small body. */
const MAX_FIRST_BYTES = 16 * 1024;

/** So long head and body of a request may take together; then `node:http` answers 408. */
const RECEIVE_MS = 300_000;

/** A server that has every request answered by an instance of `pool`. */
export function createComponentServer(pool) {
  const server = createServer({ requestTimeout: RECEIVE_MS }, (request, response) => {
    answer(pool, request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

/** Answers one request of `node:http`. A program with routes of its own calls this for the others. */
export async function answer(pool, request, response) {
  let first;
  try {
    first = await receiveFirst(request);
  } catch {
    // The client has gone.
    return response.destroy();
  }
  const instance = await pool.acquire();
  if (instance === undefined) {
    return sendProblem(response, "overloaded");
  }
  if (response.destroyed) {
    // The client has gone meanwhile.
    return pool.release(instance, true);
  }
  const outcome = await forward(instance, request, first, response);
  if (outcome.problem !== undefined) {
    sendProblem(response, outcome.problem);
  }
  pool.release(instance, outcome.isClean);
}

async function receiveFirst(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_FIRST_BYTES) {
      break;
    }
  }
  return chunks;
}
