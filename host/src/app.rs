//! An application: a component with what it imports, as a service for HTTP requests.

use crate::body::{Body, Cut, RequestBody};
use crate::engine::{ComponentError, one_line};
use crate::instance::{GuestResponse, Instance, Pool, State, Surroundings, linker};
use crate::key_value::{KeyValue, OpenError};
use crate::postgres::{Postgres, Sharing, Tls};
use crate::problem::Problem;
use crate::telemetry::{GuestFailure, Refusal, Span, Telemetry};
use crate::turns::Turns;
use crate::variables::Variables;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, Uri, Version};
use http_body_util::{BodyExt, Empty, Limited};
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

/// The longest answer that the host itself asks the component for.
const MAX_ASKED_BYTES: usize = 1024 * 1024;

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
    /// From the request's head to the end of its body, where the component reads it.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(10),
            max_in_flight: 1024,
            memory: 64 * 1024 * 1024,
            max_body: 1024 * 1024,
            body_timeout: Duration::from_secs(5),
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
    turns: Turns,
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

    /// Where the application reports what it does. Default: nowhere.
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.surroundings.telemetry = telemetry;
        self
    }

    /// # Errors
    /// If the component imports what this host does not have, or exports no HTTP handler.
    pub fn build(mut self) -> Result<App, ComponentError> {
        let surroundings = &mut self.surroundings;
        surroundings
            .postgres
            .report_to(surroundings.telemetry.clone());
        let engine = self.component.engine();
        let linker = linker(engine).map_err(|error| ComponentError::Engine(one_line(&error)))?;
        let pre = linker
            .instantiate_pre(&self.component)
            .map_err(|error| ComponentError::Imports(one_line(&error)))?;
        let pre = ProxyPre::new(pre).map_err(|error| ComponentError::Exports(one_line(&error)))?;
        Ok(App(Arc::new(Inner {
            pre,
            pool: Pool::new(self.surroundings.telemetry.metrics.clone()),
            surroundings: self.surroundings,
            turns: Turns::new(),
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
                telemetry: Telemetry::default(),
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
            pool: Pool::new(surroundings.telemetry.metrics.clone()),
            surroundings,
            turns: Turns::new(),
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

        let asking = async {
            let instance = Instance::new(&self.0.pre, self.0.surroundings.clone()).await;
            let mut instance = instance.map_err(|error| {
                Misconfigured(format!(
                    "--component: it does not start: {}",
                    one_line(&error)
                ))
            })?;
            instance.log().collect();
            let answer = self.ask(&mut instance, path).await;
            let lines = instance.log().collected();
            let document = answer.as_ref().map(|answer| answer.body().clone());
            let problem: serde_json::Value =
                serde_json::from_slice(&document.unwrap_or_default()).unwrap_or_default();
            if problem["type"] == TYPE {
                return Err(Misconfigured(lines.join("; ")));
            }
            for line in lines {
                tracing::info!(target: "guest", "{line}");
            }
            if answer.is_some() {
                self.0.pool.give_back(instance);
            }
            Ok(())
        };
        timeout(patience, asking).await.unwrap_or(Ok(()))
    }

    /// What the component answers to a `GET` of `path`, if it does within `patience`. It takes no place among
    /// the requests under way, and is not counted as one.
    pub async fn get(&self, path: &str, patience: Duration) -> Option<Response<Bytes>> {
        let asking = async {
            let mut instance = self.0.instance().await.ok()?;
            let answer = self.ask(&mut instance, path).await?;
            self.0.pool.give_back(instance);
            Some(answer)
        };
        timeout(patience, asking).await.ok().flatten()
    }

    /// `None` if `instance` must not be used again.
    async fn ask(&self, instance: &mut Instance, path: &str) -> Option<Response<Bytes>> {
        let uri = path.parse().ok()?;
        let mut request = Request::new(Empty::new().map_err(|never: Infallible| match never {}));
        *request.uri_mut() = with_authority(uri, Authority::from_static("localhost"));
        let (sender, head) = oneshot::channel();
        let handling = instance.handle(request, RequestContext::default(), sender);
        let reading = async {
            let (parts, body) = head.await.ok()?.ok()?.into_parts();
            let body = Limited::new(body, MAX_ASKED_BYTES).collect().await.ok()?;
            Some(Response::from_parts(parts, body.to_bytes()))
        };
        // A longer answer is only written to the end while it is read.
        let (handled, answer) = tokio::join!(handling, reading);
        handled.ok()?;
        answer
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.0.surroundings.telemetry
    }

    /// Answers one request. Whatever the component does, there is an answer within the limits.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        self.handle_in(request, RequestContext::default()).await
    }

    /// The same for a request that something is known about.
    pub(crate) fn handle_in<B>(
        &self,
        request: Request<B>,
        context: RequestContext,
    ) -> impl Future<Output = Response<Body>> + Send + use<B>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        // Here and not in the future: that would keep, and move, the request as well.
        let begun = self.begin(request, context);
        async {
            let answer = match begun {
                Ok(work) => work.answer().await,
                Err(problem) => Err(problem),
            };
            answer.unwrap_or_else(Response::from)
        }
    }

    fn begin<B>(&self, request: Request<B>, context: RequestContext) -> Result<Work, Problem>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let limits = &self.0.surroundings.limits;
        let place = Place::take(&self.0.in_flight, limits.max_in_flight).inspect_err(|_| {
            if let Some(metrics) = &self.telemetry().metrics {
                metrics.refusal(Refusal::InFlight);
            }
        })?;
        let (mut request, cut) = prepare(request, limits)?;
        let context = context.enter_guest(request.headers_mut());
        let id = context.id.clone();
        let (sender, head) = oneshot::channel();
        let broken = Arc::new(AtomicBool::new(false));
        let app = self.0.clone();
        let work = Inner::work(app.clone(), request, context, sender, broken.clone(), place);
        Ok(Work {
            app,
            id,
            work: Box::pin(work),
            head,
            broken,
            cut,
        })
    }
}

/// A request under way.
struct Work {
    app: Arc<Inner>,
    id: Option<HeaderValue>,
    work: Pin<Box<dyn Future<Output = End> + Send>>,
    head: oneshot::Receiver<GuestResponse>,
    broken: Arc<AtomicBool>,
    cut: Cut,
}

impl Work {
    async fn answer(mut self) -> Result<Response<Body>, Problem> {
        let (response, end) = tokio::select! {
            biased;
            end = &mut self.work => (self.head.try_recv().ok(), Some(end)),
            response = &mut self.head => {
                // The guest goes on: it writes the body, or tidies up.
                tokio::spawn(self.work);
                (response.ok(), None)
            }
        };
        if let Some(problem) = self.cut.get() {
            return Err(problem);
        }
        let request_id = request_id(&self.id);
        match (response, end) {
            // Nothing has been sent yet, so that the caller can be told, whatever there was of an answer.
            (_, Some(End::TimedOut)) => Err(Problem::Timeout),
            (_, Some(End::Failed)) => Err(Problem::Internal),
            (Some(Ok(response)), _) => Ok(response.map(|body| Body::component(body, self.broken))),
            (Some(Err(error)), _) => {
                self.app.failed(GuestFailure::NoAnswer);
                tracing::error!(request_id, "the component answered with an error: {error}");
                Err(Problem::Internal)
            }
            (None, _) => {
                self.app.failed(GuestFailure::NoAnswer);
                tracing::error!(request_id, "the component ended without an answer");
                Err(Problem::Internal)
            }
        }
    }
}

impl Inner {
    /// Has an instance do the work for `request`, to the end. If this is dropped half-way, so is the
    /// instance.
    async fn work<B>(
        self: Arc<Self>,
        request: Request<RequestBody<B>>,
        context: RequestContext,
        head: oneshot::Sender<GuestResponse>,
        broken: Arc<AtomicBool>,
        _place: Place,
    ) -> End
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let limit = self.surroundings.limits.request_timeout;
        let id = context.id.clone();
        let request_id = request_id(&id);
        let work = pin!(async {
            let mut instance = self.instance().await?;
            let handled = instance.handle(request, context, head).await;
            if handled.is_err() {
                // Said before the instance is dropped, which ends the body.
                broken.store(true, Ordering::Release);
            }
            handled.map(|()| instance)
        });
        match timeout(limit, self.turns.wait(work)).await {
            Ok(Ok(instance)) => {
                self.pool.give_back(instance);
                End::Clean
            }
            Ok(Err(error)) => {
                self.failed(GuestFailure::Trap);
                tracing::error!(request_id, "the component failed: {error:?}");
                End::Failed
            }
            Err(_) => {
                broken.store(true, Ordering::Release);
                self.failed(GuestFailure::Timeout);
                tracing::error!(request_id, "the component was cut off after {limit:?}");
                End::TimedOut
            }
        }
    }

    /// An idle instance, or a new one.
    async fn instance(&self) -> wasmtime::Result<Instance> {
        match self.pool.take() {
            Some(instance) => Ok(instance),
            // Rare, and large: apart from the future of each request.
            None => Box::pin(Instance::new(&self.pre, self.surroundings.clone())).await,
        }
    }

    fn failed(&self, failure: GuestFailure) {
        if let Some(metrics) = &self.surroundings.telemetry.metrics {
            metrics.guest_failure(failure);
        }
    }
}

/// What is known of a request besides itself.
#[derive(Clone, Default)]
pub(crate) struct RequestContext {
    /// What lines of the log name it by.
    pub id: Option<HeaderValue>,
    /// The span of what is being done for it.
    pub span: Option<Arc<Span>>,
}

impl RequestContext {
    /// The component's part begins; what it calls in turn is in the span that `headers` tell it.
    fn enter_guest(self, headers: &mut HeaderMap) -> Self {
        let span = self.span.map(|span| {
            let guest = span.guest();
            guest.inject(headers);
            Arc::new(guest)
        });
        Self { span, ..self }
    }
}

/// As lines of the log have it.
fn request_id(id: &Option<HeaderValue>) -> Option<&str> {
    id.as_ref()?.to_str().ok()
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
    limits: &Limits,
) -> Result<(Request<RequestBody<B>>, Cut), Problem>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let declared = parts.headers.get(CONTENT_LENGTH);
    let declared: Option<u64> = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    let expects_continue = parts.headers.contains_key(EXPECT);
    let cut = Cut::default();
    let body = RequestBody::new(body, limits, expects_continue, cut.clone());
    if declared.is_some_and(|length| length > limits.max_body) {
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
    Ok((Request::from_parts(parts, body), cut))
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
