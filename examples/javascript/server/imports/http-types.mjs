// `wasi:http/types` of preview2-shim, with one function corrected.

import { types } from "@bytecodealliance/preview2-shim/http";

export const httpTypes = { ...types, httpErrorCode };

/** If a body breaks off, the shim gives the error of Node.js. That is no error code of the WIT, so it would be a trap. */
function httpErrorCode(error) {
  const code = types.httpErrorCode(error);
  return code.tag === undefined ? { tag: "internal-error", val: code.message } : code;
}
