//! `wasi:http/outgoing-handler`: requests that a component sends. wasmtime-wasi-http brings the interface; this hook sends them
//! where the policy allows it, over connections that are kept, and makes them part of the trace and the metrics.

mod body;
mod client;
mod connector;
mod error;
mod per_host;
mod timeouts;

use crate::egress::Egress;
use crate::limits::Slots;
use crate::telemetry::{Metrics, OutgoingRequest, Span, known_method};
use client::Client;
use http::Request;
use std::sync::Arc;
use timeouts::Timeouts;
use wasmtime_wasi_http::{Error as WasiHttpError, RequestOptions, WasiBody, WasiHttpHooks};

/// The most requests that all instances may have under way to other servers.
const MAX_REQUESTS: usize = 256;

/// How the instances of one thread send requests. Clones share the connections.
#[derive(Clone)]
pub(crate) struct OutgoingRequests {
    client: Arc<Client>,
    /// Of all threads.
    slots: Slots,
}

impl OutgoingRequests {
    /// To where `egress` allows.
    pub fn new(egress: Egress) -> Self {
        Self {
            client: Arc::new(Client::new(egress)),
            slots: Slots::new(MAX_REQUESTS),
        }
    }

    /// The same with connections of its own.
    pub fn for_another_thread(&self) -> Self {
        Self {
            client: Arc::new(self.client.for_another_thread()),
            slots: self.slots.clone(),
        }
    }
}

impl Default for OutgoingRequests {
    fn default() -> Self {
        Self::new(Egress::default())
    }
}

/// The hook of one instance.
pub(crate) struct OutgoingHttp {
    requests: OutgoingRequests,
    metrics: Metrics,
    /// Of the request that the component is handling.
    pub span: Option<Arc<Span>>,
}

impl OutgoingHttp {
    pub fn new(requests: OutgoingRequests, metrics: Metrics) -> Self {
        Self {
            requests,
            metrics,
            span: None,
        }
    }
}

impl WasiHttpHooks for OutgoingHttp {
    /// The client writes it, where there is one: not in HTTP/2.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, WasiHttpError>> + Send> {
        let method = known_method(request.method());
        let call = OutgoingRequest::begin(&self.metrics, self.span.as_deref(), method);
        // Tells the server that is called which trace the request is part of.
        if let Some(span) = call.span() {
            span.inject(request.headers_mut());
        }
        let slot = self.requests.slots.take();
        let client = self.requests.client.clone();
        Box::new(async move {
            let sending = async {
                let slot = slot.ok_or(WasiHttpError::ConnectionLimitReached)?;
                client.send(request, Timeouts::new(options), slot).await
            };
            match sending.await {
                Ok(response) => {
                    call.answered(response.status().as_u16());
                    // The client drives its connections itself.
                    let connection: Connection = Box::new(std::future::ready(Ok(())));
                    Ok((response, connection))
                }
                Err(error) => {
                    call.fail(error::error_type(&error));
                    Err(error)
                }
            }
        })
    }
}

/// A response, and the future that drives the connection it comes over.
type Sent = (http::Response<WasiBody>, Connection);

type Connection = Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>;
