//! Passwords that the program makes for each connection, in place of one in the address.

use crate::address::{Address, Encryption};
use crate::error::Error;
use crate::permit::Destination;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Whom a connection is about to be opened for, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// The host as the address has it, a name or an IP address.
    pub host: &'a str,
    /// The port of the address, or the usual one.
    pub port: u16,
    /// The role.
    pub user: &'a str,
}

/// A password of one connection. `Debug` does not show it.
#[derive(Clone)]
pub struct Password {
    text: String,
    origin: String,
}

impl Password {
    /// The password `text`. Where a server refuses it, the log calls it `origin`, such as `a token of 10:15`.
    pub fn new(text: impl Into<String>, origin: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            origin: origin.into(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Password({})", self.origin)
    }
}

/// A password that is being made, within the time that the address gives a host; or why there is none, in one line for the
/// log.
pub type MakingPassword = Pin<Box<dyn Future<Output = Result<Password, String>> + Send>>;

/// Makes the password of each new connection. The error says why there will never be one for such an account, in one line for
/// whoever opens the database: it is asked first when a database is opened, and what it returns is dropped then.
pub type PasswordSource = Arc<dyn Fn(Account<'_>) -> Result<MakingPassword, String> + Send + Sync>;

/// # Errors
/// If `source` makes no passwords for what `address` names, or these could be read on the way there.
pub fn check(source: &PasswordSource, address: &Address) -> Result<(), Error> {
    let bad = |reason: &str| Err(Error::BadAddress(reason.to_owned()));
    if let Some([_, ..]) = address.config.get_password() {
        return bad("has a password, but one is made for each connection: leave it out");
    }
    if address.encryption != Encryption::Verified {
        return bad(
            "a password is made for each connection, and sent only over verified TLS: use sslmode=verify-full",
        );
    }
    let Some(user) = address.config.get_user() else {
        return bad("names no user, whom a password could be made for");
    };
    address.visit(|destination| match destination {
        Destination::Named { host, port } => {
            let making = source(Account { host, port, user });
            making.map(drop).map_err(Error::BadAddress)
        }
        Destination::Socket(_) => bad("no password is made for a server behind a Unix socket"),
        Destination::File(_) | Destination::Found { .. } => Ok(()),
    })
}
