//! What the host keeps for one instance.

use super::memory_limit::MemoryLimit;
use super::output::GuestOutput;
use crate::imports::outgoing_http::OutgoingHttp;
use crate::imports::{Imports, ImportsCtx};
use crate::limits::{Limits, Slots};
use crate::request::RequestContext;
use crate::telemetry::{Calls, Telemetry};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::clocks::HostWallClock;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::body::{HostIncomingBody, HostOutgoingBody};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// What a wall clock shows: the time since 1970-01-01T00:00:00Z.
pub(crate) type WallClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// What every instance of an application is given.
#[derive(Clone)]
pub(crate) struct GuestConfig {
    pub imports: Imports,
    pub limits: Limits,
    /// The memory of all instances, in bytes.
    pub all_memory: Slots,
    /// `None`: the system's.
    pub wall_clock: Option<WallClock>,
    pub telemetry: Telemetry,
}

/// The HTTP bodies that a component holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenBodies {
    /// Of responses or requests that it has not finished writing.
    pub outgoing: bool,
    /// Of requests or responses that it has not dropped.
    pub incoming: bool,
}

impl OpenBodies {
    pub fn any(self) -> bool {
        self.outgoing || self.incoming
    }
}

/// The data of one instance's store.
pub(crate) struct State {
    table: ResourceTable,
    pub imports: ImportsCtx,
    pub memory: MemoryLimit,
    pub output: GuestOutput,
    telemetry: Telemetry,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: OutgoingHttp,
}

impl State {
    pub fn new(config: GuestConfig) -> Self {
        let output = GuestOutput::default();
        let mut wasi = WasiCtx::builder();
        wasi.stdout(output.clone()).stderr(output.clone());
        if let Some(now) = config.wall_clock {
            wasi.wall_clock(GivenClock(now));
        }
        let metrics = config.telemetry.metrics.clone();
        let outgoing = OutgoingHttp::new(config.imports.outgoing_requests.clone(), metrics);
        Self {
            table: ResourceTable::new(),
            imports: ImportsCtx::new(config.imports),
            memory: MemoryLimit::new(
                config.limits.memory,
                &config.all_memory,
                config.telemetry.metrics.clone(),
            ),
            output,
            telemetry: config.telemetry,
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outgoing,
        }
    }

    /// What the views of imports are made of: their contexts, where their calls are reported, and the resources of the
    /// instance.
    pub fn parts(&mut self) -> (&mut ImportsCtx, Calls<'_>, &mut ResourceTable) {
        let calls = Calls {
            metrics: &self.telemetry.metrics,
            parent: self.outgoing.span.as_deref(),
        };
        (&mut self.imports, calls, &mut self.table)
    }

    /// A request begins: output and calls belong to it from now on.
    pub fn begin(&mut self, context: RequestContext) {
        self.output.begin(context.id);
        self.outgoing.span = context.span;
    }

    /// The request has ended. Returns which HTTP bodies the component still holds.
    pub fn end(&mut self) -> OpenBodies {
        self.output.finish();
        self.outgoing.span = None;
        let mut open = OpenBodies::default();
        for resource in self.table.iter_mut() {
            open.outgoing |= resource.is::<HostOutgoingBody>();
            open.incoming |= resource.is::<HostIncomingBody>();
        }
        open
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

struct GivenClock(WallClock);

impl HostWallClock for GivenClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        (self.0)()
    }
}
