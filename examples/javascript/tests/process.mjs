// The programs of this example as processes.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../", import.meta.url));

/** Runs a program to its end: its exit code, and what it has printed. */
export async function run(program, ...parameters) {
  const child = spawn(process.execPath, [program, ...parameters], { cwd: FOLDER, stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await closed;
  return { code, stdout, stderr };
}

/** Has `use` work with a server with these variables of the environment. Then SIGTERM ends it: its exit code and its log. */
export async function withServer(program, variables, use) {
  const env = { ...process.env, ...variables };
  const options = { cwd: FOLDER, env, stdio: ["ignore", "pipe", "pipe"] };
  const child = spawn(process.execPath, [program, "--listen", "127.0.0.1:0"], options);
  const closed = once(child, "close");
  const log = text(child.stderr);
  try {
    const [line] = await Promise.race([once(child.stdout, "data"), closed]);
    await use(String(line).trim());
  } finally {
    child.kill("SIGTERM");
  }
  const [code] = await closed;
  return { code, log: await log };
}
