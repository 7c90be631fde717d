// `birthday.wasm` behind `node:http`. The contract itself is checked by the project's suite: see README.md.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { run, withServer } from "./process.mjs";
import { startService } from "./service.mjs";

const BORN = { body: '{"dateOfBirth":"2000-10-01"}' };

let service;
before(async () => {
  service = await startService();
});
after(() => service.stop());

/** Sends `text` as it is, and returns all that comes back until the connection is closed, at the latest after `time`. */
async function exchange(url, text, time = 10_000) {
  const socket = connect(new URL(url).port, "127.0.0.1");
  socket.setTimeout(time, () => socket.destroy());
  let answer = "";
  socket.on("data", (data) => (answer += data));
  socket.write(text);
  await once(socket, "close");
  return answer;
}

async function checkExchange(text, expected) {
  const answer = await exchange(service.url, text.replaceAll("\n", "\r\n"));
  assert.match(answer, expected);
  assert.equal((await service.ask("GET", "/health")).status, 200);
}

test("people survive from one instance to another", async () => {
  const many = await startService({ instances: 3 });
  try {
    assert.equal((await many.ask("PUT", "/hello/bob", BORN)).status, 204);
    const answers = await Promise.all(Array.from({ length: 30 }, () => many.ask("GET", "/hello/bob")));
    assert.ok(answers.every(({ status, body }) => status === 200 && body.message.startsWith("Hello, bob! ")));
  } finally {
    await many.stop();
  }
});

test("more requests than instances wait", async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, () => service.ask("GET", "/health")));
  assert.ok(answers.every(({ status }) => status === 200));
});

test("no request notices that its instance is replaced after 2,000 others", async () => {
  for (let sent = 0; sent < 2_100; sent += 100) {
    const answers = await Promise.all(Array.from({ length: 100 }, () => service.ask("GET", "/health")));
    assert.ok(answers.every(({ status }) => status === 200));
  }
});

test("a body may come in chunks, and after 100 Continue", async () => {
  const head = "PUT /hello/ann HTTP/1.1\nHost: a\nConnection: close\n";
  const { body } = BORN;
  await checkExchange(`${head}Transfer-Encoding: chunked\n\n1c\n${body}\n0\n\n`, /^HTTP\/1.1 204 /);
  await checkExchange(
    `${head}Expect: 100-continue\nContent-Length: 28\n\n${body}`,
    /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 204 /,
  );
});

test("a body that is not read harms nobody", async () => {
  await checkExchange(
    `PUT /nothing HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 300000\n\n${"x".repeat(300_000)}`,
    /^HTTP\/1.1 404 /,
  );
  const body = `{"dateOfBirth":"2000-10-01","rest":"${"x".repeat(500_000)}"}`;
  for (let sent = 0; sent < 50; sent += 1) {
    assert.equal((await service.ask("PUT", "/hello/ann", { body })).status, 413);
    assert.equal((await service.ask("GET", "/health")).status, 200);
  }
});

test("after a body that is not read, the connection has the next answer", () =>
  checkExchange(
    `PUT /hello/ann HTTP/1.1\nHost: a\nContent-Length: 5000000\n\n${"x".repeat(5_000_000)}` +
      "GET /health HTTP/1.1\nHost: a\nConnection: close\n\n",
    /^HTTP\/1.1 413 .*HTTP\/1.1 200 .*\{"status":"ok"\}$/s,
  ));

test("a client of HTTP/1.0 is answered", () => checkExchange("GET /health HTTP/1.0\n\n", /^HTTP\/1.1 200 /));

test("only a client of HTTP/1.1 is sent chunks", async () => {
  const people = '{"username":"ann","dateOfBirth":"2000-10-01"}\n';
  const authorization = "Bearer t0ken";
  await withServer("server/serve.mjs", { SPIN_VARIABLE_API_TOKEN: "t0ken" }, async (url) => {
    const headers = { authorization, "content-type": "application/x-ndjson" };
    assert.equal((await fetch(`${url}/populate`, { method: "POST", headers, body: people })).status, 200);
    const body = async (version) => {
      const head = `GET /export ${version}\r\nHost: a\r\nConnection: close\r\nAuthorization: ${authorization}\r\n\r\n`;
      return (await exchange(url, head)).split("\r\n\r\n").slice(1).join("\r\n\r\n");
    };
    assert.equal(await body("HTTP/1.0"), people);
    assert.equal(await body("HTTP/1.1"), `2e\r\n${people}\r\n0\r\n\r\n`);
  });
});

test("HEAD has the length and no content", () =>
  checkExchange(
    "HEAD /health HTTP/1.1\nHost: a\nConnection: close\n\n",
    /^HTTP\/1.1 200 (?=.*content-length: 15\r\n).*\r\n\r\n$/s,
  ));

test("clients that go while they send harm nobody", async () => {
  const head =
    "POST /populate HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t0ken\r\n" +
    "Content-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n";
  const ended = await withServer("server/serve.mjs", { SPIN_VARIABLE_API_TOKEN: "t0ken" }, async (url) => {
    const gone = Array.from({ length: 8 }, () => exchange(url, head + "\n".repeat(50_000), 500));
    assert.ok((await Promise.all(gone)).every((answer) => answer === ""));
    assert.equal((await fetch(`${url}/health`)).status, 200);
  });
  const line = "populate: the request body broke off: 0 were stored and 0 skipped before\n";
  assert.deepEqual(ended, { code: 0, log: line.repeat(2) });
});

test("a client that sends or reads slowly occupies no instance", async () => {
  const slow = [
    "PUT /hello/ann HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n{",
    "GET /docs HTTP/1.1\r\nHost: a\r\n\r\n",
  ];
  const sockets = slow.map((text) => {
    const socket = connect(new URL(service.url).port, "127.0.0.1").pause();
    socket.write(text);
    return socket;
  });
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  assert.equal((await service.ask("GET", "/health")).status, 200);
  sockets.forEach((socket) => socket.destroy());
});

test("variables are read from the environment, and SIGTERM ends the server", async () => {
  const variables = { SPIN_VARIABLE_API_TOKEN: "t0ken", SPIN_VARIABLE_TIMEZONE: "UTC" };
  const ended = await withServer("server/serve.mjs", variables, async (url) => {
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal((await fetch(`${url}/hello/bob`)).status, 401);
    const headers = { authorization: "Bearer t0ken" };
    assert.equal((await fetch(`${url}/hello/bob`, { headers })).status, 404);
  });
  assert.deepEqual(ended, { code: 0, log: "" });
});

test("a database is refused in the log, which does not have the password", async () => {
  const variables = { SPIN_VARIABLE_DATABASE_URL: "postgres://bob:s3cret@db/people" };
  const { log } = await withServer("server/serve.mjs", variables, async (url) => {
    const health = await fetch(`${url}/health`);
    assert.deepEqual([health.status, (await health.json()).type], [503, "/problems/misconfigured"]);
  });
  assert.equal(log, "database_url: this host has no Postgres: leave the variable empty\n");
});

test("a wrong command line is refused", async () => {
  for (const listen of ["3000", "127.0.0.1:70000", "127.0.0.1:x"]) {
    const { code, stderr } = await run("server/serve.mjs", "--listen", listen);
    assert.equal(code, 64);
    assert.match(stderr, /^--listen: .* is not of the form HOST:PORT\nusage: /);
  }
});
