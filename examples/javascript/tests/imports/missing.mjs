// Without one of the imports.

import { makeImports as makeAll } from "../../server/imports/index.mjs";

export function makeImports(store) {
  const { "spin:postgres/postgres": _, ...rest } = makeAll(store);
  return rest;
}
