//! The `Date` of answers (RFC 9110, 6.6.1). hyper writes one, too, which does not go back with the clock.

use http::HeaderValue;
use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The header for the time `at`.
pub(super) fn header(at: SystemTime) -> HeaderValue {
    thread_local! {
        /// A second since 1970, and its header.
        static SECOND: RefCell<(u64, HeaderValue)> =
            const { RefCell::new((u64::MAX, HeaderValue::from_static(""))) };
    }
    let now = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    SECOND.with_borrow_mut(|(second, header)| {
        if *second != now {
            *second = now;
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
            *header = HeaderValue::from_str(&text).expect("a date is a header value");
        }
        header.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_goes_back_with_the_clock() {
        let at = |seconds| header(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(1_800_000_000), "Fri, 15 Jan 2027 08:00:00 GMT");
        assert_eq!(at(1_800_000_000), "Fri, 15 Jan 2027 08:00:00 GMT");
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
