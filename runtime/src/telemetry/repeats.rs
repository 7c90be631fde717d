//! A limit on lines of the log that repeat. A caller can cause some of them as often as it likes, those of libraries too.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(5);

/// How often each place has logged, by its name, which has its file and line. There are as many entries as places in the code.
#[derive(Default)]
pub(super) struct Repeats(Mutex<HashMap<&'static str, Period>>);

struct Period {
    began: Instant,
    lines: u32,
    left_out: u32,
}

impl Repeats {
    /// Whether a line of `place` is written at `now`: up to `max` are in each [`PERIOD`].
    pub fn admit(&self, place: &'static str, max: u32, now: Instant) -> bool {
        let mut places = self.0.lock();
        let period = places.entry(place).or_insert(Period {
            began: now,
            lines: 0,
            left_out: 0,
        });
        if now.saturating_duration_since(period.began) >= PERIOD {
            (period.began, period.lines) = (now, 0);
        }
        let is_admitted = period.lines < max;
        if is_admitted {
            period.lines += 1;
        } else {
            period.left_out = period.left_out.saturating_add(1);
        }
        is_admitted
    }

    /// How many lines of `place` were left out since this was asked last.
    pub fn take_left_out(&self, place: &'static str) -> u32 {
        let mut places = self.0.lock();
        let period = places.get_mut(place);
        period.map_or(0, |period| std::mem::take(&mut period.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_said_with_the_next_line_of_that_place() {
        let repeats = Repeats::default();
        let began = Instant::now();
        let admit = |place, at| {
            let is_admitted = repeats.admit(place, 3, at);
            is_admitted.then(|| repeats.take_left_out(place))
        };
        for _ in 0..3 {
            assert_eq!(admit("a:1", began), Some(0));
        }
        assert_eq!(admit("a:1", began), None);
        assert_eq!(admit("a:1", began), None);
        assert_eq!(admit("a:2", began), Some(0), "another place");
        assert_eq!(admit("a:1", began + PERIOD), Some(2));
        assert_eq!(admit("a:1", began + PERIOD), Some(0));
        assert_eq!(admit("a:1", began + 2 * PERIOD), Some(0));
    }
}
