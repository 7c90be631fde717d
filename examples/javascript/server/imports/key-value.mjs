// `fermyon:spin/key-value@2.0.0` by the store.

/** The only store, and its label in every runtime. */
export const LABEL = "default";

/** The interface. An error of its WIT is thrown as a value; what is an `Error` is a trap. */
export function keyValue(store) {
  class Store {
    static open(label) {
      if (label !== LABEL) {
        throw { tag: "no-such-store" };
      }
      return new Store();
    }

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

    getKeys() {
      return store.keys();
    }
  }
  return { Store };
}
