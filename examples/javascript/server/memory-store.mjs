// The people, in the memory of this process: they live as long as it does.

/** So many people are in it at most; each takes about 700 bytes of memory. */
const MAX_ENTRIES = 100_000;

/** So many bytes have keys and values together at most. */
const MAX_BYTES = 16 * 1024 * 1024;

/** A bounded map from texts to bytes. What does not fit is refused by the error of the WIT, and changes nothing. */
export class MemoryStore {
  #values = new Map();
  #bytes = 0;
  #maxEntries;
  #maxBytes;

  constructor({ maxEntries = MAX_ENTRIES, maxBytes = MAX_BYTES } = {}) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  getMany(keys) {
    return keys.map((key) => this.#values.get(key));
  }

  /** Sets the pairs up to the first that does not fit, as `wasi:keyvalue/batch` allows. */
  setMany(pairs) {
    pairs.forEach(([key, value]) => this.#set(key, value));
  }

  deleteMany(keys) {
    keys.forEach((key) => this.#delete(key));
  }

  keys() {
    return [...this.#values.keys()];
  }

  #set(key, value) {
    const old = this.#values.get(key);
    const entries = this.#values.size + (old === undefined ? 1 : 0);
    const bytes = this.#bytes + size(key, value) - (old === undefined ? 0 : size(key, old));
    if (entries > this.#maxEntries || bytes > this.#maxBytes) {
      throw { tag: "other", val: `the store is full: ${this.#maxEntries} entries or ${this.#maxBytes} bytes` };
    }
    this.#values.set(key, value);
    this.#bytes = bytes;
  }

  #delete(key) {
    const old = this.#values.get(key);
    if (old !== undefined) {
      this.#values.delete(key);
      this.#bytes -= size(key, old);
    }
  }
}

function size(key, value) {
  return Buffer.byteLength(key) + value.byteLength;
}
