// The bounds of the store.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryStore } from "../server/memory-store.mjs";
import { startService } from "./service.mjs";

const bytes = (text) => new TextEncoder().encode(text);

/** What does not fit is refused by the error of the WIT, and changes nothing. */
function checkFull(store, pairs) {
  const before = store.keys();
  assert.throws(() => store.setMany(pairs), { tag: "other", val: /^the store is full: / });
  assert.deepEqual(store.keys(), before);
}

test("values are read, replaced and deleted", () => {
  const store = new MemoryStore();
  store.setMany([["a", bytes("1")], ["b", bytes("2")], ["a", bytes("3")]]);
  assert.deepEqual(store.getMany(["b", "x", "a"]), [bytes("2"), undefined, bytes("3")]);
  store.deleteMany(["a", "x"]);
  assert.deepEqual(store.keys(), ["b"]);
});

test("entries are bounded", () => {
  const store = new MemoryStore({ maxEntries: 2 });
  store.setMany([["a", bytes("1")], ["b", bytes("2")]]);
  checkFull(store, [["c", bytes("3")]]);
  store.setMany([["a", bytes("replaced")]]);
  store.deleteMany(["b"]);
  store.setMany([["c", bytes("3")]]);
});

test("bytes are bounded, those of keys and values together", () => {
  const store = new MemoryStore({ maxBytes: 10 });
  store.setMany([["ä", bytes("12345678")]]);
  checkFull(store, [["b", bytes("")]]);
  checkFull(store, [["ä", bytes("123456789")]]);
  store.setMany([["ä", bytes("1")]]);
  store.setMany([["b", bytes("123456")]]);
  checkFull(store, [["c", bytes("")]]);
});

test("a full store takes no more people, and still has the others", async () => {
  const service = await startService({ store: new MemoryStore({ maxEntries: 1 }) });
  const put = (name) => service.ask("PUT", `/hello/${name}`, { body: '{"dateOfBirth":"2000-10-01"}' });
  try {
    assert.equal((await put("bob")).status, 204);
    assert.equal((await put("ann")).status, 503);
    assert.equal((await put("bob")).status, 204);
    assert.equal((await service.ask("GET", "/hello/bob")).status, 200);
  } finally {
    await service.stop();
  }
});
