//! Whether a database is out of reach, and that it is logged once each time, whoever notices.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    since: Mutex<Instant>,
}

impl Outage {
    /// The database could not be reached, or a connection to it broke while a statement was under way.
    pub fn begin(&self, reason: &str) {
        if !self.is_on.swap(true, Ordering::Relaxed) {
            *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            tracing::warn!("postgres {}: out of reach: {reason}", self.name);
        }
    }

    /// A new connection was made.
    pub fn end(&self) {
        if self.is_on.swap(false, Ordering::Relaxed) {
            tracing::info!("postgres {}: back", self.name);
        }
    }

    /// A statement was answered. Costs next to nothing where there is no outage.
    pub fn end_if_over(&self) {
        if self.is_on.load(Ordering::Relaxed) {
            let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
            if since.elapsed() > AFTERMATH {
                self.end();
            }
        }
    }
}
