// The command line of both servers of this example: `--listen HOST:PORT`, one line with the URL, and the end on SIGTERM.

import { parseArgs } from "node:util";

const DEFAULT_ADDRESS = "127.0.0.1:3000";

/** How long requests may go on after SIGTERM. */
const DRAIN_MS = 5_000;

/** The exit code for a wrong command line (EX_USAGE). */
const EXIT_USAGE = 64;

/** The address of `--listen`, as `{ host, port }`. Port 0 is any free port. A wrong command line ends the process. */
export function addressOfArguments() {
  try {
    const { values } = parseArgs({ options: { listen: { type: "string", default: DEFAULT_ADDRESS } } });
    return parseAddress(values.listen);
  } catch (error) {
    console.error(`${error.message}\nusage: --listen HOST:PORT, such as ${DEFAULT_ADDRESS}; port 0 is any free port`);
    return process.exit(EXIT_USAGE);
  }
}

function parseAddress(text) {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw new Error(`--listen: ${JSON.stringify(text)} is not of the form HOST:PORT`);
  }
  // An address of IPv6 is in brackets.
  return { host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
}

/** Prints the URL of `server` once it listens. On SIGTERM it finishes what is in flight, and the process ends. */
export function serve(server, { host, port }) {
  server.once("error", (error) => {
    console.error(`cannot listen: ${error.message}`);
    process.exit(1);
  });
  server.listen(port, host, () => {
    const { address, family, port } = server.address();
    console.log(`http://${family === "IPv6" ? `[${address}]` : address}:${port}`);
  });
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, () => {
      server.close(() => process.exit(0));
      setTimeout(() => process.exit(0), DRAIN_MS);
    });
  }
}
