//! An application: a component with what it imports, as a service for HTTP requests.

use crate::admission::{Admission, Admitted};
use crate::egress::Egress;
use crate::generation::{CheckError, Generation};
use crate::guest::{
    Body, ConcurrencyLimit, Ending, GuestResponse, Instance, Outcome, RequestBody, declared_length,
    prepare,
};
use crate::imports::key_value::OpenError;
use crate::imports::variables::Variables;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::request::{RequestContext, RequestId};
use crate::telemetry::{GuestFailure, Refusal, Telemetry};
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{Request, Response, Version};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tower_service::Service;

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
    limits: Limits,
    telemetry: Telemetry,
    generation: Mutex<Arc<Generation>>,
    /// The same application for all threads.
    threads: Threads,
    concurrency: ConcurrencyLimit,
    admission: Admission,
}

type Threads = Arc<Mutex<Vec<Weak<Inner>>>>;

impl App {
    /// An application of one thread, so far.
    pub(crate) fn new(generation: Generation, admission: Admission) -> Self {
        let app = Self::of_thread(generation, Threads::default(), admission);
        app.0.threads.lock().push(Arc::downgrade(&app.0));
        app
    }

    fn of_thread(generation: Generation, threads: Threads, admission: Admission) -> Self {
        Self(Arc::new(Inner {
            limits: generation.config.limits,
            telemetry: generation.config.telemetry.clone(),
            generation: Mutex::new(Arc::new(generation)),
            threads,
            concurrency: ConcurrencyLimit::new(),
            admission,
        }))
    }

    /// The same application for another thread: with instances and connections of its own, and the limits on all requests
    /// shared.
    ///
    /// # Errors
    /// If the key-value store cannot be opened once more.
    pub fn for_another_thread(&self) -> Result<Self, OpenError> {
        let Inner {
            threads, admission, ..
        } = &*self.0;
        // Until the thread is one of them, so that it misses no other settings.
        let mut listed = threads.lock();
        let generation = self.0.generation();
        let imports = generation.config.imports.for_another_thread()?;
        let generation = generation.with_imports(imports);
        let app = Self::of_thread(generation, threads.clone(), admission.clone());
        listed.retain(|one| one.strong_count() > 0);
        listed.push(Arc::downgrade(&app.0));
        Ok(app)
    }

    /// The same application with other settings, to see whether it can work with them: with instances and connections of its
    /// own, and the limits on all requests shared.
    ///
    /// # Errors
    /// If the key-value store cannot be opened once more.
    pub fn with_settings(&self, variables: Variables, egress: Egress) -> Result<Self, OpenError> {
        let generation = self.0.generation();
        let imports = generation.config.imports.for_another_thread()?;
        let imports = imports.with_settings(variables, egress);
        let generation = generation.with_imports(imports);
        Ok(Self::new(generation, self.0.admission.clone()))
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
            let before = thread.generation();
            let imports = first.on_thread_of(&before.config.imports);
            *thread.generation.lock() = Arc::new(before.with_imports(imports));
        }
    }

    /// Asks the component with a `GET` of `path` whether it can work with its settings. Waits for at most `patience`; no
    /// answer in that time is no error.
    ///
    /// # Errors
    /// If no instance can be made, or the answer is a problem document of the type `/problems/misconfigured`.
    pub async fn check(&self, path: &str, patience: Duration) -> Result<(), CheckError> {
        self.0.generation().check(path, patience).await
    }

    /// What the component answers to a `GET` of `path`, if it does within `patience`. The request takes no slot, and is not
    /// counted.
    pub async fn get(&self, path: &str, patience: Duration) -> Option<Response<Bytes>> {
        self.0.generation().get(path, patience).await
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
            let mut instance = generation.instance().await?;
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
