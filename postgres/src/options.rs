//! What can be chosen.

use crate::answer::MAX_ANSWER_BYTES;
use crate::password::PasswordSource;
use crate::permit::{self, Permit};
use crate::tls::Tls;

/// How connections are made and shared.
#[derive(Clone)]
pub struct Options {
    /// Whom to trust, where an address asks for verification.
    pub tls: Tls,
    /// Which connections statements use.
    pub sharing: Sharing,
    /// How the server gets statements.
    pub statements: Statements,
    /// What the server shows in `pg_stat_activity`, unless the address says otherwise.
    pub application_name: String,
    /// What the answers of all threads may take together, in bytes; those of up to 64 KiB are not counted.
    pub answer_memory: usize,
    /// Which servers may be connected to. Default: all.
    pub permit: Permit,
    /// Makes the passwords of all databases, whose addresses then must not have any, and must ask for verified TLS. Default:
    /// none, so that passwords are those of the addresses.
    pub passwords: Option<PasswordSource>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: Tls::default(),
            sharing: Sharing::default(),
            statements: Statements::default(),
            application_name: env!("CARGO_PKG_NAME").to_owned(),
            answer_memory: 8 * MAX_ANSWER_BYTES,
            permit: permit::everywhere(),
            passwords: None,
        }
    }
}

/// Which connections statements use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Statements that leave no trace in their session share a few connections. A session that runs any other statement
    /// (`BEGIN`, `SET`, …) gets a dedicated connection until it is dropped.
    #[default]
    Pipelined,
    /// Every session has a dedicated connection from the start. For programs that rely on session state that cannot be seen
    /// in a statement (`currval` after an `INSERT`).
    Exclusive,
}

/// How the server gets statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statements {
    /// Prepared once for each connection, under a name. A pooler that hands transactions to different sessions and does not
    /// follow the names (pgbouncer before 1.21, or with `max_prepared_statements=0`) is noticed by the server's errors; from
    /// then on the database gets unnamed statements. Until it is noticed, another program behind the same pooler may have used
    /// the same name for a statement of its own.
    #[default]
    Prepared,
    /// Parsed each time, under no name. Changes are not committed in groups.
    Unnamed,
}
