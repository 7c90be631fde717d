// The thread of one instance: the component with its imports, served by the HTTP server of preview2-shim.

import { HTTPServer } from "@bytecodealliance/preview2-shim/http";
import { parentPort, workerData } from "node:worker_threads";
import { instantiate } from "../generated/birthday/birthday.js";
import { StoreClient } from "./store-client.mjs";

const { component, imports, store } = workerData;
const { makeImports } = await import(imports);
const given = makeImports(new StoreClient(store));
for (const name of component.imports) {
  if (given[name] === undefined) {
    throw new Error(`the component imports ${name}, which this host does not give`);
  }
}
const { incomingHandler } = await instantiate((name) => component.modules[name], given);
const server = new HTTPServer({
  handle(request, response) {
    // What it throws ends this thread: a component that has trapped is not called again.
    incomingHandler.handle(request, response);
    parentPort.postMessage("handled");
  },
});
server.listen(0, "127.0.0.1");
parentPort.postMessage({ listening: server.address().port });
