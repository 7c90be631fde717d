// Makes JavaScript modules of both components, by jco. They go to `generated/`.

import { transpile, writeFiles } from "@bytecodealliance/jco-transpile";
import { access } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const TARGET = new URL("../../target/", import.meta.url);
const GENERATED = new URL("generated/", import.meta.url);

// It imports nothing, so it is a module like any other: `import { greeting } from "./generated/greeting/greeting.js"`.
// What its WIT has as an error is thrown as an Error, with the value in `payload`.
await write("wasm32-unknown-unknown/component/greeting.wasm", "greeting", { noComponentErrorWrapping: false });
// Its host gives it the imports, so the module has a function `instantiate`.
const { imports } = await write("wasm32-wasip2/component/birthday.wasm", "birthday", { instantiation: "async" });
await writeFiles({ "imports.json": JSON.stringify(imports, null, 2) }, { baseDir: path("birthday") });

async function write(component, name, options) {
  const file = fileURLToPath(new URL(component, TARGET));
  await access(file).catch(() => {
    console.error(`${file} is not built: run \`make components\``);
    process.exit(1);
  });
  const transpiled = await transpile(file, { name, outDir: path(name), ...options });
  await writeFiles(transpiled.files);
  return transpiled;
}

function path(name) {
  return fileURLToPath(new URL(name, GENERATED));
}
