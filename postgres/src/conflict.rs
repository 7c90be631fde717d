//! Statements that the server has rolled back because of another transaction (SQLSTATE 40001). Databases without locks, such as
//! Aurora DSQL and CockroachDB, leave it to their clients to try again. A statement that was a transaction by itself had no
//! effect, so that this is safe.

use std::time::Duration;

/// How often a statement is tried again.
const MAX_REPEATS: u32 = 8;

/// The longest pause before the first of them; it doubles up to the longest of all. Together they are a second at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_millis(200);

/// How long to wait before each further attempt: a random part of a growing time, so that those that were in each other's way
/// are not again.
pub fn pauses() -> impl Iterator<Item = Duration> {
    (0..MAX_REPEATS).map(|number| longest(number).mul_f32(fastrand::f32()))
}

fn longest(number: u32) -> Duration {
    (FIRST_PAUSE * 2_u32.pow(number)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pauses_together_are_a_second_at_most() {
        let longest: Duration = (0..MAX_REPEATS).map(longest).sum();
        assert!(longest <= Duration::from_millis(950), "{longest:?}");
        let random: Duration = pauses().sum();
        assert!(random < longest, "{random:?}");
    }
}
