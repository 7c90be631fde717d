//! The connections that were refused: how many there were, and which destinations the log has.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most destinations that are logged. A component that names more makes them up.
const MAX_LOGGED: usize = 64;

/// So much of a destination is logged. A name has up to 253 bytes.
const MAX_LOGGED_BYTES: usize = 300;

#[derive(Debug, Default)]
pub struct Refusals {
    counts: RefusalCounts,
    logged: Mutex<HashSet<String>>,
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug)]
pub enum Reason {
    /// No rule names the destination.
    Destination,
    /// A rule names it, but not the address that it has, which is not public.
    Address,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Destination => "no rule names it",
            Self::Address => "it has an address that is not public and that no rule names",
        }
    }
}

/// How many connections were refused. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefusalCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    destinations: AtomicU64,
    addresses: AtomicU64,
}

impl Refusals {
    /// Counts the refusal of a connection to `destination`, and logs it if it is the first of that destination.
    pub fn note(&self, reason: Reason, destination: &str) {
        let Counts {
            destinations,
            addresses,
        } = &*self.counts.0;
        let counter = match reason {
            Reason::Destination => destinations,
            Reason::Address => addresses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let end = destination.floor_char_boundary(MAX_LOGGED_BYTES);
        let destination = &destination[..end];
        let mut logged = self.logged.lock();
        if logged.len() >= MAX_LOGGED || !logged.insert(destination.to_owned()) {
            return;
        }
        let is_last = logged.len() == MAX_LOGGED;
        drop(logged);
        let why = reason.as_str();
        tracing::warn!("the component may not connect to {destination:?}: {why}");
        if is_last {
            tracing::warn!("more destinations of the component that are refused are only counted");
        }
    }

    pub fn counts(&self) -> RefusalCounts {
        self.counts.clone()
    }
}

impl RefusalCounts {
    /// Because no rule names the destination.
    pub fn destinations(&self) -> u64 {
        self.0.destinations.load(Ordering::Relaxed)
    }

    /// Because of its address.
    pub fn addresses(&self) -> u64 {
        self.0.addresses.load(Ordering::Relaxed)
    }
}
