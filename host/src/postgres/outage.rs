//! Whether a database is out of reach, and that it is logged once each time, whoever notices.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most databases that threads know of together; those beyond it are logged by each thread.
const MAX_DATABASES: usize = 64;

/// Answers that were on their way when a connection broke do not mean that the database is back.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The outages of all databases, by name. All threads share them.
#[derive(Clone, Default)]
pub struct Outages(Arc<Mutex<HashMap<String, Arc<Outage>>>>);

impl Outages {
    /// That of the database with this name.
    pub fn of(&self, name: &str) -> Arc<Outage> {
        let mut outages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outage) = outages.get(name) {
            return outage.clone();
        }
        let outage = Arc::new(Outage {
            name: name.to_owned(),
            is_on: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
        });
        if outages.len() < MAX_DATABASES {
            outages.insert(name.to_owned(), outage.clone());
        }
        outage
    }
}

pub struct Outage {
    name: String,
    is_on: AtomicBool,
    /// When it began or ended last.
    since: Mutex<Instant>,
}

impl Outage {
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
