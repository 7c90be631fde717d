// `spin:postgres/postgres@4.0.0`: this host has no Postgres, and says so by the WIT's error.

export class Connection {
  static open() {
    throw refusal();
  }

  query() {
    throw refusal();
  }

  execute() {
    throw refusal();
  }
}

/** With `other`, the component says in its log that `database_url` is invalid here, and that it is misconfigured. */
function refusal() {
  return { tag: "other", val: "this host has no Postgres: leave the variable empty" };
}
