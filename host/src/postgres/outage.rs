//! Whether a database is out of reach, and that it is logged once each time, whoever notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Answers that were on their way when a connection broke do not mean that the database is back.
const AFTERMATH: Duration = Duration::from_secs(1);

pub struct Outage {
    name: String,
    is_on: AtomicBool,
    /// When it began or ended last.
    since: Mutex<Instant>,
}

impl Outage {
    /// None so far, of the database that the log calls `name`.
    pub fn new(name: String) -> Self {
        Self {
            name,
            is_on: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
        }
    }

    /// The database could not be reached by an attempt from `attempted` on, or a connection to it broke then.
    pub fn begin(&self, attempted: Instant, reason: &str) {
        let mut since = self.since();
        // An attempt from before the end of the last outage is no news.
        if attempted >= *since && !self.is_on.swap(true, Ordering::Relaxed) {
            *since = Instant::now();
            tracing::warn!("postgres {}: out of reach: {reason}", self.name);
        }
    }

    /// A new connection was made.
    pub fn end(&self) {
        if self.is_on.load(Ordering::Relaxed) {
            let mut since = self.since();
            if self.is_on.swap(false, Ordering::Relaxed) {
                *since = Instant::now();
                tracing::info!("postgres {}: back", self.name);
            }
        }
    }

    /// A statement was answered. Costs next to nothing where there is no outage.
    pub fn end_if_over(&self) {
        if self.is_on.load(Ordering::Relaxed) && self.since().elapsed() > AFTERMATH {
            self.end();
        }
    }

    fn since(&self) -> MutexGuard<'_, Instant> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
