//! An instance of the component, and the pool in which idle ones wait for the next request.

use crate::app::RequestContext;
use crate::guest_log::GuestLog;
use crate::key_value::{HasKeyValue, KeyValue, KeyValueView};
use crate::postgres::{HasPostgres, Postgres, PostgresView};
use crate::telemetry::{Calls, Metrics, Span, Telemetry};
use crate::variables::{HasVariables, Variables};
use crate::{Limits, bindings};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter, Store};
use wasmtime_wasi::clocks::HostWallClock;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{
    Error as WasiHttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView, default_send_request,
};

/// An instance starts anew after so many requests: what a guest leaks is bounded by it.
const MAX_REQUESTS: u32 = 10_000;

/// An instance that has waited in the pool for so long is dropped when the next one comes back.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// The most entries in the tables of one instance, all its tables together.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// What a wall clock has to say: the time since 1970-01-01T00:00:00Z.
pub(crate) type WallClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// What every instance of an application has to do with.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub variables: Variables,
    pub key_value: KeyValue,
    pub postgres: Postgres,
    pub wall_clock: Option<WallClock>,
    pub limits: Limits,
    pub telemetry: Telemetry,
}

/// What the host keeps for one instance.
pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    room: Room,
    log: GuestLog,
    outgoing: Outgoing,
    surroundings: Surroundings,
    open_stores: usize,
    open_connections: usize,
}

/// Everything that a component may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    bindings::fermyon::spin::variables::add_to_linker::<_, HasVariables>(
        &mut linker,
        |state: &mut State| &mut state.surroundings.variables,
    )?;
    bindings::fermyon::spin::key_value::add_to_linker::<_, HasKeyValue>(
        &mut linker,
        |state: &mut State| KeyValueView {
            key_value: &state.surroundings.key_value,
            calls: state.outgoing.calls(&state.surroundings),
            open_stores: &mut state.open_stores,
            table: &mut state.table,
        },
    )?;
    bindings::spin::postgres::postgres::add_to_linker::<_, HasPostgres>(
        &mut linker,
        |state: &mut State| PostgresView {
            postgres: &state.surroundings.postgres,
            calls: state.outgoing.calls(&state.surroundings),
            open_connections: &mut state.open_connections,
            table: &mut state.table,
        },
    )?;
    Ok(linker)
}

/// The head of a response and a body that may still be being written; or what the guest says went wrong.
pub(crate) type GuestResponse = Result<Response<HyperOutgoingBody>, ErrorCode>;

/// One instance, which serves one request at a time.
pub(crate) struct Instance {
    store: Store<State>,
    proxy: Proxy,
    requests: u32,
}

impl Instance {
    /// Makes a new instance. It may compute without end, so the caller has to stop waiting at some time.
    pub async fn new(pre: &ProxyPre<State>, surroundings: Surroundings) -> wasmtime::Result<Self> {
        let log = GuestLog::default();
        let mut wasi = WasiCtx::builder();
        wasi.stdout(log.clone()).stderr(log.clone());
        if let Some(now) = &surroundings.wall_clock {
            wasi.wall_clock(GivenClock(now.clone()));
        }
        let state = State {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            room: Room {
                memory_bytes: surroundings.limits.memory,
                table_elements: MAX_TABLE_ELEMENTS,
                used_bytes: 0,
                metrics: surroundings.telemetry.metrics.clone(),
            },
            log,
            outgoing: Outgoing::default(),
            surroundings,
            open_stores: 0,
            open_connections: 0,
        };
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.room);
        // A guest that computes yields to the others of its thread at every tick.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let proxy = pre.instantiate_async(&mut store).await?;
        if let Some(metrics) = &store.data().surroundings.telemetry.metrics {
            metrics.instances_started.inc();
        }
        Ok(Self {
            store,
            proxy,
            requests: 0,
        })
    }

    /// Has the guest handle `request`; the answer comes over `head`, perhaps before this is done. If this
    /// fails, or is dropped half-way, the instance must not be used again.
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
        let state = self.store.data_mut();
        state.log.begin(context.id);
        state.outgoing.span = context.span;
        let busy = state.surroundings.telemetry.metrics.clone().map(Busy::new);
        let mut http = state.http();
        // Here and not in the future, which would keep the request as well.
        let request = http.new_incoming_request(Scheme::Http, request);
        let out = http.new_response_outparam(head);
        async move {
            let _busy = busy;
            let handled = self
                .proxy
                .wasi_http_incoming_handler()
                .call_handle(&mut self.store, request?, out?)
                .await;
            self.log().finish();
            // It ends with the component's work.
            self.store.data_mut().outgoing.span = None;
            handled
        }
    }

    /// Whether it holds connections that others do without, or is one of those others.
    fn keeps_others_waiting(&self) -> bool {
        self.store.data().surroundings.postgres.is_crowded()
    }

    pub fn log(&self) -> &GuestLog {
        &self.store.data().log
    }
}

/// An instance that counts as busy until this is dropped.
struct Busy(Arc<Metrics>);

impl Busy {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.instances_busy(1);
        Self(metrics)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.instances_busy(-1);
    }
}

/// Idle instances, the one that was used last first: its memory is warm, and the others can be let go.
pub(crate) struct Pool {
    idle: Mutex<VecDeque<(Instance, Instant)>>,
    metrics: Option<Arc<Metrics>>,
}

impl Pool {
    pub fn new(metrics: Option<Arc<Metrics>>) -> Self {
        Self {
            idle: Mutex::default(),
            metrics,
        }
    }

    pub fn take(&self) -> Option<Instance> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (instance, _) = idle.pop_back()?;
        drop(idle);
        if let Some(metrics) = &self.metrics {
            metrics.instance_taken();
        }
        Some(instance)
    }

    /// Takes back an instance whose last call has ended cleanly.
    pub fn give_back(&self, instance: Instance) {
        if instance.requests >= MAX_REQUESTS || instance.keeps_others_waiting() {
            return;
        }
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push_back((instance, now));
        let is_stale = |(_, since): &(Instance, Instant)| now.duration_since(*since) > MAX_IDLE;
        let count = idle.iter().take_while(|entry| is_stale(entry)).count();
        let stale: Vec<_> = idle.drain(..count).collect();
        drop(idle);
        if let Some(metrics) = &self.metrics {
            metrics.instances_idle(1 - count as i64);
        }
        // Dropped here, when nobody waits for the lock.
        drop(stale);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            let idle = self.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
            metrics.instances_idle(-(idle.len() as i64));
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outgoing,
        }
    }
}

/// What the component calls while it serves a request.
#[derive(Default)]
struct Outgoing {
    /// That of the request, for its calls to be part of.
    span: Option<Arc<Span>>,
}

impl Outgoing {
    fn calls<'a>(&'a self, surroundings: &'a Surroundings) -> Calls<'a> {
        Calls {
            telemetry: &surroundings.telemetry,
            parent: self.span.as_deref(),
        }
    }
}

impl WasiHttpHooks for Outgoing {
    /// Tells the server that is called which trace it is part of.
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

/// A response, and what drives the connection that it comes over.
type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>,
);

/// What is left for an instance to grow into, all its memories and all its tables together.
struct Room {
    memory_bytes: usize,
    table_elements: usize,
    /// What all memories have grown to, where it is measured.
    used_bytes: i64,
    metrics: Option<Arc<Metrics>>,
}

/// Takes the growth from `current` to `desired` out of `left`, if there is so much.
fn take(left: &mut usize, current: usize, desired: usize) -> bool {
    match left.checked_sub(desired.saturating_sub(current)) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

impl ResourceLimiter for Room {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let may_grow = take(&mut self.memory_bytes, current, desired);
        if let Some(metrics) = &self.metrics
            && may_grow
        {
            let growth = i64::try_from(desired.saturating_sub(current)).unwrap_or(i64::MAX);
            self.used_bytes += growth;
            metrics.instance_memory.inc_by(growth);
        }
        Ok(may_grow)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(take(&mut self.table_elements, current, desired))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.instance_memory.dec_by(self.used_bytes);
        }
    }
}

struct GivenClock(WallClock);

impl HostWallClock for GivenClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        (self.0)()
    }
}
