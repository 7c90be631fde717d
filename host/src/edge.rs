//! What surrounds an application where callers come in: each request gets an id and a place in a trace, and
//! is counted, measured and logged when its response has ended.

use crate::app::{App, RequestContext};
use crate::body::{Body, BrokenOff, Held};
use crate::log::{ACCESS, Access, Log};
use crate::problem::Problem;
use crate::route::{Routes, UNMATCHED};
use crate::telemetry::{HttpLabels, Metrics, Span, Telemetry, trace_id_of_caller};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Instant;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id of a caller is replaced by one of ours.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// The longest problem document that is read for its type.
const MAX_PROBLEM_BYTES: u64 = 8 * 1024;

/// The type of a problem document that names none (RFC 9457, 4.2.1).
const NO_TYPE: &str = "about:blank";

/// The status of a request whose caller left before there was one, as nginx has it.
const CALLER_LEFT: u16 = 499;

/// An application with what surrounds it. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    app: App,
    routes: Routes,
    telemetry: Telemetry,
    log: Option<Log>,
}

impl Edge {
    /// Requests to `app` are reported to its telemetry under the templates of `routes`, and logged to `log`.
    pub fn new(app: App, routes: Routes, log: Option<Log>) -> Self {
        let telemetry = app.telemetry().clone();
        Self(Arc::new(Inner {
            app,
            routes,
            telemetry,
            log,
        }))
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    pub(crate) fn handle<B>(
        &self,
        mut request: Request<B>,
    ) -> impl Future<Output = Response<Held<Body, Exchange>>> + Send + use<B>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let (mut exchange, span) = Exchange::begin(self.0.clone(), &mut request);
        let context = RequestContext {
            id: Some(exchange.id.clone()),
            span,
        };
        let answering = self.0.app.handle_in(request, context);
        async move {
            let mut response = answering.await;
            if let Some(metrics) = exchange.edge.metrics()
                && is_problem(&response)
            {
                // Rare, and large.
                response = Box::pin(count_problem(metrics, response)).await;
            }
            exchange.status = response.status().as_u16();
            response
                .headers_mut()
                .insert(REQUEST_ID, exchange.id.clone());
            response.map(|body| Held::new(body, exchange))
        }
    }
}

/// One request, from its head to the end of its response, which is when this is dropped.
pub(crate) struct Exchange {
    edge: Arc<Inner>,
    started: Instant,
    id: HeaderValue,
    trace_id: Option<String>,
    method: &'static str,
    route: Option<&'static str>,
    status: u16,
    span: Option<Arc<Span>>,
}

impl Exchange {
    fn begin<B>(edge: Arc<Inner>, request: &mut Request<B>) -> (Self, Option<Arc<Span>>) {
        let started = Instant::now();
        let method = known_method(request.method());
        let route = edge.routes.find(request.uri().path());
        let id = request_id(request.headers_mut());
        let tracer = edge.telemetry.tracer.as_ref();
        let span = tracer.map(|tracer| Arc::new(tracer.request(request.headers(), method, route)));
        let trace_id = match &span {
            Some(span) => Some(span.trace_id()),
            None => trace_id_of_caller(request.headers()),
        };
        if let Some(metrics) = edge.metrics() {
            metrics.request_began();
        }
        let exchange = Self {
            edge,
            started,
            id,
            trace_id,
            method,
            route,
            status: CALLER_LEFT,
            span: span.clone(),
        };
        (exchange, span)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let route = self.route.unwrap_or(UNMATCHED);
        if let Some(metrics) = self.edge.metrics() {
            let labels = HttpLabels {
                http_request_method: self.method,
                http_route: route,
                http_response_status_code: self.status,
            };
            metrics.request_ended(labels, duration);
        }
        if let Some(span) = &self.span {
            span.answered(self.status);
        }
        if let Some(log) = &self.edge.log
            && tracing::enabled!(target: ACCESS, tracing::Level::INFO)
        {
            log.access(&Access {
                request_id: self.id.to_str().unwrap_or_default(),
                trace_id: self.trace_id.as_deref(),
                method: self.method,
                route,
                status: self.status,
                duration,
            });
        }
    }
}

impl Inner {
    fn metrics(&self) -> Option<&Metrics> {
        self.telemetry.metrics.as_deref()
    }
}

/// The id that the caller gave the request, if it can be one, or else a new one; `headers` have it afterwards.
fn request_id(headers: &mut HeaderMap) -> HeaderValue {
    if let Some(id) = headers.get(REQUEST_ID)
        && is_request_id(id.as_bytes())
    {
        return id.clone();
    }
    let id = HeaderValue::from_bytes(&hexadecimal(fastrand::u128(..)))
        .expect("hexadecimal digits are a header value");
    headers.insert(REQUEST_ID, id.clone());
    id
}

fn hexadecimal(number: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    for (index, digit) in digits.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * index)) as usize & 0xf];
    }
    digits
}

fn is_request_id(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID_BYTES && bytes.iter().all(is_plain)
}

/// The method, if it is one that OpenTelemetry knows (RFC 9110, RFC 5789).
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "CONNECT" => "CONNECT",
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "PUT" => "PUT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

/// Whether `response` is a problem document, of a length that is taken at once.
fn is_problem(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let content_type = headers.get(CONTENT_TYPE);
    if content_type.is_none_or(|content_type| content_type != "application/problem+json") {
        return false;
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    // The body of an answer of the host's own knows its length.
    let length = length.or_else(|| response.body().size_hint().exact());
    length.is_some_and(|length| length <= MAX_PROBLEM_BYTES)
}

/// Counts `response`, a problem document.
async fn count_problem(metrics: &Metrics, response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let document = match body.collect().await {
        Ok(document) => document.to_bytes(),
        Err(BrokenOff) => {
            // Nothing of it was sent, so that another answer can be given; that one does not break off.
            return Box::pin(count_problem(metrics, Problem::Internal.into())).await;
        }
    };
    metrics.problem(&problem_type(&document));
    Response::from_parts(parts, Body::full(document))
}

fn problem_type(document: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Document {
        r#type: String,
    }

    match serde_json::from_slice::<Document>(document) {
        Ok(document) => document.r#type,
        Err(_) => NO_TYPE.to_owned(),
    }
}
