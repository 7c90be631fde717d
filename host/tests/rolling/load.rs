//! Clients that send requests at a steady rate, and the requests that failed.
//!
//! Each waits for its answer before it sends the next request, over a connection that it keeps: `birthday_tests::load` is for
//! outages, in which callers come whether others wait or not.

use crate::support::try_put;
use birthday_tests::client;
use birthday_tests::contract::new_username;
use birthday_tests::load::RaisedOnDrop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use test_support::wait::wait_for;

/// How many clients there are, and how often each sends a request: 200 requests per second together.
const CLIENTS: usize = 10;
const INTERVAL: Duration = Duration::from_millis(50);

/// One request in so many stores.
const STORE_EVERY: usize = 10;

/// More than any number of requests is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that was not answered as it should have been.
#[derive(Debug)]
pub struct Failed {
    pub began: Instant,
    pub ended: Instant,
    #[expect(dead_code, reason = "it is printed")]
    answer: String,
}

/// Clients that send requests.
#[derive(Default)]
pub struct Load {
    is_over: AtomicBool,
    requests: AtomicUsize,
    failed: Mutex<Vec<Failed>>,
}

/// What came of the requests of all clients.
pub struct Outcome {
    pub requests: usize,
    pub failed: Vec<Failed>,
}

/// Has clients send requests to `url` while `work` runs.
///
/// # Panics
/// If `work` does.
pub fn under_load<T>(url: &str, work: impl FnOnce(&Load) -> T) -> (T, Outcome) {
    let load = Load::default();
    let result = thread::scope(|scope| {
        let _over = RaisedOnDrop(&load.is_over);
        for _ in 0..CLIENTS {
            scope.spawn(|| load.run_client(url));
        }
        work(&load)
    });
    let outcome = Outcome {
        requests: load.requests.into_inner(),
        failed: load.failed.into_inner().unwrap(),
    };
    (result, outcome)
}

impl Load {
    /// Waits until so many more requests have ended.
    pub fn wait_for_requests(&self, more: usize) {
        let requests = || self.requests.load(Ordering::Relaxed);
        let enough = requests() + more;
        wait_for(PATIENCE, "requests", || requests() >= enough);
    }

    fn run_client(&self, url: &str) {
        let username = new_username();
        let mut is_stored = false;
        while !self.is_over.load(Ordering::Relaxed) {
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
            let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
            is_stored = failed.is_none() && !number.is_multiple_of(STORE_EVERY);
            if let Some(answer) = failed {
                self.failed.lock().unwrap().push(Failed {
                    began,
                    ended,
                    answer,
                });
            }
            // The interval is the load that the test is about.
            thread::sleep(INTERVAL.saturating_sub(began.elapsed()));
        }
    }
}
