//! Clients that send requests at a steady rate, and the requests that failed.

use crate::support::try_put;
use birthday_tests::client;
use birthday_tests::contract::new_username;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many clients there are, and how often each sends a request: 200 requests per second together.
pub const CLIENTS: usize = 10;
const INTERVAL: Duration = Duration::from_millis(50);

/// One request in so many stores.
const STORE_EVERY: usize = 10;

/// A request that was not answered as it should have been.
#[derive(Debug)]
pub struct Failed {
    pub began: Instant,
    pub ended: Instant,
    #[expect(dead_code, reason = "it is printed")]
    answer: String,
}

/// What came of the requests of all clients.
#[derive(Default)]
pub struct Outcomes {
    requests: AtomicUsize,
    failed: Mutex<Vec<Failed>>,
}

impl Outcomes {
    /// How many requests have ended.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn into_failed(self) -> Vec<Failed> {
        self.failed.into_inner().unwrap()
    }
}

/// One client: sends requests to `url` until `is_over`.
pub fn run_client(url: &str, is_over: &AtomicBool, outcomes: &Outcomes) {
    let username = new_username();
    let mut is_stored = false;
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let failed = if is_stored {
            match client::get(&format!("{url}/hello/{username}")) {
                Ok(answer) if answer.status == 200 => None,
                other => Some(format!("{other:?}")),
            }
        } else {
            match try_put(url, &username, "1988-02-29") {
                Some(answer) if answer.status == 204 => None,
                other => Some(format!("{other:?}")),
            }
        };
        let ended = Instant::now();
        let number = outcomes.requests.fetch_add(1, Ordering::Relaxed) + 1;
        is_stored = failed.is_none() && !number.is_multiple_of(STORE_EVERY);
        if let Some(answer) = failed {
            outcomes.failed.lock().unwrap().push(Failed {
                began,
                ended,
                answer,
            });
        }
        // The interval is the load that the test is about.
        thread::sleep(INTERVAL.saturating_sub(began.elapsed()));
    }
}
