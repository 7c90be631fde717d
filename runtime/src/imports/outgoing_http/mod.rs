//! `wasi:http/outgoing-handler`: requests that a component sends. wasmtime-wasi-http brings the interface; this hook
//! makes them part of the trace.

use crate::telemetry::Span;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use wasmtime_wasi_http::{
    Error as WasiHttpError, RequestOptions, WasiBody, WasiHttpHooks, default_send_request,
};

/// The hook of one instance.
#[derive(Default)]
pub(crate) struct OutgoingHttp {
    /// Of the request that the component is handling.
    pub span: Option<Arc<Span>>,
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
        Box::new(async move {
            let (response, connection) = default_send_request(request, options).await?;
            let connection: Box<dyn Future<Output = _> + Send> = Box::new(connection);
            Ok((response.map(BodyExt::boxed_unsync), connection))
        })
    }
}

/// A response, and the future that drives the connection it comes over.
type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>,
);
