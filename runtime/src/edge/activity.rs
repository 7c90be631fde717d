//! What a connection is doing, seen from its bytes and its requests: it is between requests, in the head of one, or
//! serving some.

use super::receiving::Receiving;
use crate::limits::ConnectionLimits;
use http::Version;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A connection with a request in flight is shed only after its last request has taken so long.
const MIN_WORKING: Duration = Duration::from_secs(1);

/// How long a client that has closed its half of the connection is answered: it may also have left.
const HALF_CLOSED_TIME: Duration = Duration::from_secs(1);

/// The record of one connection. Times are in milliseconds since it was opened.
pub(super) struct Activity {
    opened: Instant,
    requests: AtomicUsize,
    /// How many requests have begun.
    begun: AtomicU64,
    /// When the last of them began.
    last_begun: AtomicU64,
    /// When the last request ended, or the connection was opened.
    idle_since: AtomicU64,
    /// When the first byte came after that; 0: none has come. In HTTP/2, where not every byte belongs to a request, this
    /// is kept until the first request only.
    head_since: AtomicU64,
    is_http2: AtomicBool,
    /// The body of the one request of HTTP/1.
    pub receiving: Receiving,
    /// When the client of HTTP/1 said that it sends no more, with a request in flight; 0: it did not.
    half_closed: AtomicU64,
    /// The client is to send no more requests.
    is_draining: AtomicBool,
    last_received: AtomicU64,
    last_sent: AtomicU64,
    /// The connection is shed.
    shed: Notify,
}

/// How long a connection has been of no use, in the order in which connections are shed: the last first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unused {
    /// Since its last request began, which is in flight.
    Working(Duration),
    /// Without a request, or with the head of one.
    Idle(Duration),
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
            begun: AtomicU64::new(0),
            last_begun: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            receiving: Receiving::new(),
            half_closed: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
            last_received: AtomicU64::new(0),
            last_sent: AtomicU64::new(0),
            shed: Notify::new(),
        }
    }

    /// A request begins. It ends when what this returns is dropped.
    pub fn request(self: &Arc<Self>, version: Version) -> RequestInFlight {
        if version == Version::HTTP_2 {
            self.set_http2();
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.note(&self.last_begun, Instant::now());
        self.head_since.store(0, Ordering::Relaxed);
        RequestInFlight(self.clone())
    }

    pub fn set_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    pub fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// The client sends no more. Returns whether it may still wait for an answer (RFC 9112, 9.6); if it turns out not to, the
    /// task of `connection` is woken.
    pub fn half_close(&self, now: Instant, connection: &Waker) -> bool {
        let waits =
            self.has_requests() && !self.is_http2() && self.receiving.client_ends(connection);
        if waits && self.half_closed.load(Ordering::Relaxed) == 0 {
            self.note(&self.half_closed, now);
        }
        waits
    }

    /// From now on answers of HTTP/1 tell the client to send no more requests.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Whether closing the connection would cut nothing off: no request is in flight (one whose head is not complete does
    /// not count), and no byte was sent for the time `silence` before `now`.
    pub fn is_done(&self, now: Instant, silence: Duration) -> bool {
        self.requests() == 0 && self.since(&self.last_sent, now) > silence
    }

    /// What is overdue at `now`, if anything is.
    pub fn overdue(&self, now: Instant, limits: &ConnectionLimits) -> Option<Overdue> {
        let is_over = |time, limit| self.since(time, now) > limit;
        let is_half_closed = self.half_closed.load(Ordering::Relaxed) > 0;
        if is_half_closed && is_over(&self.half_closed, HALF_CLOSED_TIME) {
            return Some(Overdue::Stalled);
        }
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

    /// How many requests have begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub fn has_requests(&self) -> bool {
        self.requests() > 0
    }

    /// How long it has been of no use at `now`. `None` if it should be kept.
    pub fn unused(&self, now: Instant) -> Option<Unused> {
        if !self.has_requests() {
            return Some(Unused::Idle(self.since(&self.idle_since, now)));
        }
        let working = self.since(&self.last_begun, now);
        (working >= MIN_WORKING).then_some(Unused::Working(working))
    }

    /// Sheds the connection.
    pub fn shed(&self) {
        self.shed.notify_one();
    }

    /// Waits until the connection is shed.
    pub async fn until_shed(&self) {
        self.shed.notified().await;
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

    pub fn received(&self, now: Instant) {
        let now = self.note(&self.last_received, now);
        if self.requests() == 0
            && self.head_since.load(Ordering::Relaxed) == 0
            && !self.is_http2.load(Ordering::Relaxed)
        {
            self.head_since.store(now, Ordering::Relaxed);
        }
    }

    pub fn sent(&self, now: Instant) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        stall_timeout: Duration::from_secs(85),
        max_connections: 1,
        max_connections_per_address: None,
        memory: 1,
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
    fn a_client_that_has_closed_its_half_is_answered_for_a_while() {
        let (activity, at) = connection();
        let half_close = |seconds| activity.half_close(at(seconds), Waker::noop());
        assert!(!half_close(1), "there is nothing to wait for");
        let _request = activity.request(Version::HTTP_11);
        assert!(half_close(1) && half_close(2));
        assert_eq!(activity.overdue(at(2), &LIMITS), None);
        assert_eq!(activity.overdue(at(3), &LIMITS), Some(Overdue::Stalled));
    }

    #[test]
    fn idle_connections_are_shed_before_those_that_work() {
        let (activity, at) = connection();
        let (other, _) = connection();
        let request = activity.request(Version::HTTP_11);
        assert_eq!(activity.unused(at(0)), None, "it has just begun");
        let working = activity.unused(at(60)).unwrap();
        assert!(other.unused(at(1)).unwrap() > working);
        assert!(activity.unused(at(61)).unwrap() > working);
        drop(request);
        assert!(other.unused(at(3)).unwrap() > activity.unused(at(2)).unwrap());
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
