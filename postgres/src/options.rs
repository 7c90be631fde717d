//! What can be chosen.

use crate::tls::Tls;

/// How connections are made and shared.
#[derive(Clone)]
pub struct Options {
    /// Whom to trust, where an address asks for verification.
    pub tls: Tls,
    pub sharing: Sharing,
    /// What the server shows in `pg_stat_activity`, unless the address says otherwise.
    pub application_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: Tls::default(),
            sharing: Sharing::default(),
            application_name: env!("CARGO_PKG_NAME").to_owned(),
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
