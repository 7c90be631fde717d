//! `wasi:http/outgoing-handler`: requests that a component sends. wasmtime-wasi-http brings the interface; this hook
//! makes them part of the trace, and bounds how many there are.

use crate::limits::Slots;
use crate::telemetry::Span;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use wasmtime_wasi_http::{
    Error as WasiHttpError, RequestOptions, WasiBody, WasiHttpHooks, default_send_request,
};

/// The most requests that all instances may have under way to other servers: each takes a file descriptor.
const MAX_REQUESTS: usize = 256;

/// How many requests all instances have under way. Clones share them.
#[derive(Clone)]
pub(crate) struct OutgoingRequests(Slots);

impl Default for OutgoingRequests {
    fn default() -> Self {
        Self(Slots::new(MAX_REQUESTS))
    }
}

/// The hook of one instance.
pub(crate) struct OutgoingHttp {
    requests: OutgoingRequests,
    /// Of the request that the component is handling.
    pub span: Option<Arc<Span>>,
}

impl OutgoingHttp {
    pub fn new(requests: OutgoingRequests) -> Self {
        Self {
            requests,
            span: None,
        }
    }
}

impl WasiHttpHooks for OutgoingHttp {
    /// Tells the server that is called which trace the request is part of.
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, WasiHttpError>> + Send> {
        if let Some(span) = &self.span {
            span.inject(request.headers_mut());
        }
        let slot = self.requests.0.take();
        Box::new(async move {
            let slot = slot.ok_or(WasiHttpError::ConnectionLimitReached)?;
            let (response, connection) = default_send_request(request, options).await?;
            let connection: Box<dyn Future<Output = _> + Send> = Box::new(async move {
                let ended = connection.await;
                drop(slot);
                ended
            });
            Ok((response.map(BodyExt::boxed_unsync), connection))
        })
    }
}

/// A response, and the future that drives the connection it comes over.
type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>,
);
