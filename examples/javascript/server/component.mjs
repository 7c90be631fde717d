// The component as jco has transpiled it: its core modules, compiled once for all instances, and the names of its imports.

import { readFile, readdir } from "node:fs/promises";

const GENERATED = new URL("../generated/birthday/", import.meta.url);

export async function loadComponent() {
  const files = await readdir(GENERATED).catch(() => {
    throw new Error("the component is not transpiled: run `node examples/javascript/transpile.mjs`");
  });
  const names = files.filter((name) => name.endsWith(".wasm"));
  const compile = async (name) => [name, await WebAssembly.compile(await readFile(new URL(name, GENERATED)))];
  const modules = Object.fromEntries(await Promise.all(names.map(compile)));
  const imports = JSON.parse(await readFile(new URL("imports.json", GENERATED), "utf8"));
  return { modules, imports };
}
