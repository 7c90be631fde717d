// `wasi:keyvalue/store` and `wasi:keyvalue/batch@0.2.0-draft2` by the same store.

import { LABEL } from "./key-value.mjs";

export function wasiKeyValue(store) {
  class Bucket {
    get(key) {
      return store.getMany([key])[0];
    }

    set(key, value) {
      store.setMany([[key, value]]);
    }

    delete(key) {
      store.deleteMany([key]);
    }

    exists(key) {
      return this.get(key) !== undefined;
    }

    /** All of them are one page, for the store is bounded. */
    listKeys() {
      return { keys: store.keys(), cursor: undefined };
    }
  }

  function open(identifier) {
    if (identifier !== LABEL) {
      throw { tag: "no-such-store" };
    }
    return new Bucket();
  }

  const batch = {
    getMany(_bucket, keys) {
      const values = store.getMany(keys);
      return keys.map((key, index) => [key, values[index]]);
    },
    setMany(_bucket, pairs) {
      store.setMany(pairs);
    },
    deleteMany(_bucket, keys) {
      store.deleteMany(keys);
    },
  };
  return { "wasi:keyvalue/store": { Bucket, open }, "wasi:keyvalue/batch": batch };
}
