//! How many connections there are, by what they are used for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The open connections of all threads together. Clones read the same counts.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    shared: AtomicUsize,
    dedicated: AtomicUsize,
    idle: AtomicUsize,
}

impl ConnectionCounts {
    /// Connections that many sessions use at a time.
    pub fn shared(&self) -> usize {
        self.0.shared.load(Ordering::Relaxed)
    }

    /// Connections that one session, or a group commit, uses.
    pub fn dedicated(&self) -> usize {
        self.0.dedicated.load(Ordering::Relaxed)
    }

    /// Dedicated connections that wait in the pool.
    pub fn idle(&self) -> usize {
        self.0.idle.load(Ordering::Relaxed)
    }

    fn of(&self, usage: Usage) -> &AtomicUsize {
        match usage {
            Usage::Shared => &self.0.shared,
            Usage::Dedicated => &self.0.dedicated,
            Usage::Idle => &self.0.idle,
        }
    }
}

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Shared,
    Dedicated,
    Idle,
}

/// A connection, counted under its usage until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    counts: ConnectionCounts,
    usage: Usage,
}

impl Counted {
    pub fn new(counts: ConnectionCounts, usage: Usage) -> Self {
        counts.of(usage).fetch_add(1, Ordering::Relaxed);
        Self { counts, usage }
    }

    pub fn set(&mut self, usage: Usage) {
        self.counts.of(usage).fetch_add(1, Ordering::Relaxed);
        self.counts.of(self.usage).fetch_sub(1, Ordering::Relaxed);
        self.usage = usage;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.of(self.usage).fetch_sub(1, Ordering::Relaxed);
    }
}
