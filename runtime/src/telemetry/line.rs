//! The parts of a line of the log that is written by hand.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) fn push(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

pub(super) fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    push(out, &[itoa::Buffer::new().format(number)]);
}

/// The last `N` decimal digits of `number`.
pub(super) fn push_digits<const N: usize>(out: &mut Vec<u8>, mut number: u32) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

/// The time as `tracing` writes it.
pub(super) fn push_time(out: &mut Vec<u8>) {
    thread_local! {
        /// A second since 1970, and how it begins.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            let time = UNIX_EPOCH + Duration::from_secs(*second);
            *text = humantime::format_rfc3339_seconds(time).to_string();
            // The zone.
            text.pop();
        }
        push(out, &[text, "."]);
    });
    push_digits::<6>(out, since.subsec_micros());
    push(out, &["Z"]);
}
