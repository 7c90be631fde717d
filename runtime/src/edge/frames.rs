//! The frames of an HTTP/2 connection (RFC 9113, 4.1), counted: those that carry no work cost their sender, so that a flood of
//! them ends the connection.

use std::time::{Duration, Instant};

/// What a client sends first in HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// So many bytes of frames, other than the data of bodies, may come without work: the heads of as many requests as a
/// connection may have in flight, or 15,000 PING frames.
const BURST_BYTES: u64 = 256 * 1024;

/// And so many in each second.
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// What a request earns besides its head: some SETTINGS, WINDOW_UPDATE and PRIORITY frames come with each.
const REQUEST_BYTES: u64 = 1024;

/// An answer earns one byte for so many.
const SENT_SHARE: u64 = 8;

/// A GOAWAY frame that refuses further streams: stream 0, last stream 2³¹-1, ENHANCE_YOUR_CALM (RFC 9113, 6.8 and 7).
pub(super) const GO_AWAY: [u8; 17] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb,
];

/// Which version of HTTP a client speaks, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preface {
    /// So many bytes of HTTP/2's have come.
    Undecided(usize),
    Http1,
    Http2,
    /// It began like that of HTTP/2, and went on otherwise (RFC 9113, 3.4): no answer would be understood.
    Broken,
}

/// No method of HTTP/1 begins like this.
const UNMISTAKABLE: usize = "PRI ".len();

impl Preface {
    /// The client has sent `bytes`. Returns those that come after the preface of HTTP/2.
    pub fn pass<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Self::Undecided(matched) = *self else {
            return bytes;
        };
        let expected = &PREFACE[matched..];
        let length = expected.len().min(bytes.len());
        let (first, rest) = bytes.split_at(length);
        let agreed = matched
            + std::iter::zip(first, expected)
                .take_while(|(found, expected)| found == expected)
                .count();
        *self = if agreed < matched + length {
            match agreed >= UNMISTAKABLE {
                true => Self::Broken,
                false => Self::Http1,
            }
        } else if length == expected.len() {
            Self::Http2
        } else {
            Self::Undecided(matched + length)
        };
        rest
    }
}

/// The frames in one direction.
#[derive(Default)]
struct Frames {
    header: [u8; HEADER_BYTES],
    header_length: usize,
    payload_left: usize,
}

impl Frames {
    /// Calls `found` with the type and the length of each frame that begins in `bytes`.
    fn pass(&mut self, mut bytes: &[u8], mut found: impl FnMut(u8, u64)) {
        while !bytes.is_empty() {
            let skipped = self.payload_left.min(bytes.len());
            self.payload_left -= skipped;
            bytes = &bytes[skipped..];
            let wanted = (HEADER_BYTES - self.header_length).min(bytes.len());
            let (header, rest) = bytes.split_at(wanted);
            self.header[self.header_length..][..wanted].copy_from_slice(header);
            self.header_length += wanted;
            bytes = rest;
            if self.header_length == HEADER_BYTES {
                let [high, middle, low, kind, ..] = self.header;
                let length = u32::from_be_bytes([0, high, middle, low]);
                self.header_length = 0;
                self.payload_left = length as usize;
                found(kind, length.into());
            }
        }
    }

    fn is_between_frames(&self) -> bool {
        self.header_length == 0 && self.payload_left == 0
    }
}

/// What a connection has received and done.
pub(super) struct FrameBudget {
    received: Frames,
    sent: Frames,
    /// What may still come.
    left: u64,
    refilled: Instant,
    /// The heads that have come since the last request began: their number, and their bytes.
    heads: u64,
    head_bytes: u64,
    /// How many requests had begun then.
    requests: u64,
}

impl FrameBudget {
    pub fn new(now: Instant) -> Self {
        Self {
            received: Frames::default(),
            sent: Frames::default(),
            left: BURST_BYTES,
            refilled: now,
            heads: 0,
            head_bytes: 0,
            requests: 0,
        }
    }

    /// The client has sent `bytes`, after so many requests of the connection have begun. Returns whether it may go on.
    pub fn received(&mut self, bytes: &[u8], requests: u64, now: Instant) -> bool {
        self.earn(requests, now);
        let (mut cost, mut heads, mut head_bytes) = (0, 0, 0);
        self.received.pass(bytes, |kind, length| {
            // Data has limits of its own.
            cost += HEADER_BYTES as u64 + if kind == DATA { 0 } else { length };
            if kind == HEADERS {
                heads += 1;
                head_bytes += HEADER_BYTES as u64 + length;
            }
        });
        self.heads += heads;
        self.head_bytes += head_bytes;
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn earn(&mut self, requests: u64, now: Instant) {
        let mut earned = 0;
        let since = now.saturating_duration_since(self.refilled);
        if since >= Duration::from_millis(100) {
            self.refilled = now;
            let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            earned += millis.saturating_mul(BYTES_PER_SECOND) / 1000;
        }
        let begun = requests - self.requests;
        if begun > 0 {
            // A head that is too large, or invalid, begins no request: its share is lost.
            let share = begun.min(self.heads) * self.head_bytes / self.heads.max(1);
            earned = earned.saturating_add(share + begun * REQUEST_BYTES);
            (self.requests, self.heads, self.head_bytes) = (requests, 0, 0);
        }
        self.left = BURST_BYTES.min(self.left.saturating_add(earned));
    }

    /// The server has sent `bytes`.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.sent.pass(bytes, |_, _| ());
        self.left = BURST_BYTES.min(self.left + bytes.len() as u64 / SENT_SHARE);
    }

    /// Whether a frame may be sent here.
    pub fn may_send_frame(&self) -> bool {
        self.sent.is_between_frames()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut frame = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        frame.push(kind);
        frame.extend(vec![0; 5 + length]);
        frame
    }

    /// How many times `bytes` may be sent, up to `most`.
    fn allowed(bytes: &[u8], most: usize, requests: impl Fn(usize) -> u64) -> usize {
        let now = Instant::now();
        let mut budget = FrameBudget::new(now);
        (0..most)
            .take_while(|count| budget.received(bytes, requests(*count), now))
            .count()
    }

    #[test]
    fn the_version_shows_in_the_first_bytes() {
        let mut preface = Preface::Undecided(0);
        assert_eq!(preface.pass(b"PRI * HT"), b"");
        assert_eq!(preface, Preface::Undecided(8));
        assert_eq!(preface.pass(b"TP/2.0\r\n\r\nSM\r\n\r\nrest"), b"rest");
        assert_eq!(preface, Preface::Http2);
        let mut preface = Preface::Undecided(0);
        preface.pass(b"PUT / HTTP/1.1");
        assert_eq!(preface, Preface::Http1);
        let mut preface = Preface::Undecided(0);
        preface.pass(b"PRI * HTTP/2.0\r\n\r\nXM");
        assert_eq!(preface, Preface::Broken);
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let bytes = [frame(6, 8), frame(0, 100), frame(4, 0), frame(1, 3)].concat();
        for size in [1, 2, 7, 9, 50, bytes.len()] {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                frames.pass(piece, |kind, length| found.push((kind, length)));
            }
            assert_eq!(found, [(6, 8), (0, 100), (4, 0), (1, 3)], "{size}");
            assert!(frames.is_between_frames());
        }
        let mut frames = Frames::default();
        frames.pass(&bytes[..20], |_, _| ());
        assert!(!frames.is_between_frames());
    }

    #[test]
    fn frames_without_work_are_allowed_for_a_while() {
        for (kind, length, expected) in [(6, 8, 15_420), (4, 0, 29_127), (9, 16_384, 15)] {
            let count = allowed(&frame(kind, length), 100_000, |_| 0);
            assert_eq!(count, expected, "{kind}");
        }
    }

    #[test]
    fn requests_and_their_bodies_are_always_allowed() {
        let request = [frame(1, 8_000), frame(8, 4), frame(8, 4), frame(0, 16_384)].concat();
        let count = allowed(&request, 10_000, |count| count as u64);
        assert_eq!(count, 10_000);
    }

    #[test]
    fn a_head_that_begins_no_request_costs_its_bytes() {
        let pair = [frame(1, 16_000), frame(1, 40)].concat();
        let count = allowed(&pair, 10_000, |count| count as u64);
        assert!((30..50).contains(&count), "{count}");
    }

    #[test]
    fn time_and_answers_earn_more() {
        let mut now = Instant::now();
        let mut budget = FrameBudget::new(now);
        let ping = frame(6, 8);
        while budget.received(&ping, 0, now) {}
        now += Duration::from_secs(1);
        assert!(budget.received(&ping, 0, now));
        while budget.received(&ping, 0, now) {}
        budget.sent(&frame(0, 1000));
        assert!(budget.received(&ping, 0, now));
    }
}
