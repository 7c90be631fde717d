//! Waiting for a state instead of a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waits until `wanted` is true, and returns the time that it took.
///
/// # Panics
/// After `patience`.
#[track_caller]
pub fn wait_for(patience: Duration, what: &str, mut wanted: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !wanted() {
        assert!(
            start.elapsed() < patience,
            "{what}: not within {patience:?}"
        );
        sleep(Duration::from_millis(10));
    }
    start.elapsed()
}
