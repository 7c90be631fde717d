//! What the operator can ask, on a listener of its own: probes and metrics.

mod lifecycle;

pub use lifecycle::Lifecycle;

use crate::app::App;
use crate::telemetry::{Format, Metrics};
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{sleep, timeout};

/// How long the component may take to answer whether it is ready: less than the second that a kubelet waits by default.
const READY_TIMEOUT: Duration = Duration::from_millis(800);

/// How long its answer is used again.
const READY_CACHE: Duration = Duration::from_secs(1);

/// The most open connections: few programs probe and scrape.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection stays open. After that the client is told to open another.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// When `/readyz` asks the component.
///
/// ```
/// # use http_component_runtime::Readiness;
/// assert_ne!(Readiness::Once, Readiness::Always);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Until it was ready once: its store could be read and written then. A later outage of a store that all instances share
    /// leaves them ready, because without instances clients would get an error of the proxy instead of that of the component.
    Once,
    /// With each probe.
    Always,
}

/// What the admin listener answers.
///
/// ```no_run
/// # use http_component_runtime::{Admin, App, Lifecycle, Readiness};
/// # async fn example(app: App) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9901").await?;
/// let lifecycle = Lifecycle::default();
/// let admin = Admin::new(app, "/health".to_owned(), Readiness::Once, lifecycle);
/// tokio::spawn(admin.serve(listener));
/// # Ok(())
/// # }
/// ```
pub struct Admin {
    app: App,
    ready_path: String,
    readiness: Readiness,
    was_ready: AtomicBool,
    metrics: Metrics,
    lifecycle: Lifecycle,
    /// The last answer of the component, and when it came.
    ready: Mutex<Option<(Instant, bool)>>,
}

impl Admin {
    /// Asks `app` at `ready_path` whether it is ready. The metrics are those that `app` reports to.
    pub fn new(app: App, ready_path: String, readiness: Readiness, lifecycle: Lifecycle) -> Self {
        Self {
            metrics: app.telemetry().metrics.clone(),
            app,
            ready_path,
            readiness,
            was_ready: AtomicBool::new(false),
            lifecycle,
            ready: Mutex::default(),
        }
    }

    /// Serves `listener` for ever.
    pub async fn serve(self, listener: TcpListener) {
        let admin = Arc::new(self);
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let slot = slots.clone().acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let admin = admin.clone();
                    tokio::spawn(async move {
                        admin.serve_connection(stream).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::debug!("the admin listener cannot accept: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve_connection(&self, stream: TcpStream) {
        let service = service_fn(async |request: Request<hyper::body::Incoming>| {
            Ok::<_, Infallible>(self.answer(&request).await)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        // A connection that fails is no loss: the client asks again.
        if timeout(CONNECTION_TIMEOUT, connection.as_mut())
            .await
            .is_err()
        {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(HEADER_TIMEOUT, connection).await;
        }
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        match request.uri().path() {
            "/livez" => probe(self.lifecycle.is_alive(), "a thread is stuck\n"),
            "/startupz" => probe(self.lifecycle.has_started(), "starting\n"),
            "/readyz" if self.lifecycle.is_draining() => probe(false, "draining\n"),
            "/readyz" if self.stays_ready() => probe(true, ""),
            "/readyz" => probe(self.is_ready().await, "the component is not ready\n"),
            "/metrics" => self.metrics(request.headers()).await,
            _ => text(
                StatusCode::NOT_FOUND,
                "not found: there are /livez, /readyz, /startupz and /metrics\n",
            ),
        }
    }

    fn stays_ready(&self) -> bool {
        self.readiness == Readiness::Once && self.was_ready.load(Ordering::Relaxed)
    }

    /// What the component says now.
    async fn is_ready(&self) -> bool {
        if self.lifecycle.is_draining() {
            return false;
        }
        // One request asks the component; those that come meanwhile wait for the same answer.
        let mut ready = self.ready.lock().await;
        if let Some((when, is_ready)) = *ready
            && when.elapsed() < READY_CACHE
        {
            return is_ready;
        }
        let answer = self.app.get(&self.ready_path, READY_TIMEOUT).await;
        let is_ready = answer.is_some_and(|answer| answer.status().is_success());
        *ready = Some((Instant::now(), is_ready));
        self.was_ready.fetch_or(is_ready, Ordering::Relaxed);
        is_ready && !self.lifecycle.is_draining()
    }

    async fn metrics(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        self.metrics.ready(self.is_ready().await);
        let (format, content_type) = match format(headers) {
            Format::Prometheus => (Format::Prometheus, PROMETHEUS),
            Format::OpenMetrics => (Format::OpenMetrics, OPEN_METRICS),
        };
        let mut response = Response::new(Full::from(self.metrics.encode(format)));
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

/// OpenMetrics for those who ask for it, as Prometheus does.
fn format(headers: &HeaderMap) -> Format {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    match accept {
        Some(accept) if accept.contains("application/openmetrics-text") => Format::OpenMetrics,
        _ => Format::Prometheus,
    }
}

fn probe(succeeds: bool, reason: &'static str) -> Response<Full<Bytes>> {
    if succeeds {
        text(StatusCode::OK, "ok\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, reason)
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PLAIN_TEXT);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
