// A key-value store that fails for some people, in every way that JavaScript has.

import { makeImports as makeAll } from "../../server/imports/index.mjs";

const FAILURES = {
  "people/wit": () => {
    throw { tag: "other", val: "a value of the WIT" };
  },
  "people/error": () => {
    throw new TypeError(`no value of the WIT\n${"x".repeat(10_000)}`);
  },
  "people/text": () => {
    throw "a text";
  },
  "people/wrong": () => 7,
  "people/exit": () => process.exit(3),
  "people/block": () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
};

export function makeImports(store) {
  const imports = makeAll(store);
  const { Store } = imports["fermyon:spin/key-value"];
  const get = Store.prototype.get;
  Store.prototype.get = function (key) {
    return FAILURES[key]?.() ?? get.call(this, key);
  };
  return imports;
}
