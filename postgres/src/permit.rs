//! Which servers may be connected to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Where a connection is about to be made to, or what is about to be read for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A host of an address, a name or an IP address, before it is looked up.
    Named {
        /// As the address has it.
        host: &'a str,
        /// The port of the address, or the usual one.
        port: u16,
    },
    /// The same at one of its addresses, before it is connected to.
    Found {
        /// As the address has it.
        host: &'a str,
        /// What it was found at.
        at: SocketAddr,
    },
    /// A Unix socket.
    Socket(&'a Path),
    /// A file with the client's certificate or its key.
    File(&'a Path),
}

/// Asked before each connection; the error says why it may not be made, in one line for whoever opens the database.
pub type Permit = Arc<dyn Fn(Destination<'_>) -> Result<(), String> + Send + Sync>;

/// Permits every connection.
pub fn everywhere() -> Permit {
    Arc::new(|_| Ok(()))
}
