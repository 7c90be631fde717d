//! What a connection is doing, seen from its bytes and its requests: it is between requests, in the head of one, or
//! serving some.

use crate::limits::ConnectionLimits;
use http::Version;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The record of one connection. Times are in milliseconds since it was opened.
pub(super) struct Activity {
    opened: Instant,
    requests: AtomicUsize,
    /// When the last request ended, or the connection was opened.
    idle_since: AtomicU64,
    /// When the first byte came after that; 0: none has come. In HTTP/2, where not every byte belongs to a request, this
    /// is kept until the first request only.
    head_since: AtomicU64,
    is_http2: AtomicBool,
    last_received: AtomicU64,
    last_sent: AtomicU64,
}

/// What a connection has not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Send a request.
    Idle,
    /// Finish the head of a request.
    Head,
    /// Send or receive a byte, with a request in flight.
    Stalled,
}

impl Activity {
    /// Of a connection that was opened at `opened`.
    pub fn new(opened: Instant) -> Self {
        Self {
            opened,
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            last_received: AtomicU64::new(0),
            last_sent: AtomicU64::new(0),
        }
    }

    /// A request begins. It ends when what this returns is dropped.
    pub fn request(self: &Arc<Self>, version: Version) -> RequestInFlight {
        if version == Version::HTTP_2 {
            self.is_http2.store(true, Ordering::Relaxed);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        RequestInFlight(self.clone())
    }

    /// Whether closing the connection would cut nothing off: no request is in flight (one whose head is not complete does
    /// not count), and no byte was sent for the time `silence` before `now`.
    pub fn is_done(&self, now: Instant, silence: Duration) -> bool {
        self.requests() == 0 && self.since(&self.last_sent, now) > silence
    }

    /// What is overdue at `now`, if anything is.
    pub fn overdue(&self, now: Instant, limits: &ConnectionLimits) -> Option<Overdue> {
        let is_over = |time, limit| self.since(time, now) > limit;
        if self.requests() > 0 {
            let is_silent = is_over(&self.last_received, limits.stall_timeout)
                && is_over(&self.last_sent, limits.stall_timeout);
            return is_silent.then_some(Overdue::Stalled);
        }
        let has_begun = self.head_since.load(Ordering::Relaxed) > 0;
        if has_begun && is_over(&self.head_since, limits.header_timeout) {
            return Some(Overdue::Head);
        }
        is_over(&self.idle_since, limits.idle_timeout).then_some(Overdue::Idle)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    fn since(&self, time: &AtomicU64, now: Instant) -> Duration {
        let time = Duration::from_millis(time.load(Ordering::Relaxed));
        now.saturating_duration_since(self.opened)
            .saturating_sub(time)
    }

    fn note(&self, time: &AtomicU64, now: Instant) -> u64 {
        // At least 1, because 0 means never; and no connection is open for 500 million years.
        let now = now.saturating_duration_since(self.opened);
        let now = now.as_millis().max(1) as u64;
        time.store(now, Ordering::Relaxed);
        now
    }

    fn received(&self, now: Instant) {
        let now = self.note(&self.last_received, now);
        if self.requests() == 0
            && self.head_since.load(Ordering::Relaxed) == 0
            && !self.is_http2.load(Ordering::Relaxed)
        {
            self.head_since.store(now, Ordering::Relaxed);
        }
    }

    fn sent(&self, now: Instant) {
        self.note(&self.last_sent, now);
    }

    fn request_ended(&self, now: Instant) {
        self.note(&self.idle_since, now);
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request of a connection, until it is dropped.
pub(super) struct RequestInFlight(Arc<Activity>);

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        self.0.request_ended(Instant::now());
    }
}

/// A stream whose bytes are noted.
pub(super) struct Observed<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Observed<S> {
    pub fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn sent(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(1..)) = result {
            self.activity.sent(Instant::now());
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.received(Instant::now());
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.sent(&result);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        stall_timeout: Duration::from_secs(85),
        max_connections: 1,
    };

    /// A connection, and the time so many seconds after it was opened.
    fn connection() -> (Arc<Activity>, impl Fn(u64) -> Instant) {
        let opened = Instant::now();
        let at = move |seconds| opened + Duration::from_secs(seconds);
        (Arc::new(Activity::new(opened)), at)
    }

    #[test]
    fn a_connection_without_a_request_is_idle() {
        let (activity, at) = connection();
        assert_eq!(activity.overdue(at(75), &LIMITS), None);
        assert_eq!(activity.overdue(at(76), &LIMITS), Some(Overdue::Idle));
    }

    #[test]
    fn a_head_has_to_be_complete_in_time_from_its_first_byte() {
        let (activity, at) = connection();
        activity.received(at(20));
        // More bytes do not extend the time.
        activity.received(at(29));
        assert_eq!(activity.overdue(at(30), &LIMITS), None);
        assert_eq!(activity.overdue(at(31), &LIMITS), Some(Overdue::Head));
        let _request = activity.request(Version::HTTP_11);
        assert_eq!(activity.overdue(at(31), &LIMITS), None);
    }

    #[test]
    fn bytes_between_requests_of_http2_are_no_head() {
        let (activity, at) = connection();
        let request = activity.request(Version::HTTP_2);
        activity.request_ended(at(1));
        std::mem::forget(request);
        activity.received(at(2));
        assert_eq!(activity.overdue(at(70), &LIMITS), None);
        assert_eq!(activity.overdue(at(77), &LIMITS), Some(Overdue::Idle));
    }

    #[test]
    fn a_request_stalls_when_no_byte_moves_in_either_direction() {
        let (activity, at) = connection();
        let _request = activity.request(Version::HTTP_11);
        activity.received(at(10));
        activity.sent(at(20));
        assert_eq!(activity.overdue(at(105), &LIMITS), None);
        assert_eq!(activity.overdue(at(106), &LIMITS), Some(Overdue::Stalled));
    }

    #[test]
    fn a_connection_is_done_when_its_last_answer_was_sent_a_while_ago() {
        let (activity, at) = connection();
        let silence = Duration::from_secs(1);
        let request = activity.request(Version::HTTP_11);
        activity.sent(at(5));
        assert!(!activity.is_done(at(100), silence));
        drop(request);
        assert!(!activity.is_done(at(6), silence));
        assert!(activity.is_done(at(7), silence));
    }
}
