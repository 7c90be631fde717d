// What this server answers itself where the component cannot: problem documents (RFC 9457).

/** Seconds after which a refused client may try again. */
const RETRY_AFTER_SECONDS = "1";

const PROBLEMS = {
  internal: {
    status: 500,
    title: "The service failed",
    detail: "The request could not be answered; the log of the service says why.",
  },
  overloaded: {
    status: 503,
    title: "The service is busy",
    detail: "Too many requests are waiting. Try again in a moment.",
  },
  timeout: {
    status: 504,
    title: "The service took too long",
    detail: "The request was not answered in time, and was given up.",
  },
};

/** Ends `response`, of which nothing was sent yet, with the problem of this name. */
export function sendProblem(response, name) {
  const { status, title, detail } = PROBLEMS[name];
  const document = JSON.stringify({ type: `/problems/${name}`, title, status, detail });
  response.writeHead(status, {
    "content-type": "application/problem+json",
    "content-length": Buffer.byteLength(document),
    ...(name === "overloaded" && { "retry-after": RETRY_AFTER_SECONDS }),
  });
  response.end(document);
}
