//! Serving one connection, until it ends, is overdue, or the server drains.

use super::activity::{Activity, Overdue};
use super::exchange::Edge;
use super::open::Membership;
use super::received::Received;
use super::stream::{CONNECTION_WINDOW, Observed, STREAM_WINDOW};
use super::tls::Tls;
use crate::guest::Guarded;
use crate::limits::ConnectionLimits;
use crate::telemetry::Refusal;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The most header fields of a request; with more it is answered 431.
const MAX_HEADERS: usize = 100;

/// The longest head of a request, in bytes; a longer one is answered 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The most requests in flight on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// What one of them counts: its task, and what is there of an answer that is not read. A component hands over some 16 KiB ahead.
const STREAM_BYTES: usize = 24 * 1024;

/// The most HTTP/2 streams that a client has opened and reset without the server having accepted them (rapid reset,
/// CVE-2023-44487); with more the connection is closed. An endless head of CONTINUATION frames (CVE-2024-27316) is
/// bounded by `MAX_HEAD_BYTES`.
const MAX_RESET_STREAMS: usize = 20;

/// How often a connection is checked for what is overdue.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a connection that was told to close may stay open without a request in flight: enough to finish the head of
/// one, and to receive the last answer.
const DRAIN_IDLE: Duration = Duration::from_millis(500);
const DRAIN_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// What a connection is served by.
pub(super) struct Connection {
    pub edge: Edge,
    pub limits: ConnectionLimits,
    /// Cancelled when the server drains.
    pub drain: CancellationToken,
}

impl Connection {
    /// Serves `stream` to its end, over TLS if there is `tls`.
    pub async fn serve(self, stream: TcpStream, tls: Option<Tls>, membership: Membership) {
        // Without it the end of a chunked answer waits for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection was gone before it was served: {error}");
            return;
        }
        let Some(tls) = tls else {
            return self.serve_http(stream, membership).await;
        };
        let handshake = tokio::select! {
            handshake = timeout(self.limits.header_timeout, tls.accept(stream)) => handshake,
            // No request can be in flight yet.
            () = self.drain.cancelled() => return,
            () = membership.activity.until_shed() => return,
        };
        match handshake {
            // In a box, because its future is larger than that of a plain connection.
            Ok(Ok(stream)) => Box::pin(self.serve_http(stream, membership)).await,
            Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn serve_http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        membership: Membership,
    ) {
        let activity = membership.activity.clone();
        let membership = Arc::new(membership);
        let service = service_fn(|request: Request<Incoming>| {
            let version = request.version();
            let in_flight = activity.request(version);
            let held = HeldByRequest::take(&membership, version);
            let request = request.map(|body| Received::new(body, activity.clone()));
            let activity = activity.clone();
            self.edge
                .answer(request, held.is_some())
                .map(move |mut response| {
                    if version != Version::HTTP_2 && activity.is_draining() {
                        let close = HeaderValue::from_static("close");
                        response.headers_mut().insert(CONNECTION, close);
                    }
                    Ok::<_, Infallible>(response.map(|body| Guarded::new(body, (in_flight, held))))
                })
        });
        let metrics = self.edge.telemetry().metrics.clone();
        let stream = TokioIo::new(Observed::new(stream, membership.clone(), metrics.clone()));
        let http = http(&self.limits);
        let mut connection = pin!(http.serve_connection(stream, service));
        let supervisor = Supervisor {
            activity: activity.clone(),
            limits: self.limits,
            drain: self.drain,
            draining_since: None,
        };
        // Polled only when it has been woken itself, and not with each request.
        let mut supervision: FuturesUnordered<_> = [supervisor.next_order()].into_iter().collect();
        loop {
            let (supervisor, order) = tokio::select! {
                // Nearly always it is the connection that has something to do.
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!("a connection ended early: {error}");
                    }
                    return;
                }
                Some(next) = supervision.next() => next,
            };
            match order {
                Order::Drain if activity.is_http2() => connection.as_mut().graceful_shutdown(),
                // Not by hyper, which would close a connection at once that is between two requests.
                Order::Drain => activity.drain(),
                Order::Shed => return metrics.refusal(Refusal::UnusedConnections),
                Order::Close => return,
            }
            supervision.push(supervisor.next_order());
        }
    }
}

/// What a request of HTTP/2 holds until its answer has ended. The one request of an HTTP/1 connection is part of what the
/// connection holds.
struct HeldByRequest(Option<Arc<Membership>>);

impl HeldByRequest {
    /// `None` if connections hold too much.
    fn take(membership: &Arc<Membership>, version: Version) -> Option<Self> {
        if version != Version::HTTP_2 {
            return Some(Self(None));
        }
        let may_hold = membership.hold_for_request(STREAM_BYTES, Instant::now());
        may_hold.then(|| Self(Some(membership.clone())))
    }
}

impl Drop for HeldByRequest {
    fn drop(&mut self) {
        if let Some(membership) = &self.0 {
            membership.release_request(STREAM_BYTES);
        }
    }
}

/// HTTP/1 and HTTP/2 within their limits.
fn http(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Not hyper's: it is one timeout for heads and for the time between requests, which `Activity` tells apart.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_WINDOW as usize)
        .keep_alive_interval(limits.idle_timeout)
        .keep_alive_timeout(limits.header_timeout);
    builder
}

/// Decides when a connection is to be closed.
struct Supervisor {
    activity: Arc<Activity>,
    limits: ConnectionLimits,
    drain: CancellationToken,
    draining_since: Option<Instant>,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Tell the client to send no more requests, and finish those that it has begun.
    Drain,
    /// Close it, because others need its place.
    Shed,
    Close,
}

impl Supervisor {
    /// Waits until there is something to be done. Returns itself with it.
    async fn next_order(mut self) -> (Self, Order) {
        loop {
            let order = tokio::select! {
                () = self.activity.until_shed() => Some(Order::Shed),
                () = self.drain.cancelled(), if self.draining_since.is_none() => {
                    Some(self.drain(Instant::now()))
                }
                () = sleep(self.interval()) => self.check(Instant::now()),
            };
            if let Some(order) = order {
                return (self, order);
            }
        }
    }

    /// How long until the next check.
    fn interval(&self) -> Duration {
        match self.draining_since {
            Some(_) => DRAIN_CHECK_INTERVAL,
            None => CHECK_INTERVAL,
        }
    }

    /// The server, or this connection, drains from `now` on.
    fn drain(&mut self, now: Instant) -> Order {
        self.draining_since = Some(now);
        Order::Drain
    }

    fn check(&mut self, now: Instant) -> Option<Order> {
        if let Some(since) = self.draining_since {
            let had_time = now.saturating_duration_since(since) > DRAIN_IDLE;
            let is_done = had_time && self.activity.is_done(now, DRAIN_IDLE);
            return is_done.then_some(Order::Close);
        }
        match self.activity.overdue(now, &self.limits)? {
            Overdue::Idle => Some(self.drain(now)),
            Overdue::Head | Overdue::Stalled => {
                tracing::debug!("a connection was closed: its client was too slow");
                Some(Order::Close)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor() -> (Supervisor, impl Fn(u64) -> Instant) {
        let opened = Instant::now();
        let at = move |milliseconds| opened + Duration::from_millis(milliseconds);
        let supervisor = Supervisor {
            activity: Arc::new(Activity::new(opened)),
            limits: ConnectionLimits::default(),
            drain: CancellationToken::new(),
            draining_since: None,
        };
        (supervisor, at)
    }

    #[test]
    fn an_idle_connection_drains_before_it_is_closed() {
        let (mut supervisor, at) = supervisor();
        assert_eq!(supervisor.check(at(75_000)), None);
        assert_eq!(supervisor.interval(), CHECK_INTERVAL);
        assert_eq!(supervisor.check(at(75_001)), Some(Order::Drain));
        assert_eq!(supervisor.interval(), DRAIN_CHECK_INTERVAL);
        assert_eq!(supervisor.check(at(75_501)), None);
        assert_eq!(supervisor.check(at(75_502)), Some(Order::Close));
    }

    #[test]
    fn a_draining_connection_is_kept_while_a_request_is_in_flight() {
        let (mut supervisor, at) = supervisor();
        let request = supervisor.activity.request(Version::HTTP_11);
        assert_eq!(supervisor.drain(at(0)), Order::Drain);
        assert_eq!(supervisor.check(at(60_000)), None);
        drop(request);
        assert_eq!(supervisor.check(at(60_000)), Some(Order::Close));
    }

    #[test]
    fn a_stalled_connection_is_closed_at_once() {
        let (mut supervisor, at) = supervisor();
        let _request = supervisor.activity.request(Version::HTTP_11);
        assert_eq!(supervisor.check(at(85_001)), Some(Order::Close));
    }
}
