//! What is noted of a request around the application: each gets an id and a place in a trace, and is counted, measured
//! and logged when its response has ended.

use super::date;
use super::problem_count::{count_problem, is_problem};
use super::route::{Routes, UNMATCHED};
use crate::app::App;
use crate::guest::{Body, BrokenOff, Guarded};
use crate::request::{RequestContext, RequestId};
use crate::telemetry::{
    ACCESS, AccessLine, Log, Refusal, RequestLabels, Span, Telemetry, known_method,
    trace_id_of_caller,
};
use bytes::Bytes;
use futures_util::future::{Either, ready};
use http::header::{CONTENT_LENGTH, DATE};
use http::{Request, Response};
use std::future::Future;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// The status that is noted where the client left before there was a response, as nginx has it.
const CLIENT_LEFT: u16 = 499;

/// An application with what is noted around it. Clones are cheap and share everything.
///
/// ```
/// # use http_component_runtime::{App, Edge, InvalidRoute, Route, Routes};
/// # fn example(app: App) -> Result<(), InvalidRoute> {
/// let routes = Routes::new([Route { template: "/items/{id}".to_owned(), streams: false }])?;
/// let edge = Edge::new(app, routes, None);
/// # Ok(())
/// # }
/// ```
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

    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// Answers a request that came another way than over a connection of a [`Server`](crate::Server). The exchange is noted when
    /// the body of the response is dropped.
    ///
    /// ```
    /// # use http_body_util::{BodyExt, Empty};
    /// # use http_component_runtime::{BrokenOff, Edge};
    /// # async fn example(edge: Edge) -> Result<(), BrokenOff> {
    /// let mut request = http::Request::new(Empty::new());
    /// request.headers_mut().insert("host", http::HeaderValue::from_static("example.com"));
    /// let response = edge.handle(request).await;
    /// let body = response.into_body().collect().await?.to_bytes();
    /// # Ok(())
    /// # }
    /// ```
    pub async fn handle<B>(
        &self,
        request: Request<B>,
    ) -> Response<impl http_body::Body<Data = Bytes, Error = BrokenOff> + Send + Unpin + use<B>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        self.answer(request, true).await
    }

    /// Answers `request`; with 503 if there is no memory for it. The response body holds the [`Exchange`], which therefore
    /// ends with the body.
    pub(super) fn answer<B>(
        &self,
        mut request: Request<B>,
        has_memory: bool,
    ) -> impl Future<Output = Response<Guarded<Body, Exchange>>> + Send + use<B>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let mut exchange = Exchange::begin(self.0.clone(), &mut request);
        let context = RequestContext {
            id: Some(exchange.id.clone()),
            span: exchange.span.clone(),
            streams: exchange.streams,
        };
        let answering = match has_memory {
            true => Either::Left(self.0.app.handle_in(request, context)),
            false => Either::Right(ready(self.0.app.refuse(Refusal::Connections).into())),
        };
        async move {
            let mut response = answering.await;
            let metrics = &exchange.edge.telemetry.metrics;
            if metrics.is_enabled() && is_problem(&response) {
                // In a box, because it is rare, and large in the future of each request.
                response = Box::pin(count_problem(metrics, response)).await;
            }
            let mut response = without_content_where_none_is(exchange.method, response);
            exchange.status = response.status().as_u16();
            exchange.id.write_to(response.headers_mut());
            response
                .headers_mut()
                .insert(DATE, date::header(SystemTime::now()));
            response.map(|body| Guarded::new(body, exchange))
        }
    }
}

/// Leaves out the content of an answer that has none (RFC 9110, 6.4.1), whatever the component hands over. hyper does this for
/// HTTP/1 only.
fn without_content_where_none_is(method: &str, mut response: Response<Body>) -> Response<Body> {
    match response.status().as_u16() {
        // Without a length, too: a 204 and a 205 must have none (RFC 9110, 8.6 and 15.3.6), and that of a 304 would be the
        // length of another answer.
        204 | 205 | 304 => {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        _ if method == "HEAD" => {}
        _ => return response,
    }
    response.map(|_| Body::empty())
}

/// One request, from its head to the end of its response, when this is dropped.
pub(super) struct Exchange {
    edge: Arc<Inner>,
    started: Instant,
    id: RequestId,
    trace_id: Option<String>,
    method: &'static str,
    route: Option<&'static str>,
    streams: bool,
    status: u16,
    span: Option<Arc<Span>>,
}

impl Exchange {
    fn begin<B>(edge: Arc<Inner>, request: &mut Request<B>) -> Self {
        let started = Instant::now();
        let method = known_method(request.method());
        let (route, streams) = edge.routes.find(request.uri().path()).unzip();
        let id = RequestId::of(request.headers_mut());
        let tracer = &edge.telemetry.tracer;
        let span = tracer.request(request.headers(), method, route);
        let trace_id = match &span {
            Some(span) => Some(span.trace_id()),
            None => trace_id_of_caller(request.headers()),
        };
        edge.telemetry.metrics.request_began();
        Self {
            edge,
            started,
            id,
            trace_id,
            method,
            route,
            streams: streams.unwrap_or_default(),
            status: CLIENT_LEFT,
            span: span.map(Arc::new),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let route = self.route.unwrap_or(UNMATCHED);
        let labels = RequestLabels {
            http_request_method: self.method,
            http_route: route,
            http_response_status_code: self.status,
        };
        self.edge.telemetry.metrics.request_ended(labels, duration);
        if let Some(span) = &self.span {
            span.answered(self.status);
        }
        if let Some(log) = &self.edge.log
            && tracing::enabled!(target: ACCESS, tracing::Level::INFO)
        {
            log.access(&AccessLine {
                request_id: self.id.as_str(),
                trace_id: self.trace_id.as_deref(),
                method: self.method,
                route,
                status: self.status,
                duration,
            });
        }
    }
}
