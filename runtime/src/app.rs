//! An application: a component with what it imports, as a service for HTTP requests.

use crate::admission::{Admission, Admitted};
use crate::egress::Egress;
use crate::generation::Generation;
use crate::guest::engine::{ComponentError, one_line};
use crate::guest::{
    Body, ConcurrencyLimit, Ending, GuestConfig, GuestResponse, Instance, Outcome, RequestBody,
    State, declared_length, linker, prepare, with_authority,
};
use crate::imports::Imports;
use crate::imports::key_value::{KeyValue, OpenError};
use crate::imports::postgres::Postgres;
use crate::imports::variables::Variables;
use crate::limits::{Limits, Slots};
use crate::problem::Problem;
use crate::request::{RequestContext, RequestId};
use crate::telemetry::{GUEST, GuestFailure, Refusal, Telemetry};
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::uri::Authority;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty, Limited};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower_service::Service;
use wasmtime::component::Component;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// The longest answer to a request that the host itself makes of the component.
const MAX_OWN_ANSWER_BYTES: usize = 1024 * 1024;

/// The type of the problem document by which a component refuses its settings ([`App::check`]).
const MISCONFIGURED: &str = "/problems/misconfigured";

/// A component that serves requests. Clones are cheap and share everything.
///
/// ```no_run
/// # use http_component_runtime::{App, engine};
/// # use std::time::Duration;
/// # async fn example(request: http::Request<http_body_util::Full<bytes::Bytes>>) -> Result<(), Box<dyn std::error::Error>> {
/// let engine = engine::engine()?;
/// let app = App::builder(engine::load_file(&engine, "component.wasm".as_ref())?).build()?;
/// // Whether it can work with its settings.
/// app.check("/health", Duration::from_secs(1)).await?;
/// let response = app.handle(request).await;
/// // For a second thread, with instances of its own.
/// let another = app.for_another_thread()?;
/// let health = another.get("/health", Duration::from_secs(1)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    pre: ProxyPre<State>,
    limits: Limits,
    telemetry: Telemetry,
    generation: Mutex<Arc<Generation>>,
    /// The same application for all threads.
    threads: Threads,
    concurrency: ConcurrencyLimit,
    admission: Admission,
}

type Threads = Arc<Mutex<Vec<Weak<Inner>>>>;

/// Builds an [`App`]. What is not set has its default.
///
/// ```no_run
/// # use http_component_runtime::{App, Egress, KeyValue, Limits, Postgres, Telemetry, Variables};
/// # use std::time::Duration;
/// # fn example(component: wasmtime::component::Component) -> Result<(), Box<dyn std::error::Error>> {
/// let settings = [("timezone".to_owned(), "Europe/Berlin".to_owned())];
/// let app = App::builder(component)
///     .variables(Variables::new([], settings)?)
///     .key_value(KeyValue::sqlite("data.db".as_ref())?)
///     .egress(Egress::new(vec!["https://api.example.com".parse()?]))
///     .postgres(Postgres::default())
///     .limits(Limits { request_timeout: Duration::from_secs(2), ..Limits::default() })
///     .wall_clock(|| Duration::from_secs(1_800_000_000))
///     .telemetry(Telemetry::default())
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub struct Builder {
    component: Component,
    config: GuestConfig,
    egress: Egress,
}

impl Builder {
    /// What `fermyon:spin/variables` answers. Default: no variable is set.
    pub fn variables(mut self, variables: Variables) -> Self {
        self.config.imports.variables = variables;
        self
    }

    /// The store behind `fermyon:spin/key-value`. Default: in memory.
    pub fn key_value(mut self, key_value: KeyValue) -> Self {
        self.config.imports.key_value = key_value;
        self
    }

    /// Where the component may connect to, over HTTP and to Postgres. Default: nowhere.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// How `spin:postgres` connects. Default: shared connections, and the system's authorities for TLS.
    pub fn postgres(mut self, postgres: Postgres) -> Self {
        self.config.imports.postgres = postgres;
        self
    }

    /// What requests may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self.config.all_memory = Slots::new(limits.all_memory);
        self
    }

    /// What the component's wall clock shows, as the time since 1970-01-01T00:00:00Z. Default: the system's time.
    pub fn wall_clock(mut self, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.config.wall_clock = Some(Arc::new(now));
        self
    }

    /// Where the application reports what it does. Default: nowhere.
    ///
    /// Each application should have [`Metrics`](crate::Metrics) of its own: of several that share them, requests are counted
    /// together, and connections to Postgres and refused connections are those of the first.
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.config.telemetry = telemetry;
        self
    }

    /// The application, which has no instance yet: the first request makes one.
    ///
    /// # Errors
    /// If the component imports what this host does not offer, or does not export an HTTP handler.
    pub fn build(self) -> Result<App, ComponentError> {
        let Self {
            component,
            mut config,
            egress,
        } = self;
        config
            .telemetry
            .metrics
            .observe_egress(egress.refusal_counts());
        config.imports.set_egress(egress);
        let counts = config.imports.postgres.connection_counts();
        config.telemetry.metrics.observe_postgres(counts);
        let linker = linker(component.engine(), &config.imports)
            .map_err(|error| ComponentError::Engine(one_line(&error)))?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|error| ComponentError::Imports(one_line(&error)))?;
        let pre = ProxyPre::new(pre).map_err(|error| ComponentError::Exports(one_line(&error)))?;
        let admission = Admission::new(&config.limits, config.telemetry.metrics.clone());
        Ok(App::new(pre, config, Threads::default(), admission))
    }
}

/// Why an application should not be served.
///
/// ```
/// # use http_component_runtime::{App, CheckError};
/// # async fn example(app: App) {
/// match app.check("/health", std::time::Duration::from_secs(1)).await {
///     Err(CheckError::Misconfigured(reason)) => eprintln!("wrong settings: {reason}"),
///     Err(error) => eprintln!("{error}"),
///     Ok(()) => {}
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// No instance of the component can be made. The text says why, in one line.
    #[error("it does not start: {0}")]
    Start(String),
    /// The component refuses its settings. The text is what it logged, in one line.
    #[error("{0}")]
    Misconfigured(String),
}

impl App {
    /// Serves `component`. What it imports and what it may take follow.
    pub fn builder(component: Component) -> Builder {
        Builder {
            component,
            config: GuestConfig {
                imports: Imports::default(),
                limits: Limits::default(),
                all_memory: Slots::new(Limits::default().all_memory),
                wall_clock: None,
                telemetry: Telemetry::default(),
            },
            egress: Egress::default(),
        }
    }

    fn new(
        pre: ProxyPre<State>,
        config: GuestConfig,
        threads: Threads,
        admission: Admission,
    ) -> Self {
        let inner = Arc::new(Inner {
            pre,
            limits: config.limits,
            telemetry: config.telemetry.clone(),
            generation: Mutex::new(Arc::new(Generation::new(config))),
            threads,
            concurrency: ConcurrencyLimit::new(),
            admission,
        });
        let mut threads = inner.threads.lock();
        threads.retain(|one| one.strong_count() > 0);
        threads.push(Arc::downgrade(&inner));
        drop(threads);
        Self(inner)
    }

    /// The same application for another thread: with instances and connections of its own, and the limits on all requests
    /// shared.
    ///
    /// # Errors
    /// If the key-value store cannot be opened once more.
    pub fn for_another_thread(&self) -> Result<Self, OpenError> {
        let config = &self.0.generation().config;
        let config = GuestConfig {
            imports: config.imports.for_another_thread()?,
            ..config.clone()
        };
        let Inner {
            pre,
            threads,
            admission,
            ..
        } = &*self.0;
        Ok(Self::new(
            pre.clone(),
            config,
            threads.clone(),
            admission.clone(),
        ))
    }

    /// The same application with other settings, to see whether it can work with them: with instances and connections of its
    /// own, and the limits on all requests shared.
    ///
    /// # Errors
    /// If the key-value store cannot be opened once more.
    pub fn with_settings(&self, variables: Variables, egress: Egress) -> Result<Self, OpenError> {
        let config = &self.0.generation().config;
        let config = GuestConfig {
            imports: config
                .imports
                .for_another_thread()?
                .with_settings(variables, egress),
            ..config.clone()
        };
        let admission = self.0.admission.clone();
        Ok(Self::new(
            self.0.pre.clone(),
            config,
            Threads::default(),
            admission,
        ))
    }

    /// Gives the application, in all its threads, other settings. Requests that an instance works on already keep those that
    /// they began with; the connections of those close after the last of them.
    ///
    /// ```no_run
    /// # use http_component_runtime::{App, Egress, Variables, postgres};
    /// # use std::time::Duration;
    /// # async fn example(app: App, address: String) -> Result<(), Box<dyn std::error::Error>> {
    /// let egress = Egress::new(postgres::rules(&address));
    /// let variables = Variables::new([], [("database_url".to_owned(), address)])?;
    /// let trial = app.with_settings(variables.clone(), egress.clone())?;
    /// let health = trial.get("/health", Duration::from_secs(1)).await;
    /// if health.is_some_and(|answer| answer.status().is_success()) {
    ///     app.replace_settings(variables, egress);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn replace_settings(&self, variables: Variables, egress: Egress) {
        let threads = self.0.threads.lock();
        // What is known of the databases is shared by all threads again.
        let first = self.0.generation().config.imports.clone();
        let first = first.with_settings(variables, egress);
        for thread in threads.iter().filter_map(Weak::upgrade) {
            let config = &thread.generation().config;
            let imports = first.on_thread_of(&config.imports);
            let generation = Generation::new(GuestConfig {
                imports,
                ..config.clone()
            });
            let before = std::mem::replace(&mut *thread.generation.lock(), Arc::new(generation));
            // Its idle instances end here.
            drop(before);
        }
    }

    /// Asks the component with a `GET` of `path` whether it can work with its settings. Waits for at most `patience`; no
    /// answer in that time is no error.
    ///
    /// # Errors
    /// If no instance can be made, or the answer is a problem document of the type `/problems/misconfigured`.
    pub async fn check(&self, path: &str, patience: Duration) -> Result<(), CheckError> {
        let checking = async {
            let generation = self.0.generation();
            let instance = Instance::new(&self.0.pre, generation.config.clone()).await;
            let mut instance = instance.map_err(|error| CheckError::Start(one_line(&error)))?;
            instance.output().collect();
            let answer = self.ask(&mut instance, path).await;
            let lines = instance.output().collected();
            if answer.as_ref().is_some_and(is_misconfigured) {
                return Err(CheckError::Misconfigured(lines.join("; ")));
            }
            for line in lines {
                tracing::info!(target: GUEST, "{line}");
            }
            if answer.is_some() {
                generation.pool.give_back(instance);
            }
            Ok(())
        };
        timeout(patience, checking).await.unwrap_or(Ok(()))
    }

    /// What the component answers to a `GET` of `path`, if it does within `patience`. The request takes no slot, and is not
    /// counted.
    pub async fn get(&self, path: &str, patience: Duration) -> Option<Response<Bytes>> {
        let asking = async {
            let generation = self.0.generation();
            let mut instance = generation.instance(&self.0.pre).await.ok()?;
            let answer = self.ask(&mut instance, path).await?;
            generation.pool.give_back(instance);
            Some(answer)
        };
        timeout(patience, asking).await.ok().flatten()
    }

    /// `None` if there is no answer; then `instance` must not be used again.
    async fn ask(&self, instance: &mut Instance, path: &str) -> Option<Response<Bytes>> {
        let uri = path.parse().ok()?;
        let mut request = Request::new(Empty::new().map_err(|never: Infallible| match never {}));
        *request.uri_mut() = with_authority(uri, Authority::from_static("localhost"));
        let (sender, head) = oneshot::channel();
        let handling = instance.handle(request, RequestContext::default(), sender);
        let reading = async {
            let (parts, body) = head.await.ok()?.ok()?.into_parts();
            let body = Limited::new(body, MAX_OWN_ANSWER_BYTES)
                .collect()
                .await
                .ok()?;
            Some(Response::from_parts(parts, body.to_bytes()))
        };
        // Together, because the component writes a long answer only while it is read.
        let (handled, answer) = tokio::join!(handling, reading);
        handled.ok()?;
        answer
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// Answers one request. Whatever the component does, there is an answer within the limits.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        self.handle_in(request, RequestContext::default()).await
    }

    /// The same, for a request with an id and a span.
    pub(crate) fn handle_in<B>(
        &self,
        request: Request<B>,
        context: RequestContext,
    ) -> impl Future<Output = Response<Body>> + Send + use<B>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        // Begun before the future is created, because a future would keep, and move, the request as well.
        let outcome = Outcome::default();
        // Who waits to be asked for the body, and is not, would send the next request where the body is awaited (RFC 9110,
        // 10.1.1).
        let unasked = expects_continue(&request).then(|| outcome.clone());
        let begun = self.begin(request, context, outcome);
        async {
            let begun = match begun {
                Begun::Now(begun) => begun,
                Begun::Receiving(begun) => begun.await,
            };
            let answer = match begun {
                Ok(in_flight) => in_flight.answer().await,
                Err(problem) => Err(problem),
            };
            let mut answer = answer.unwrap_or_else(Response::from);
            if unasked.is_some_and(|outcome| !outcome.was_asked()) {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            answer
        }
    }

    fn begin<B>(&self, request: Request<B>, context: RequestContext, outcome: Outcome) -> Begun
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let limits = self.0.limits;
        let limits = match context.streams {
            true => limits.streaming(),
            false => limits,
        };
        match prepare(request, &limits, &outcome) {
            Ok(request) if request.body().is_whole() => {
                Begun::Now(self.enter(request, context, outcome))
            }
            Ok(request) => {
                let app = self.clone();
                // In a box, because it is large in the future of each request.
                Begun::Receiving(Box::pin(app.receive(request, context, outcome)))
            }
            Err(problem) => Begun::Now(Err(problem)),
        }
    }

    /// Receives the body of `request`, or the beginning of a long one, before the request takes a slot.
    async fn receive<B>(
        self,
        mut request: Box<Request<RequestBody<B>>>,
        context: RequestContext,
        outcome: Outcome,
    ) -> Result<InFlight, Problem>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        self.0.admission.receive(&mut request, &outcome).await?;
        if context.streams {
            let time = self.0.limits.stream_timeout;
            request.body_mut().allow(time);
        }
        self.enter(request, context, outcome)
    }

    /// Takes a slot, and prepares the component's work on `request`.
    fn enter<B>(
        &self,
        mut request: Box<Request<RequestBody<B>>>,
        context: RequestContext,
        outcome: Outcome,
    ) -> Result<InFlight, Problem>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let admitted = self.0.admission.admit(request.body().is_whole())?;
        let context = context.enter_guest(request.headers_mut());
        let (sender, head) = oneshot::channel();
        let work = Inner::work(
            self.0.clone(),
            request,
            context.clone(),
            sender,
            outcome.clone(),
            admitted,
        );
        Ok(InFlight {
            app: self.0.clone(),
            context,
            work: Box::pin(work),
            head,
            outcome,
        })
    }

    /// Refuses a request, and counts that.
    pub(crate) fn refuse(&self, reason: Refusal) -> Problem {
        self.0.admission.refuse(reason)
    }
}

/// A request that is about to be in flight, or is refused.
enum Begun {
    Now(Result<InFlight, Problem>),
    Receiving(Pin<Box<dyn Future<Output = Result<InFlight, Problem>> + Send>>),
}

fn expects_continue<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11 && request.headers().contains_key(EXPECT)
}

fn is_misconfigured(answer: &Response<Bytes>) -> bool {
    let document: Result<serde_json::Value, _> = serde_json::from_slice(answer.body());
    document.is_ok_and(|document| document["type"] == MISCONFIGURED)
}

/// A request in flight.
struct InFlight {
    app: Arc<Inner>,
    context: RequestContext,
    /// Ends with the component's work, which may go on after the response has begun.
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The response, or the error that the component answers.
    head: oneshot::Receiver<GuestResponse>,
    /// What went wrong, if anything did.
    outcome: Outcome,
}

impl InFlight {
    async fn answer(mut self) -> Result<Response<Body>, Problem> {
        let response = tokio::select! {
            biased;
            () = &mut self.work => self.head.try_recv().ok(),
            response = &mut self.head => {
                // The component goes on: it writes the body, or cleans up.
                tokio::spawn(self.work);
                response.ok()
            }
        };
        // Nothing has been sent yet, so that the caller can be told, whatever the component has answered.
        if let Some(ending) = self.outcome.ending() {
            return Err(ending.into());
        }
        let request_id = self.context.request_id();
        match response {
            Some(Ok(response)) => {
                let length = declared_length(response.headers());
                return Ok(response.map(|body| Body::of_guest(body, length, self.outcome)));
            }
            Some(Err(error)) => {
                tracing::error!(request_id, "the component answered with an error: {error}");
            }
            None => tracing::error!(request_id, "the component ended without an answer"),
        }
        self.app.failed(GuestFailure::NoAnswer);
        Err(Problem::Internal)
    }
}

impl Inner {
    /// Has an instance work on `request` to the end, and records in `outcome` if it does not get there. If this is dropped
    /// before, so is the instance.
    async fn work<B>(
        self: Arc<Self>,
        request: Box<Request<RequestBody<B>>>,
        context: RequestContext,
        head: oneshot::Sender<GuestResponse>,
        outcome: Outcome,
        _admitted: Admitted,
    ) where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let id = context.id.clone();
        let request_id = id.as_ref().map(RequestId::as_str);
        let limits = &self.limits;
        let limit = match context.streams {
            true => limits.stream_timeout,
            false => limits.request_timeout,
        };
        let work = pin!(async {
            let generation = self.generation();
            let mut instance = generation.instance(&self.pre).await?;
            let handled = instance.handle(*request, context, head).await;
            if handled.is_err() {
                // Recorded before the instance is dropped, which ends the response body.
                outcome.record(Ending::Trapped);
            }
            handled.map(|()| (generation, instance))
        });
        match self.concurrency.run(limit, work).await {
            Ok(Ok((generation, instance))) => {
                self.handled(&generation, instance, request_id, &outcome);
            }
            Ok(Err(error)) => {
                outcome.record(Ending::Trapped);
                self.failed(GuestFailure::Trap);
                tracing::error!(request_id, "the component failed: {error:?}");
            }
            Err(_) => {
                outcome.record(Ending::TimedOut);
                self.failed(GuestFailure::Timeout);
                tracing::error!(request_id, "the component was cut off after {limit:?}");
            }
        }
    }

    /// The call of `instance` has ended.
    fn handled(
        &self,
        generation: &Generation,
        instance: Instance,
        request_id: Option<&str>,
        outcome: &Outcome,
    ) {
        if instance.open_bodies().outgoing {
            // Recorded before the instance is dropped, which ends the body.
            outcome.record(Ending::Unfinished);
            self.failed(GuestFailure::Unfinished);
            tracing::error!(
                request_id,
                "the component returned without finishing a body"
            );
        }
        generation.pool.give_back(instance);
    }

    fn generation(&self) -> Arc<Generation> {
        self.generation.lock().clone()
    }

    fn failed(&self, failure: GuestFailure) {
        self.telemetry.metrics.guest_failure(failure);
    }
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
