// `fermyon:spin/variables@2.0.0` by the environment: the variable `timezone` is SPIN_VARIABLE_TIMEZONE.

/** Words of lower-case letters and digits, each with a letter first, joined by underscores: the rule of Spin's manifest. */
const NAME = /^[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*$/;

export class Variables {
  #environment;

  constructor(environment) {
    this.#environment = environment;
    // The module that jco makes takes the function out of this object.
    this.get = this.get.bind(this);
  }

  get(name) {
    if (!NAME.test(name)) {
      throw { tag: "invalid-name", val: name };
    }
    const value = this.#environment[`SPIN_VARIABLE_${name.toUpperCase()}`];
    if (value === undefined) {
      throw { tag: "undefined", val: name };
    }
    return value;
  }
}
