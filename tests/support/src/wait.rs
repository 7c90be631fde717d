//! Waiting for a state, and not for a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Asks until `wanted` is so, and returns how long that took.
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
