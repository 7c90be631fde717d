// One request on its way to an instance, and the answer on its way back.

import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";

/** So long nothing may move between this server and an instance: more than the 10 s that a source of people may take. */
const IDLE_MS = 15_000;

/** So long the whole exchange may take: a million people are streamed in less. */
const EXCHANGE_MS = 15 * 60_000;

/** So much of an answer is kept for a slow client, which then occupies no instance: more than any file of the pages. */
const MAX_KEPT_BYTES = 2 * 1024 * 1024;

/** Headers of one connection (RFC 9110, 7.6.1). */
const OF_ONE_CONNECTION = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];

/** Headers that stay here: `node:http` has answered `expect`. */
const NOT_SENT_ON = new Set([...OF_ONE_CONNECTION, "expect"]);

/** Headers that stay here: `node:http` encodes the body as the version of the client's HTTP has it. */
const NOT_SENT_BACK = new Set([...OF_ONE_CONNECTION, "transfer-encoding"]);

/**
 * Sends `request`, of whose body `first` was received already, to `instance`, and its answer to `response`.
 *
 * In the result, `problem` names what the client has to be told, if it was told nothing yet. `isClean` says whether
 * the component has handled the request to its end, so that the instance may have another one.
 */
export async function forward(instance, request, first, response) {
  let problem = "internal";
  const giveUp = () => {
    problem = "timeout";
    instance.giveUp();
  };
  // A connection of its own: preview2-shim does not read the rest of a body that the component leaves, and another request
  // would wait behind it. It is kept alive until the component has ended: it may write longer than the answer to HEAD is.
  const agent = new Agent({ keepAlive: true });
  const onward = httpRequest({
    agent,
    host: "127.0.0.1",
    port: instance.port,
    method: request.method,
    path: request.url,
    headers: requestHeaders(request),
    timeout: IDLE_MS,
  });
  onward.once("timeout", giveUp);
  const handled = instance.handled();
  handled.then((isClean) => isClean || onward.destroy());
  const isAnswered = await within(EXCHANGE_MS, giveUp, exchange(request, first, onward, response));
  const isClean = await within(IDLE_MS, giveUp, handled);
  agent.destroy();
  if (isAnswered) {
    return { isClean };
  }
  if (response.headersSent) {
    response.destroy();
    return { isClean };
  }
  return { isClean, problem };
}

/** The outcome of `promise`. After `time`, `giveUp` is called, which makes an end of it. */
async function within(time, giveUp, promise) {
  const timer = setTimeout(giveUp, time);
  const outcome = await promise;
  clearTimeout(timer);
  return outcome;
}

/** Whether all of the answer was received. If not, the instance has ended, or the client has gone while it sent. */
async function exchange(request, first, onward, response) {
  // One before the answer is thrown below. One after it concerns a body that nobody reads.
  onward.on("error", () => {});
  try {
    sendBody(request, first, onward);
    const [answer] = await once(onward, "response");
    response.writeHead(answer.statusCode, without(NOT_SENT_BACK, answer.rawHeaders));
    await sendAnswer(answer, response);
    return true;
  } catch {
    return false;
  } finally {
    // What the component has not read of the body is discarded, so that the client can send its next request.
    request.unpipe(onward);
    request.resume();
  }
}

/** Those of the request. HTTP/1.0 needs no `host`, but the server of the instance does. */
function requestHeaders(request) {
  const headers = without(NOT_SENT_ON, request.rawHeaders);
  return request.headers.host === undefined ? [...headers, "Host", "localhost"] : headers;
}

/** The headers of `raw` (names and values in turn) but for those of `names`. */
function without(names, raw) {
  return raw.filter((_, index) => !names.has(raw[index - (index % 2)].toLowerCase()));
}

function sendBody(request, first, onward) {
  first.forEach((chunk) => onward.write(chunk));
  if (request.readableEnded) {
    onward.end();
    return;
  }
  request.pipe(onward);
  // A client that has gone leaves a body that is not complete.
  request.once("close", () => request.complete || onward.destroy());
}

async function sendAnswer(answer, response) {
  const kept = new PassThrough({ highWaterMark: MAX_KEPT_BYTES });
  answer.pipe(kept);
  // If the client has gone, the rest is read all the same, so that the instance ends the request.
  const discard = () => kept.resume();
  if (response.destroyed) {
    discard();
  } else {
    kept.pipe(response);
    response.once("close", discard);
  }
  await finished(answer);
}
