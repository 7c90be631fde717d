//! The function: an application, and what it answers to an event.

use crate::NAME;
use crate::answer;
use crate::event::{Event, Job};
use crate::jobs::Jobs;
use crate::request::{Caller, HttpRequest};
use crate::runtime_api::{Invocation, RuntimeApi};
use crate::settings::Settings;
use anyhow::{Context, anyhow};
use http::HeaderName;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use http_component_runtime::{
    App, Edge, Exporter, Log, Metrics, Route, Routes, Telemetry, Tracer, engine,
};
use std::time::Duration;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the component says whether it can work with its settings, and how long that may take. Lambda gives the start of an
/// instance ten seconds.
const CHECK_PATH: &str = "/health";
const CHECK_PATIENCE: Duration = Duration::from_secs(1);

/// The routes of the component, and those of them that stream. A test compares them with its own description.
const ROUTES: [&str; 6] = [
    "/",
    "/hello/{username}",
    "/health",
    "/openapi.json",
    "/docs",
    "/assets/{asset}",
];
const STREAMING_ROUTES: [&str; 3] = ["/populate", "/export", "/delete"];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An application that answers events.
pub struct Function {
    settings: Settings,
    edge: Edge,
    exporter: Option<Exporter>,
}

impl Function {
    /// Makes the application of the environment, and has it check its settings.
    ///
    /// # Errors
    /// If it cannot work with them.
    pub async fn start(log: &Log) -> anyhow::Result<Self> {
        let mut settings = Settings::from_environment(NAME)?;
        let (tracer, exporter) = Tracer::from_environment(NAME, VERSION)?.unzip();
        let telemetry = Telemetry {
            metrics: Metrics::disabled(),
            tracer: tracer.unwrap_or_default(),
        };
        let engine = engine::engine()?;
        let component = engine::load_file(&engine, &settings.component)
            .with_context(|| format!("the component {}", settings.component.display()))?;
        let mut app = App::builder(component)
            .egress(settings.egress.clone())
            .variables(settings.variables.clone())
            .postgres(settings.postgres.clone())
            .limits(settings.limits)
            .telemetry(telemetry);
        if let Some(key_value) = settings.key_value.take() {
            app = app.key_value(key_value);
        }
        let app = app.build()?;
        app.check(CHECK_PATH, CHECK_PATIENCE).await?;
        Ok(Self {
            edge: Edge::new(app, routes()?, Some(log.clone())),
            settings,
            exporter,
        })
    }

    /// Answers `invocation`. What goes wrong is said to Lambda, and logged.
    pub async fn handle(&self, api: &RuntimeApi, invocation: Invocation) {
        let handled = match Event::read(&invocation.event, self.settings.base_path.as_deref()) {
            Ok(Event::Http(request)) => self.answer(api, &invocation, *request).await,
            Ok(Event::Job(job)) => self.work(api, &invocation, job).await,
            Err(error) => Err(Failure::new("InvalidEvent", error)),
        };
        let Err(Failure { kind, error }) = handled else {
            return;
        };
        let request_id = invocation.id().to_str().unwrap_or_default();
        tracing::error!(request_id, "{kind}: {error:#}");
        if let Err(untold) = api.fail(&invocation, kind, &format!("{error:#}")).await {
            tracing::error!(request_id, "{untold:#}");
        }
    }

    async fn answer(
        &self,
        api: &RuntimeApi,
        invocation: &Invocation,
        HttpRequest {
            caller,
            mut request,
        }: HttpRequest,
    ) -> Result<(), Failure> {
        // In the log of the function, a request has the name of its invocation.
        let headers = request.headers_mut();
        headers
            .entry(REQUEST_ID)
            .or_insert_with(|| invocation.id().clone());
        let response = self.edge.handle(request).await;
        let (head, body) = response.into_parts();
        if self.streams_to(caller) {
            let head = answer::head_of_stream(&head)
                .map_err(|error| Failure::new("InvalidAnswer", error))?;
            return api
                .stream(invocation, head, body)
                .await
                .map_err(Failure::untold);
        }
        let body = Limited::new(body, answer::MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => Failure::new("AnswerTooLong", anyhow!("{}", answer::too_long())),
            false => Failure::new("AnswerBrokenOff", anyhow::Error::from_boxed(error)),
        })?;
        let json = answer::whole(caller, &head, &body.to_bytes());
        let json = json.map_err(|error| Failure::new("AnswerTooLong", error))?;
        api.answer(invocation, json).await.map_err(Failure::untold)
    }

    fn streams_to(&self, caller: Caller) -> bool {
        let streaming = self.settings.streaming;
        match caller {
            Caller::FunctionUrl => streaming.function_url,
            Caller::Payload1 => streaming.rest_api,
            Caller::Payload2 | Caller::Balancer { .. } => false,
        }
    }

    async fn work(
        &self,
        api: &RuntimeApi,
        invocation: &Invocation,
        job: Job,
    ) -> Result<(), Failure> {
        let jobs = Jobs {
            edge: &self.edge,
            bucket: self.settings.bucket.as_ref(),
            token: self.settings.api_token(),
        };
        let done = jobs.run(job, invocation.deadline).await;
        let done = done.map_err(|error| Failure::new("JobFailed", error))?;
        tracing::info!("{done}");
        api.answer(invocation, done.to_string())
            .await
            .map_err(Failure::untold)
    }

    /// Sends what is to be told of the events so far.
    pub fn flush(&self) {
        if let Some(exporter) = &self.exporter {
            exporter.flush();
        }
    }

    /// Sends the rest, and ends.
    pub fn shut_down(self) {
        if let Some(exporter) = self.exporter {
            exporter.shut_down();
        }
    }
}

fn routes() -> anyhow::Result<Routes> {
    let route = |streams: bool| {
        move |template: &str| Route {
            template: template.to_owned(),
            streams,
        }
    };
    let routes = ROUTES
        .map(route(false))
        .into_iter()
        .chain(STREAMING_ROUTES.map(route(true)));
    Ok(Routes::new(routes)?)
}

/// Why an invocation fails.
struct Failure {
    /// What Lambda counts it as.
    kind: &'static str,
    error: anyhow::Error,
}

impl Failure {
    fn new(kind: &'static str, error: anyhow::Error) -> Self {
        Self { kind, error }
    }

    fn untold(error: anyhow::Error) -> Self {
        Self::new("AnswerNotTaken", error)
    }
}
