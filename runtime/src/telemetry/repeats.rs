//! A limit on lines of the log that repeat. A caller can cause some of them as often as it likes, those of libraries too.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The most lines of one place in the code that are written in each [`PERIOD`].
const MAX_LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(5);

/// How often each place has logged, by its name, which has its file and line. There are as many entries as places in the code.
#[derive(Default)]
pub(super) struct Repeats(Mutex<HashMap<&'static str, Period>>);

struct Period {
    began: Instant,
    lines: u32,
}

impl Repeats {
    /// Whether a line of `place` is written at `now`: `None` if not, else how many lines of that place were left out since
    /// the last one.
    pub fn admit(&self, place: &'static str, now: Instant) -> Option<u32> {
        let mut places = self.0.lock();
        let period = places.entry(place).or_insert(Period {
            began: now,
            lines: 0,
        });
        let mut left_out = 0;
        if now.saturating_duration_since(period.began) >= PERIOD {
            left_out = period.lines.saturating_sub(MAX_LINES);
            *period = Period {
                began: now,
                lines: 0,
            };
        }
        period.lines = period.lines.saturating_add(1);
        (period.lines <= MAX_LINES).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_said_with_the_next_line_of_that_place() {
        let repeats = Repeats::default();
        let began = Instant::now();
        for _ in 0..MAX_LINES {
            assert_eq!(repeats.admit("a:1", began), Some(0));
        }
        assert_eq!(repeats.admit("a:1", began), None);
        assert_eq!(repeats.admit("a:1", began), None);
        assert_eq!(repeats.admit("a:2", began), Some(0), "another place");
        assert_eq!(repeats.admit("a:1", began + PERIOD), Some(2));
        assert_eq!(repeats.admit("a:1", began + PERIOD), Some(0));
        assert_eq!(repeats.admit("a:1", began + 2 * PERIOD), Some(0));
    }
}
