//! `spin:postgres@4.0.0`: queries to Postgres databases. The client library `pipelined-postgres` does the work; here its
//! parameters, rows and errors become those of the interface, and nowhere else.

mod bindings;
mod databases;
mod datetime;
mod error;
mod host;
mod numeric;
mod parameter;
mod resource;
mod value;

pub use databases::{Postgres, rules};
pub(crate) use host::{PostgresCtx, add_to_linker};
pub use pipelined_postgres::{
    Account, CaError, MakingPassword, Options, Password, PasswordSource, Sharing, Statements, Tls,
};
