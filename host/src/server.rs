//! HTTP connections: accepts them within their limits, serves an application over them, and drains them at
//! the end.

use crate::body::Held;
use crate::connection::{Overdue, Watch, Watched};
use crate::edge::Edge;
use crate::https::Https;
use crate::telemetry::{Metrics, Refusal, Telemetry};
use futures_util::FutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

/// The most header fields of a request; more are answered 431.
const MAX_HEADERS: usize = 100;

/// The longest head of a request, in bytes; a longer one is answered 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The most requests under way in one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// HTTP/2 streams that a caller opens and resets at once (rapid reset, CVE-2023-44487): with more than so many
/// of them at a time the connection is closed. That a head of endless CONTINUATION frames is not collected
/// (CVE-2024-27316) comes with `MAX_HEAD_BYTES`.
const MAX_RESET_STREAMS: usize = 20;

/// Wait so long after an error that accepting again would only repeat (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many connections that waited to be accepted when the server was told to stop are accepted: as many as the
/// kernel keeps, for us.
const MAX_LATE: usize = 1024;

/// How often a connection is looked at for what it has not done in time.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Once a connection is told to close, it may take so long to go where no request is under way: enough to finish
/// the head of one, and to take the last answer.
const DRAIN_IDLE: Duration = Duration::from_millis(500);
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How long the head of a request may take, from its first byte on; and a TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection may stay without a request.
    pub idle_timeout: Duration,
    /// How long a connection with a request under way may go without a byte in either direction.
    pub stall_timeout: Duration,
    /// How many connections may be open at a time; more are closed at once.
    pub max_connections: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(85),
            max_connections: 8192,
        }
    }
}

/// How connections are served. Clones count them together.
#[derive(Clone)]
pub struct Server {
    limits: ConnectionLimits,
    https: Option<Https>,
    open: Arc<AtomicUsize>,
}

impl Server {
    /// Over TLS, if there is `https`.
    pub fn new(limits: ConnectionLimits, https: Option<Https>) -> Self {
        Self {
            limits,
            https,
            open: Arc::default(),
        }
    }

    /// Serves `edge` on `listener` until `shutdown` is done; then gives the requests under way `grace` to
    /// finish.
    pub async fn serve(
        &self,
        listener: TcpListener,
        edge: Edge,
        shutdown: impl Future,
        grace: Duration,
    ) {
        let (stop, stopping) = watch::channel(());
        // Closed when the last connection has dropped its end.
        let (alive, mut ended) = mpsc::channel::<Infallible>(1);
        let serve = |stream| {
            let Some(place) = self.place(edge.telemetry()) else {
                return;
            };
            let connection = Connection {
                edge: edge.clone(),
                limits: self.limits,
                stopping: stopping.clone(),
            };
            let (https, alive) = (self.https.clone(), alive.clone());
            tokio::spawn(async move {
                connection.accept(stream, https).await;
                drop((place, alive));
            });
        };
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = &mut shutdown => break,
            };
            match accepted {
                Ok((stream, _)) => serve(stream),
                Err(error) => {
                    if !concerns_one_connection(&error) {
                        tracing::warn!("cannot accept connections: {error}");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        // Those that wait to be accepted would be reset with the listener.
        for _ in 0..MAX_LATE {
            match listener.accept().now_or_never() {
                Some(Ok((stream, _))) => serve(stream),
                _ => break,
            }
        }
        drop(listener);
        drop((alive, stop, stopping));
        if timeout(grace, ended.recv()).await.is_err() {
            tracing::warn!("requests were still under way after {grace:?}, and were cut off");
        }
    }

    fn place(&self, telemetry: &Telemetry) -> Option<Place> {
        let place = Place {
            open: self.open.clone(),
            metrics: telemetry.metrics.clone(),
        };
        if let Some(metrics) = &place.metrics {
            metrics.connections.inc();
        }
        if place.open.fetch_add(1, Ordering::Relaxed) < self.limits.max_connections {
            return Some(place);
        }
        if let Some(metrics) = &place.metrics {
            metrics.refusal(Refusal::Connections);
        }
        None
    }
}

/// A place among the open connections, until it is dropped.
struct Place {
    open: Arc<AtomicUsize>,
    metrics: Option<Arc<Metrics>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(metrics) = &self.metrics {
            metrics.connections.dec();
        }
    }
}

struct Connection {
    edge: Edge,
    limits: ConnectionLimits,
    /// Fails as soon as the server drains.
    stopping: watch::Receiver<()>,
}

impl Connection {
    async fn accept(mut self, stream: TcpStream, https: Option<Https>) {
        // Without it the end of a chunked answer waits for the caller's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection was gone before it was served: {error}");
            return;
        }
        let Some(https) = https else {
            return self.serve(stream).await;
        };
        let handshake = tokio::select! {
            handshake = timeout(self.limits.header_timeout, https.accept(stream)) => handshake,
            // Nothing was asked for yet.
            _ = self.stopping.changed() => return,
        };
        match handshake {
            // Its future is larger than that of a plain connection.
            Ok(Ok(stream)) => Box::pin(self.serve(stream)).await,
            Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self {
            edge,
            limits,
            mut stopping,
        } = self;
        let watch = Arc::new(Watch::new());
        let service = service_fn(|request: Request<Incoming>| {
            let request_under_way = watch.request(request.version());
            edge.handle(request).map(|response| {
                Ok::<_, Infallible>(response.map(|body| Held::new(body, request_under_way)))
            })
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // Here it would be one timeout for heads and for pauses between requests: `watch` tells them apart.
            .header_read_timeout(None)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
            .keep_alive_interval(limits.idle_timeout)
            .keep_alive_timeout(limits.header_timeout);
        let stream = TokioIo::new(Watched::new(stream, watch.clone()));
        let mut connection = pin!(builder.serve_connection(stream, service));
        let mut look = pin!(sleep(LOOK_INTERVAL));
        let mut draining_since = None;
        loop {
            tokio::select! {
                // Nearly always it is the connection that has something to do.
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!("a connection ended early: {error}");
                    }
                    return;
                }
                _ = stopping.changed(), if draining_since.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    draining_since = Some(Instant::now());
                    look.as_mut().reset(Instant::now() + DRAIN_LOOK_INTERVAL);
                }
                () = look.as_mut() => {
                    if let Some(since) = draining_since {
                        if since.elapsed() > DRAIN_IDLE && watch.is_done_for(DRAIN_IDLE) {
                            return;
                        }
                    } else {
                        match watch.overdue(&limits) {
                            None => {}
                            // It is told, and may finish what it has begun by then.
                            Some(Overdue::Idle) => {
                                connection.as_mut().graceful_shutdown();
                                draining_since = Some(Instant::now());
                            }
                            Some(Overdue::Head | Overdue::Stalled) => {
                                tracing::debug!("a connection was closed: its caller was too slow");
                                return;
                            }
                        }
                    }
                    let interval = match draining_since {
                        Some(_) => DRAIN_LOOK_INTERVAL,
                        None => LOOK_INTERVAL,
                    };
                    look.as_mut().reset(Instant::now() + interval);
                }
            }
        }
    }
}

/// Whether an error of `accept` is that of the connection that was to be accepted, not of the listener.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
