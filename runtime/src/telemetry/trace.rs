//! Traces by OpenTelemetry, sent over OTLP. Spans have names, statuses and SQL without values: no path, no
//! header, no parameter.

use async_trait::async_trait;
use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{
    Bytes, HeaderExtractor, HeaderInjector, HttpClient, HttpError, Request, Response,
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::borrow::Cow;
use std::env;
use std::fmt;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The environment variables that switch traces on (OpenTelemetry Protocol Exporter).
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// The environment variables that choose how spans are encoded; this host speaks only [`PROTOCOL`].
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const PROTOCOL: &str = "http/protobuf";

/// The environment variable that chooses exporters (OpenTelemetry SDK); this host has [`EXPORTER`], and `none`.
const EXPORTERS: &str = "OTEL_TRACES_EXPORTER";
const EXPORTER: &str = "otlp";

/// The environment variables for how long one request to the receiver may take, in milliseconds.
const TIMEOUTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
];

/// The environment variables that have spans compressed, which this host does not; the library would ignore them.
const COMPRESSIONS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
];

/// The environment variable that chooses how a trace is named to other servers; this host has [`PROPAGATOR`].
const PROPAGATORS: &str = "OTEL_PROPAGATORS";
const PROPAGATOR: &str = "tracecontext";

/// Variables whose effect this host does not have. Spans that went without it might go to somebody else.
const UNSUPPORTED: [&str; 6] = [
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
];

const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// How long one request to the receiver may take, unless a variable says so, and how much of its answer is read.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// How long sending the last spans may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// How much of a statement a span has, in bytes.
const MAX_STATEMENT_BYTES: usize = 4096;

/// Makes spans, or none. Clones make spans of the same exporter; the default makes none.
///
/// ```
/// # use http_component_runtime::{ExporterError, Tracer};
/// if let Some((tracer, exporter)) = Tracer::from_environment("items", "1.0.0")? {
///     // `tracer` is for the telemetry of an application. At the end of the process:
///     exporter.shut_down();
/// }
/// # Ok::<(), ExporterError>(())
/// ```
#[derive(Clone, Default)]
pub struct Tracer(Option<SdkTracer>);

/// Sends spans, in batches and from a thread of its own.
///
/// ```
/// # use http_component_runtime::Exporter;
/// fn at_the_end(exporter: Option<Exporter>) {
///     if let Some(exporter) = exporter {
///         exporter.shut_down();
///     }
/// }
/// ```
pub struct Exporter(SdkTracerProvider);

/// Why spans cannot be sent.
///
/// ```
/// # use http_component_runtime::{ExporterError, Tracer};
/// match Tracer::from_environment("items", "1.0.0") {
///     Err(ExporterError::Endpoint { variable, .. }) => eprintln!("{variable} names no receiver"),
///     Err(error) => eprintln!("{error}"),
///     Ok(_) => {}
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// A variable asks for another encoding.
    #[error("{variable}: this host speaks {PROTOCOL} only")]
    Protocol {
        /// Its name.
        variable: &'static str,
    },
    /// `OTEL_TRACES_EXPORTER` asks for another exporter.
    #[error("{EXPORTERS}: this host has {EXPORTER} and none only")]
    Exporter,
    /// `OTEL_PROPAGATORS` leaves out the only propagator.
    #[error("{PROPAGATORS}: this host has {PROPAGATOR} only")]
    Propagator,
    /// A variable asks for compression.
    #[error("{variable}: this host does not compress spans; use none")]
    Compression {
        /// Its name.
        variable: &'static str,
    },
    /// The value of a variable is no time.
    #[error("{variable}: expected a number of milliseconds")]
    Timeout {
        /// Its name.
        variable: &'static str,
    },
    /// A variable has no effect here.
    #[error(
        "{variable}: this host verifies receivers by the system's authorities, and shows no certificate"
    )]
    Unsupported {
        /// Its name.
        variable: &'static str,
    },
    /// The receiver that a variable names cannot be used.
    #[error("{variable}: {cause}")]
    Endpoint {
        /// Its name.
        variable: &'static str,
        /// What the exporter says.
        cause: opentelemetry_otlp::ExporterBuildError,
    },
}

impl Tracer {
    /// A tracer with its exporter, configured by the environment variables of OpenTelemetry; `None` if they name no
    /// receiver. Spans name the service `name`, unless `OTEL_SERVICE_NAME` does, and `version`.
    ///
    /// # Errors
    /// If the environment names a receiver, a protocol, an exporter or a propagator that cannot be used, or a variable that has
    /// no effect here.
    pub fn from_environment(
        name: &'static str,
        version: &'static str,
    ) -> Result<Option<(Self, Exporter)>, ExporterError> {
        let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let Some(variable) = ENDPOINTS.into_iter().find(|name| is_set(name)) else {
            return Ok(None);
        };
        if env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        match env::var(EXPORTERS).as_deref() {
            Ok("none") => return Ok(None),
            Ok(EXPORTER | "") | Err(env::VarError::NotPresent) => {}
            _ => return Err(ExporterError::Exporter),
        }
        if let Some(variable) = PROTOCOLS.into_iter().find(|name| is_set(name))
            && env::var(variable).as_deref() != Ok(PROTOCOL)
        {
            return Err(ExporterError::Protocol { variable });
        }
        if let Ok(propagators) = env::var(PROPAGATORS)
            && !propagators.is_empty()
            && !propagators.split(',').any(|one| one.trim() == PROPAGATOR)
        {
            return Err(ExporterError::Propagator);
        }
        let is_compression = |name: &&str| is_set(name) && env::var(name).as_deref() != Ok("none");
        if let Some(variable) = COMPRESSIONS.into_iter().find(is_compression) {
            return Err(ExporterError::Compression { variable });
        }
        if let Some(variable) = UNSUPPORTED.into_iter().find(|name| is_set(name)) {
            return Err(ExporterError::Unsupported { variable });
        }
        let timeout = match TIMEOUTS.into_iter().find(|name| is_set(name)) {
            Some(variable) => milliseconds(variable)?,
            None => EXPORT_TIMEOUT,
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Client::new(timeout))
            .build()
            .map_err(|cause| ExporterError::Endpoint { variable, cause })?;
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", version));
        if !is_set(&SERVICE_NAME) {
            resource = resource.with_service_name(name);
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer(name);
        Ok(Some((Self(Some(tracer)), Exporter(provider))))
    }

    /// The span of a request, in the trace that its `traceparent` names (W3C Trace Context); `None` if there are no traces.
    pub(crate) fn request(
        &self,
        headers: &HeaderMap,
        method: &'static str,
        route: Option<&'static str>,
    ) -> Option<Span> {
        let tracer = self.0.as_ref()?;
        let mut attributes = vec![KeyValue::new("http.request.method", method)];
        let name = match route {
            Some(route) => {
                attributes.push(KeyValue::new("http.route", route));
                format!("{method} {route}").into()
            }
            None => method.into(),
        };
        let parent = remote(headers);
        Some(Span::begin(
            tracer,
            &parent,
            name,
            SpanKind::Server,
            attributes,
        ))
    }
}

fn milliseconds(variable: &'static str) -> Result<Duration, ExporterError> {
    let text = env::var(variable).unwrap_or_default();
    match text.parse() {
        Ok(milliseconds @ 1..) => Ok(Duration::from_millis(milliseconds)),
        _ => Err(ExporterError::Timeout { variable }),
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.0.is_some()).finish()
    }
}

impl Exporter {
    /// Sends the spans that have ended, and waits for it, five seconds at most: for a process that may be suspended now, and ended
    /// later without more time.
    pub fn flush(&self) {
        if let Err(error) = self.0.force_flush() {
            tracing::warn!("spans were not sent: {error}");
        }
    }

    /// Sends the spans that are left, within two seconds.
    pub fn shut_down(self) {
        if let Err(error) = self.0.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::warn!("the last spans were not sent: {error}");
        }
    }
}

/// The trace that the caller's `traceparent` names, as 32 hexadecimal digits.
pub(crate) fn trace_id_of_caller(headers: &HeaderMap) -> Option<String> {
    headers.contains_key("traceparent").then(|| {
        let context = remote(headers);
        let span = context.span();
        let caller = span.span_context();
        caller.is_valid().then(|| caller.trace_id().to_string())
    })?
}

fn remote(headers: &HeaderMap) -> Context {
    // Not the current context of this thread, which is of no request.
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers))
}

/// A span that has begun. It ends when it is dropped.
pub(crate) struct Span {
    tracer: SdkTracer,
    context: Context,
}

impl Span {
    fn begin(
        tracer: &SdkTracer,
        parent: &Context,
        name: Cow<'static, str>,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
    ) -> Self {
        let span = tracer
            .span_builder(name)
            .with_kind(kind)
            .with_attributes(attributes)
            .start_with_context(tracer, parent);
        Self {
            tracer: tracer.clone(),
            context: parent.with_span(span),
        }
    }

    pub fn trace_id(&self) -> String {
        self.context.span().span_context().trace_id().to_string()
    }

    /// The span of the component's work.
    pub fn guest(&self) -> Self {
        let name = "wasi:http/incoming-handler.handle".into();
        self.child(name, SpanKind::Internal, Vec::new())
    }

    /// The span of a call to a store.
    pub fn store_call(
        &self,
        system: &'static str,
        operation: &'static str,
        statement: Option<String>,
    ) -> Self {
        let mut attributes = Vec::new();
        if self.context.span().is_recording() {
            attributes.push(KeyValue::new("db.system.name", system));
            attributes.push(KeyValue::new("db.operation.name", operation));
            if let Some(mut statement) = statement {
                statement.truncate(statement.floor_char_boundary(MAX_STATEMENT_BYTES));
                attributes.push(KeyValue::new("db.query.text", statement));
            }
        }
        let name = format!("{system} {operation}").into();
        self.child(name, SpanKind::Client, attributes)
    }

    /// The span of an HTTP request to another server. The URL is the component's, and not shown.
    pub fn outgoing_request(&self, method: &'static str) -> Self {
        let attributes = vec![KeyValue::new("http.request.method", method)];
        self.child(method.into(), SpanKind::Client, attributes)
    }

    fn child(&self, name: Cow<'static, str>, kind: SpanKind, attributes: Vec<KeyValue>) -> Self {
        Self::begin(&self.tracer, &self.context, name, kind, attributes)
    }

    /// Names this span in `headers`, in place of any that they name.
    pub fn inject(&self, headers: &mut HeaderMap) {
        TraceContextPropagator::new().inject_context(&self.context, &mut HeaderInjector(headers));
    }

    /// The request was answered with `status`.
    pub fn answered(&self, status: u16) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new(
            "http.response.status_code",
            i64::from(status),
        ));
        if status >= 500 {
            span.set_attribute(KeyValue::new("error.type", status.to_string()));
            span.set_status(Status::error(""));
        }
    }

    /// The operation failed with an error of this kind.
    pub fn fail(&self, error_type: &'static str) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("error.type", error_type));
        span.set_status(Status::error(""));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.context.span().end();
    }
}

/// The HTTP client of the exporter. It blocks: the exporter has a thread of its own.
#[derive(Debug)]
struct Client(Agent);

impl Client {
    /// One request takes up to `timeout`.
    fn new(timeout: Duration) -> Self {
        let authorities = rustls_native_certs::load_native_certs().certs;
        let authorities = authorities
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned());
        let roots = RootCerts::Specific(std::sync::Arc::new(authorities.collect()));
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        Self(config.build().into())
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = answer.into_parts();
        let body = body.with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}
