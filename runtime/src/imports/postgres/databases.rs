//! The databases of one thread.

use super::bindings::spin::postgres::postgres::Error;
use super::parameter::Parameter;
use crate::egress::{Egress, Rule};
use pipelined_postgres::{
    ConnectionCounts, Databases, Destination, Options, Permit, Session, destinations,
};
use std::sync::Arc;

/// What rules of the policy call it.
const SCHEME: &str = "postgres";

/// The databases that the instances of one thread are connected to. Clones share the connections.
///
/// ```
/// # use http_component_runtime::{Egress, Postgres, postgres};
/// let options = postgres::Options {
///     sharing: postgres::Sharing::Exclusive,
///     application_name: "items".to_owned(),
///     ..postgres::Options::default()
/// };
/// let connections = Postgres::new(options);
/// // The component may connect to the server that its own setting names.
/// let egress = Egress::new(postgres::rules("postgres://user@db.internal/items"));
/// ```
#[derive(Clone)]
pub struct Postgres(Databases<Parameter>);

impl Postgres {
    /// Connects as `options` say.
    pub fn new(options: Options) -> Self {
        Self(Databases::new(options))
    }

    /// Connects from now on only to where `egress` allows, over connections that no clone has made.
    pub(crate) fn set_egress(&mut self, egress: Egress) {
        self.0 = self.0.with_permit(permit(egress));
    }

    /// The same to where `egress` allows, with connections of its own, which are counted with these.
    pub(crate) fn anew(&self, egress: Egress) -> Self {
        Self(self.0.anew(permit(egress)))
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

/// Permits what `egress` allows.
fn permit(egress: Egress) -> Permit {
    Arc::new(move |destination| {
        let permitted = match destination {
            Destination::Named { host, port } => egress.destination(SCHEME, host, port).map(drop),
            Destination::Found { host, at } => egress
                .destination(SCHEME, host, at.port())
                .and_then(|named| named.admit(at.ip())),
            Destination::Socket(path) => egress.socket(path),
            Destination::File(path) => egress.file(path),
        };
        permitted.map_err(|refused| refused.to_string())
    })
}

/// Rules for the servers that `address` names, wherever they are, and for the files of a certificate that it names; none if it
/// is no address.
///
/// ```
/// # use http_component_runtime::postgres;
/// assert_eq!(postgres::rules("postgres://user@db.internal/items").len(), 1);
/// assert!(postgres::rules("no address").is_empty());
/// ```
pub fn rules(address: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    let read = destinations(address, |destination| {
        let rule = match destination {
            Destination::Named { host, port } => Rule::trusting(SCHEME, host, port),
            Destination::Socket(path) => Rule::socket(path.to_owned()),
            Destination::File(path) => Rule::file(path.to_owned()),
            // Addresses are not looked up.
            Destination::Found { .. } => return,
        };
        rules.push(rule);
    });
    match read {
        Ok(()) => rules,
        Err(_) => Vec::new(),
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Self::new(Options::default())
    }
}
