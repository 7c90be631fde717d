// Imports and stores that fail: the request gets a clear error, and the next one is unharmed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryStore } from "../server/memory-store.mjs";
import { startService } from "./service.mjs";

const BORN = { body: '{"dateOfBirth":"2000-10-01"}' };
const THROWING = new URL("imports/throwing.mjs", import.meta.url);

async function withService(options, use) {
  const service = await startService(options);
  try {
    assert.equal((await service.ask("PUT", "/hello/bob", BORN)).status, 204);
    await use(service);
    assert.equal((await service.ask("GET", "/hello/bob")).status, 200, "the next request is unharmed");
  } finally {
    await service.stop();
  }
}

/** A store whose method `getMany` is `getMany`. */
function storeWith(getMany) {
  const store = new MemoryStore();
  const known = store.getMany.bind(store);
  store.getMany = (keys) => (keys.includes("people/bob") ? known(keys) : getMany(keys));
  return store;
}

async function checkProblem(service, path, status, name) {
  const answer = await service.ask("GET", path);
  assert.deepEqual(
    [answer.status, answer.type, answer.body.type, answer.body.status],
    [status, "application/problem+json", `/problems/${name}`, status],
  );
}

/** An import fails for this person. The log has this one line; with `null`, the host logs nothing. */
function checkImport(name, status, problem, line) {
  return withService({ imports: THROWING }, async (service) => {
    await checkProblem(service, `/hello/${name}`, status, problem);
    assert.equal(service.log.length, line === null ? 0 : 1);
    line && assert.match(service.log[0], line);
    assert.ok(service.log.every((line) => line.length < 400 && !line.includes("\n")));
  });
}

test("an error of the WIT is one to the component", () => checkImport("wit", 503, "store-unavailable", null));

test("an Error of JavaScript is a trap", () =>
  checkImport("error", 500, "internal", /^an instance has ended: TypeError: no value of the WIT x+$/));

test("what is no value of the WIT is a trap", () =>
  checkImport("text", 500, "internal", /^an instance has ended: TypeError: invalid variant tag value/));

test("a result that is no value of the WIT is a trap", () =>
  checkImport("wrong", 500, "internal", /^an instance has ended: /));

test("the end of the thread is a trap", () =>
  checkImport("exit", 500, "internal", /^an instance has ended: exit code 3$/));

test("a trap harms no request beside it", () =>
  withService({ imports: THROWING, instances: 2 }, async (service) => {
    const paths = Array.from({ length: 20 }, (_, index) => (index % 10 === 0 ? "/hello/error" : "/hello/bob"));
    const answers = await Promise.all(paths.map((path) => service.ask("GET", path)));
    const expected = paths.map((path) => (path === "/hello/error" ? 500 : 200));
    assert.deepEqual(answers.map(({ status }) => status), expected);
  }));

test("a call that never ends is given up", () =>
  checkImport("block", 504, "timeout", /^an instance was stopped: a request took too long$/));

test("a request that no instance is there for is told to come again", () =>
  withService({ imports: THROWING }, async (service) => {
    const blocked = service.ask("GET", "/hello/block");
    const waiting = await fetch(`${service.url}/health`);
    assert.deepEqual([waiting.status, waiting.headers.get("retry-after")], [503, "1"]);
    assert.equal((await waiting.json()).type, "/problems/overloaded");
    assert.equal((await blocked).status, 504);
  }));

test("a store that fails is unavailable", () => {
  const fail = () => {
    throw new Error("the disk is broken");
  };
  return withService({ store: storeWith(fail) }, (service) =>
    checkProblem(service, "/hello/ann", 503, "store-unavailable"),
  );
});

test("a store may answer later", () => {
  const later = async () => [new TextEncoder().encode("2000-10-01")];
  return withService({ store: storeWith(later) }, async (service) => {
    assert.equal((await service.ask("GET", "/hello/ann")).status, 200);
  });
});

test("a store that does not answer is unavailable", () =>
  withService({ store: storeWith(() => new Promise(() => {})) }, (service) =>
    checkProblem(service, "/hello/ann", 503, "store-unavailable"),
  ));

async function checkStart(imports, message) {
  await assert.rejects(startService({ imports }), { message });
}

test("a host without an import does not start, and names it", () =>
  checkStart(
    new URL("imports/missing.mjs", import.meta.url),
    "the component imports spin:postgres/postgres, which this host does not give",
  ));

test("a host whose imports cannot be loaded does not start", async () => {
  await checkStart("data:text/javascript,throw new Error('no disk')", "no disk");
  await checkStart("data:text/javascript,process.exit(3)", "the thread has ended with exit code 3");
  const blocked = "data:text/javascript,Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)";
  await checkStart(blocked, "the thread is not ready after 15000 ms");
});
