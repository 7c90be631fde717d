//! One instance of the component, which handles one request at a time.

use super::output::GuestOutput;
use super::state::{GuestConfig, OpenBodies, State};
use crate::request::RequestContext;
use crate::telemetry::Metrics;
use bytes::Bytes;
use http::{Request, Response};
use std::future::Future;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error as WasiHttpError, WasiHttpView};

/// The head of a response with a body that may still be being written; or the error that the component answered.
pub(crate) type GuestResponse = Result<Response<HyperOutgoingBody>, ErrorCode>;

pub(crate) struct Instance {
    store: Store<State>,
    proxy: Proxy,
    requests: u32,
    open_bodies: OpenBodies,
    metrics: Metrics,
}

impl Instance {
    /// Makes a new instance. Its start function may run without end, so the caller has to bound the time.
    ///
    /// # Errors
    /// If the component traps on its start, or needs more memory than the limit.
    pub async fn new(pre: &ProxyPre<State>, config: GuestConfig) -> wasmtime::Result<Self> {
        let metrics = config.telemetry.metrics.clone();
        let mut store = Store::new(pre.engine(), State::new(config));
        store.limiter(|state| &mut state.memory);
        // A guest that computes yields to the other requests of its thread at every tick.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let proxy = pre.instantiate_async(&mut store).await?;
        metrics.instance_started();
        Ok(Self {
            store,
            proxy,
            requests: 0,
            open_bodies: OpenBodies::default(),
            metrics,
        })
    }

    /// Has the guest handle `request`. The response comes over `head`, perhaps before the future is done. If the future
    /// fails, or is dropped before it is done, the instance must not be used again.
    pub fn handle<B>(
        &mut self,
        request: Request<B>,
        context: RequestContext,
        head: oneshot::Sender<GuestResponse>,
    ) -> impl Future<Output = wasmtime::Result<()>> + Send
    where
        B: http_body::Body<Data = Bytes, Error = WasiHttpError> + Send + 'static,
    {
        self.requests += 1;
        let busy = self.metrics.busy_instance();
        let state = self.store.data_mut();
        state.begin(context);
        // Done before the future is created, because a future would keep the request in memory as well.
        let mut http = state.http();
        let request = http.new_incoming_request(Scheme::Http, request);
        let out = http.new_response_outparam(head);
        async move {
            let _busy = busy;
            let handled = self
                .proxy
                .wasi_http_incoming_handler()
                .call_handle(&mut self.store, request?, out?)
                .await;
            self.open_bodies = self.store.data_mut().end();
            handled
        }
    }

    /// How many requests it has handled.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Whether it may keep connections or memory that other instances need.
    pub fn holds_what_is_scarce(&self) -> bool {
        let state = self.store.data();
        state.imports.postgres.is_exhausted() || state.memory.holds_scarce_memory()
    }

    /// Which HTTP bodies its last call has left open.
    pub fn open_bodies(&self) -> OpenBodies {
        self.open_bodies
    }

    pub fn output(&self) -> &GuestOutput {
        &self.store.data().output
    }
}
