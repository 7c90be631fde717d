//! An application: a component with what it imports, as a service for HTTP requests.

use crate::body::{Body, RequestBody};
use crate::engine::{ComponentError, one_line};
use crate::instance::{GuestResponse, Instance, Pool, State, Surroundings, linker};
use crate::key_value::{KeyValue, OpenError};
use crate::postgres::{Postgres, Sharing, Tls};
use crate::problem::Problem;
use crate::variables::Variables;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt, Empty};
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower_service::Service;
use wasmtime::component::Component;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// What one request, and all of them together, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the request's head to the end of the component's work for it.
    pub request_timeout: Duration,
    /// How many requests may be under way at a time; more are answered 503 at once.
    pub max_in_flight: usize,
    /// The linear memory of one instance, in bytes.
    pub memory: usize,
    /// The longest request body, in bytes.
    pub max_body: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(10),
            max_in_flight: 1024,
            memory: 64 * 1024 * 1024,
            max_body: 1024 * 1024,
        }
    }
}

/// A component that serves requests. Clones are cheap and share everything.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    pre: ProxyPre<State>,
    surroundings: Surroundings,
    pool: Pool,
    in_flight: Arc<AtomicUsize>,
}

/// Puts an [`App`] together. What is not said is left at its default.
pub struct Builder {
    component: Component,
    surroundings: Surroundings,
}

impl Builder {
    /// What the component asks `fermyon:spin/variables` for. Default: none is set.
    pub fn variables(mut self, variables: Variables) -> Self {
        self.surroundings.variables = variables;
        self
    }

    /// The store behind `fermyon:spin/key-value`. Default: in memory.
    pub fn key_value(mut self, key_value: KeyValue) -> Self {
        self.surroundings.key_value = key_value;
        self
    }

    /// How `spin:postgres` connects. Default: the authorities of the system, pipelined.
    pub fn postgres(mut self, postgres: Postgres) -> Self {
        self.surroundings.postgres = postgres;
        self
    }

    pub fn limits(mut self, limits: Limits) -> Self {
        self.surroundings.limits = limits;
        self
    }

    /// What the component's wall clock shows, as the time since 1970-01-01T00:00:00Z. Default: the time.
    pub fn wall_clock(mut self, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.surroundings.wall_clock = Some(Arc::new(now));
        self
    }

    /// # Errors
    /// If the component imports what this host does not have, or exports no HTTP handler.
    pub fn build(self) -> Result<App, ComponentError> {
        let engine = self.component.engine();
        let linker = linker(engine).map_err(|error| ComponentError::Engine(one_line(&error)))?;
        let pre = linker
            .instantiate_pre(&self.component)
            .map_err(|error| ComponentError::Imports(one_line(&error)))?;
        let pre = ProxyPre::new(pre).map_err(|error| ComponentError::Exports(one_line(&error)))?;
        Ok(App(Arc::new(Inner {
            pre,
            surroundings: self.surroundings,
            pool: Pool::default(),
            in_flight: Arc::default(),
        })))
    }
}

/// A component that cannot work with the settings it was given, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(String);

impl App {
    pub fn builder(component: Component) -> Builder {
        Builder {
            component,
            surroundings: Surroundings {
                variables: Variables::default(),
                key_value: KeyValue::memory(),
                postgres: Postgres::new(Tls::default(), Sharing::default()),
                wall_clock: None,
                limits: Limits::default(),
            },
        }
    }

    /// The same application for another thread: with instances and connections of its own, and the limit
    /// on requests under way shared.
    ///
    /// # Errors
    /// If the store cannot be opened once more.
    pub fn for_another_thread(&self) -> Result<Self, OpenError> {
        let surroundings = Surroundings {
            key_value: self.0.surroundings.key_value.for_another_thread()?,
            postgres: self.0.surroundings.postgres.for_another_thread(),
            ..self.0.surroundings.clone()
        };
        Ok(Self(Arc::new(Inner {
            pre: self.0.pre.clone(),
            surroundings,
            pool: Pool::default(),
            in_flight: self.0.in_flight.clone(),
        })))
    }

    /// Asks the component at `path` whether it can work with its settings, for at most `patience`: no
    /// answer in that time is no objection.
    ///
    /// # Errors
    /// If no instance can be made, or the answer is a problem document of the type
    /// `/problems/misconfigured`; then the reason is what the component has written to its log.
    pub async fn check(&self, path: &str, patience: Duration) -> Result<(), Misconfigured> {
        const TYPE: &str = "/problems/misconfigured";

        let Ok(uri) = path.parse::<Uri>() else {
            return Ok(());
        };
        let mut request = Request::new(Empty::new().map_err(|never: Infallible| match never {}));
        *request.uri_mut() = with_authority(uri, Authority::from_static("localhost"));
        let asking = async {
            let surroundings = self.0.surroundings.clone();
            let mut instance = match Instance::new(&self.0.pre, surroundings).await {
                Ok(instance) => instance,
                Err(error) => {
                    let reason = format!("--component: it does not start: {}", one_line(&error));
                    return Some(Misconfigured(reason));
                }
            };
            instance.log().collect();
            let (sender, head) = oneshot::channel();
            let handled = instance.handle(request, sender).await;
            let lines = instance.log().collected();
            let document = match head.await {
                Ok(Ok(response)) => response.into_body().collect().await.ok()?.to_bytes(),
                _ => Bytes::new(),
            };
            let problem: serde_json::Value = serde_json::from_slice(&document).unwrap_or_default();
            if problem["type"] == TYPE {
                return Some(Misconfigured(lines.join("; ")));
            }
            for line in lines {
                tracing::info!(target: "guest", "{line}");
            }
            if handled.is_ok() {
                self.0.pool.give_back(instance);
            }
            None
        };
        match timeout(patience, asking).await {
            Ok(Some(misconfigured)) => Err(misconfigured),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Answers one request. Whatever the component does, there is an answer within the limits.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        self.answer(request).await.unwrap_or_else(Response::from)
    }

    async fn answer<B>(&self, request: Request<B>) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let limits = &self.0.surroundings.limits;
        let place = Place::take(&self.0.in_flight, limits.max_in_flight)?;
        let (request, too_large) = prepare(request, limits.max_body)?;
        let (sender, mut head) = oneshot::channel();
        let broken = Arc::new(AtomicBool::new(false));
        let mut work = Box::pin(Self::work(
            self.0.clone(),
            request,
            sender,
            broken.clone(),
            place,
        ));
        let (response, end) = tokio::select! {
            biased;
            end = &mut work => (head.try_recv().ok(), Some(end)),
            response = &mut head => {
                // The guest goes on: it writes the body, or tidies up.
                tokio::spawn(work);
                (response.ok(), None)
            }
        };
        if too_large.load(Ordering::Relaxed) {
            return Err(Problem::BodyTooLarge);
        }
        match (response, end) {
            // Nothing has been sent yet, so that the caller can be told, whatever there was of an answer.
            (_, Some(End::TimedOut)) => Err(Problem::Timeout),
            (_, Some(End::Failed)) => Err(Problem::Internal),
            (Some(Ok(response)), _) => Ok(response.map(|body| Body::component(body, broken))),
            (Some(Err(error)), _) => {
                tracing::error!("the component answered with an error: {error}");
                Err(Problem::Internal)
            }
            (None, _) => {
                tracing::error!("the component ended without an answer");
                Err(Problem::Internal)
            }
        }
    }

    /// Has an instance do the work for `request`, to the end. If this is dropped half-way, so is the
    /// instance.
    async fn work<B>(
        app: Arc<Inner>,
        request: Request<RequestBody<B>>,
        head: oneshot::Sender<GuestResponse>,
        broken: Arc<AtomicBool>,
        _place: Place,
    ) -> End
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let limit = app.surroundings.limits.request_timeout;
        let mut work = pin!(timeout(limit, async {
            let mut instance = match app.pool.take() {
                Some(instance) => instance,
                None => Instance::new(&app.pre, app.surroundings.clone()).await?,
            };
            let handled = instance.handle(request, head).await;
            if handled.is_err() {
                // Said before the instance is dropped, which ends the body.
                broken.store(true, Ordering::Release);
            }
            handled.map(|()| instance)
        }));
        match work.as_mut().await {
            Ok(Ok(instance)) => {
                app.pool.give_back(instance);
                End::Clean
            }
            Ok(Err(error)) => {
                tracing::error!("the component failed: {error:?}");
                End::Failed
            }
            Err(_) => {
                broken.store(true, Ordering::Release);
                tracing::error!("the component was cut off after {limit:?}");
                End::TimedOut
            }
        }
    }
}

/// How an instance came to the end of a request.
enum End {
    Clean,
    Failed,
    TimedOut,
}

/// A place among the requests under way, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(in_flight: &Arc<AtomicUsize>, max: usize) -> Result<Self, Problem> {
        let place = Self(in_flight.clone());
        if place.0.fetch_add(1, Ordering::Relaxed) < max {
            Ok(place)
        } else {
            Err(Problem::Overloaded)
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The request as the component gets it, and what tells that its body was cut off.
fn prepare<B>(
    request: Request<B>,
    max_body: u64,
) -> Result<(Request<RequestBody<B>>, Arc<AtomicBool>), Problem>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let declared = parts.headers.get(CONTENT_LENGTH);
    let declared: Option<u64> = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    let too_large = Arc::new(AtomicBool::new(false));
    let expects_continue = parts.headers.contains_key(EXPECT);
    let body = RequestBody::new(body, max_body, expects_continue, too_large.clone());
    if declared.is_some_and(|length| length > max_body) {
        return Err(Problem::BodyTooLarge);
    }
    if parts.uri.authority().is_none() {
        let mut hosts = parts.headers.get_all(HOST).iter();
        let authority = match (hosts.next(), hosts.next()) {
            (Some(host), None) => {
                Authority::try_from(host.as_bytes()).map_err(|_| Problem::BadRequest)?
            }
            // Before HTTP/1.1 there was no Host, and whom else could it mean?
            (None, _) if parts.version < Version::HTTP_11 => Authority::from_static("localhost"),
            // RFC 9112, 3.2
            _ => return Err(Problem::BadRequest),
        };
        parts.uri = with_authority(parts.uri, authority);
    }
    Ok((Request::from_parts(parts, body), too_large))
}

/// `uri` in absolute form.
fn with_authority(uri: Uri, authority: Authority) -> Uri {
    let mut parts = uri.into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    Uri::from_parts(parts).expect("scheme, authority and path make a URI")
}

impl<B> Service<Request<B>> for App
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let app = self.clone();
        Box::pin(async move { Ok(app.handle(request).await) })
    }
}
