//! The databases of one thread.

use super::bindings::spin::postgres::postgres::Error;
use super::parameter::Parameter;
use pipelined_postgres::{ConnectionCounts, Databases, Options, Session};

/// The databases that the instances of one thread are connected to. Clones share the connections.
#[derive(Clone)]
pub struct Postgres(Databases<Parameter>);

impl Postgres {
    /// Connects as `options` say.
    pub fn new(options: Options) -> Self {
        Self(Databases::new(options))
    }

    /// The same with connections of its own.
    pub(crate) fn for_another_thread(&self) -> Self {
        Self(self.0.for_another_thread())
    }

    pub(super) async fn open(&self, address: &str) -> Result<Session<Parameter>, Error> {
        Ok(self.0.open(address).await?)
    }

    /// Whether instances wait for dedicated connections.
    pub(super) fn is_exhausted(&self) -> bool {
        self.0.is_exhausted()
    }

    /// How many connections there are, of all threads together.
    pub(crate) fn connection_counts(&self) -> ConnectionCounts {
        self.0.connection_counts()
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Self::new(Options::default())
    }
}
