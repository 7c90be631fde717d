// What this host gives to the component, by the names of its WIT.

import { WASIShim } from "@bytecodealliance/preview2-shim/instantiation";
import { httpTypes } from "./http-types.mjs";
import { keyValue } from "./key-value.mjs";
import * as postgres from "./postgres.mjs";
import { Variables } from "./variables.mjs";
import { wasiKeyValue } from "./wasi-key-value.mjs";

/** The imports of one instance, whose people are in `store`. */
export function makeImports(store) {
  // The environment of this process may have secrets, so the component sees none of it.
  const wasi = new WASIShim({ sandbox: { preopens: {}, env: {}, args: [] } });
  return {
    ...wasi.getImportObject(),
    "wasi:http/types": httpTypes,
    ...wasiKeyValue(store),
    "fermyon:spin/key-value": keyValue(store),
    "fermyon:spin/variables": new Variables(process.env),
    "spin:postgres/postgres": postgres,
  };
}
