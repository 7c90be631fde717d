//! What whoever runs the host asks it, on a listener of its own: probes and metrics.

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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// How long the component may take to say that it is ready: less than the second that a kubelet waits by default.
const READY_TIMEOUT: Duration = Duration::from_millis(800);

/// How long what it said is taken for true.
const READY_CACHE: Duration = Duration::from_secs(1);

/// Each thread that serves gives a sign of life so often; after so long without one it counts as stuck.
const HEARTBEAT: Duration = Duration::from_secs(1);
const MAX_SILENCE: Duration = Duration::from_secs(20);

/// Those who probe and scrape are few.
const MAX_CONNECTIONS: usize = 64;

/// A connection is told to close after so long, and whoever asks opens another.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Wait so long after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What is known of the life of this process. Clones share it.
#[derive(Clone, Default)]
pub struct Life(Arc<State>);

#[derive(Default)]
struct State {
    has_started: AtomicBool,
    is_draining: AtomicBool,
    heartbeats: Mutex<Vec<Heartbeat>>,
}

/// The time of the last sign of life, in milliseconds since the first.
struct Heartbeat {
    began: Instant,
    last: Arc<AtomicU64>,
}

impl Life {
    /// Requests are served from now on.
    pub fn start(&self) {
        self.0.has_started.store(true, Ordering::Relaxed);
    }

    /// No new requests should come from now on.
    pub fn drain(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
    }

    /// Gives signs of life for ever: a part of the work of each thread that serves.
    pub async fn beat(self) {
        let last = Arc::<AtomicU64>::default();
        let began = Instant::now();
        self.heartbeats().push(Heartbeat {
            began,
            last: last.clone(),
        });
        let mut interval = interval(HEARTBEAT);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            last.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
    }

    fn is_alive(&self) -> bool {
        self.heartbeats().iter().all(|heartbeat| {
            let last = Duration::from_millis(heartbeat.last.load(Ordering::Relaxed));
            heartbeat.began.elapsed().saturating_sub(last) < MAX_SILENCE
        })
    }

    fn heartbeats(&self) -> MutexGuard<'_, Vec<Heartbeat>> {
        let heartbeats = self.0.heartbeats.lock();
        heartbeats.unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the admin listener answers.
pub struct Admin {
    app: App,
    ready_path: String,
    metrics: Arc<Metrics>,
    life: Life,
    /// What the component said last, and when.
    ready: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

impl Admin {
    /// Asks `app` at `ready_path` whether it is ready.
    pub fn new(app: App, ready_path: String, metrics: Arc<Metrics>, life: Life) -> Self {
        Self {
            app,
            ready_path,
            metrics,
            life,
            ready: tokio::sync::Mutex::default(),
        }
    }

    /// Serves `listener` for ever.
    pub async fn serve(self, listener: TcpListener) {
        let admin = Arc::new(self);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!("the admin listener cannot accept: {error}");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let admin = admin.clone();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let admin = admin.clone();
                async move { Ok::<_, Infallible>(admin.answer(&request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move {
                let mut connection = pin!(connection);
                // However it ends, whoever asked asks again.
                if timeout(CONNECTION_TIMEOUT, connection.as_mut())
                    .await
                    .is_err()
                {
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(HEADER_TIMEOUT, connection).await;
                }
                drop(place);
            });
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
            "/livez" => probe(self.life.is_alive(), "a thread is stuck\n"),
            "/startupz" => {
                let has_started = self.life.0.has_started.load(Ordering::Relaxed);
                probe(has_started, "starting\n")
            }
            "/readyz" if self.is_draining() => probe(false, "draining\n"),
            "/readyz" => probe(self.is_ready().await, "the component is not ready\n"),
            "/metrics" => self.metrics(request.headers()).await,
            _ => text(
                StatusCode::NOT_FOUND,
                "here are /livez, /readyz, /startupz and /metrics\n",
            ),
        }
    }

    fn is_draining(&self) -> bool {
        self.life.0.is_draining.load(Ordering::Relaxed)
    }

    async fn is_ready(&self) -> bool {
        if self.is_draining() {
            return false;
        }
        // One asks, and all who ask meanwhile get the same answer.
        let mut ready = self.ready.lock().await;
        if let Some((when, is_ready)) = *ready
            && when.elapsed() < READY_CACHE
        {
            return is_ready;
        }
        let answer = self.app.get(&self.ready_path, READY_TIMEOUT).await;
        let is_ready = answer.is_some_and(|answer| answer.status().is_success());
        *ready = Some((Instant::now(), is_ready));
        is_ready && !self.is_draining()
    }

    async fn metrics(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        self.metrics.ready.set(i64::from(self.is_ready().await));
        let (format, content_type) = match format(headers) {
            Format::Prometheus => (Format::Prometheus, PROMETHEUS),
            Format::OpenMetrics => (Format::OpenMetrics, OPEN_METRICS),
        };
        let mut response = Response::new(Full::from(self.metrics.encode(format)));
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

/// The newer format only for those who say that they know it.
fn format(headers: &HeaderMap) -> Format {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    match accept {
        Some(accept) if accept.contains("application/openmetrics-text") => Format::OpenMetrics,
        _ => Format::Prometheus,
    }
}

fn probe(is_well: bool, reason: &'static str) -> Response<Full<Bytes>> {
    if is_well {
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
