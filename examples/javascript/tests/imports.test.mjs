// What the host gives to the component, interface by interface.

import assert from "node:assert/strict";
import { test } from "node:test";
import { keyValue } from "../server/imports/key-value.mjs";
import { Connection } from "../server/imports/postgres.mjs";
import { Variables } from "../server/imports/variables.mjs";
import { wasiKeyValue } from "../server/imports/wasi-key-value.mjs";
import { MemoryStore } from "../server/memory-store.mjs";

const ONE = new Uint8Array([1]);
const TWO = new Uint8Array([2]);

/** What is thrown is a value of the WIT, and no Error: that would be a trap. */
function checkRefused(call, expected) {
  assert.throws(call, (error) => {
    assert.deepEqual(error, expected);
    return !(error instanceof Error);
  });
}

test("fermyon:spin/key-value is the store", () => {
  const { Store } = keyValue(new MemoryStore());
  const store = Store.open("default");
  store.set("a", ONE);
  assert.deepEqual([store.get("a"), store.get("b")], [ONE, undefined]);
  assert.deepEqual([store.exists("a"), store.exists("b")], [true, false]);
  assert.deepEqual(store.getKeys(), ["a"]);
  store.delete("a");
  assert.deepEqual(store.getKeys(), []);
});

test("wasi:keyvalue is the same store", () => {
  const shared = new MemoryStore();
  keyValue(shared).Store.open("default").set("a", ONE);
  const { "wasi:keyvalue/store": single, "wasi:keyvalue/batch": batch } = wasiKeyValue(shared);
  const bucket = single.open("default");
  assert.deepEqual([bucket.get("a"), bucket.exists("b")], [ONE, false]);
  bucket.set("b", ONE);
  batch.setMany(bucket, [["b", TWO], ["c", TWO]]);
  assert.deepEqual(batch.getMany(bucket, ["c", "x"]), [["c", TWO], ["x", undefined]]);
  assert.deepEqual(bucket.listKeys(), { keys: ["a", "b", "c"], cursor: undefined });
  bucket.delete("a");
  batch.deleteMany(bucket, ["b", "x"]);
  assert.deepEqual(bucket.listKeys().keys, ["c"]);
});

test("there is one store", () => {
  const store = new MemoryStore();
  checkRefused(() => keyValue(store).Store.open("other"), { tag: "no-such-store" });
  checkRefused(() => wasiKeyValue(store)["wasi:keyvalue/store"].open("other"), { tag: "no-such-store" });
});

test("variables are those of the environment", () => {
  const { get } = new Variables({ SPIN_VARIABLE_TIMEZONE: "Europe/Berlin", HOME: "/root" });
  assert.equal(get("timezone"), "Europe/Berlin");
  checkRefused(() => get("home"), { tag: "undefined", val: "home" });
  for (const name of ["", "TIMEZONE", "time zone", "time__zone", "_zone", "1zone"]) {
    checkRefused(() => get(name), { tag: "invalid-name", val: name });
  }
});

test("Postgres is refused by the WIT's error", () => {
  const refusal = { tag: "other", val: "this host has no Postgres: leave the variable empty" };
  checkRefused(() => Connection.open("postgres://db"), refusal);
  checkRefused(() => Connection.prototype.query("SELECT 1", []), refusal);
  checkRefused(() => Connection.prototype.execute("SELECT 1", []), refusal);
});
