//! What an application reports about itself: metrics and traces. (Its log is `tracing`'s and `log`'s.)

mod metrics;
mod per_thread;
mod process;
mod trace;

pub(crate) use metrics::{ConnectionState, GuestFailure, HttpLabels, Refusal};
pub use metrics::{Format, Metrics};
pub use trace::{Exporter, ExporterError, Tracer};
pub(crate) use trace::{Span, trace_id_of_caller};

use metrics::StoreLabels;
use std::sync::Arc;
use std::time::Instant;

/// Where an application reports to. Clones report to the same places; the default is nowhere.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    pub metrics: Option<Arc<Metrics>>,
    pub tracer: Option<Tracer>,
}

/// Where calls to stores are reported, and the span that they are part of.
#[derive(Clone, Copy)]
pub(crate) struct Calls<'a> {
    pub telemetry: &'a Telemetry,
    pub parent: Option<&'a Span>,
}

impl<'a> Calls<'a> {
    /// A call begins. `system` and `operation` are words of ours; `statement` is SQL without values.
    pub fn begin(
        self,
        system: &'static str,
        operation: &'static str,
        statement: Option<String>,
    ) -> Call<'a> {
        let metrics = self.telemetry.metrics.as_deref();
        Call {
            measured: metrics.map(|metrics| (metrics, Instant::now())),
            span: self
                .parent
                .map(|parent| parent.store_call(system, operation, statement)),
            labels: StoreLabels {
                db_system_name: system,
                db_operation_name: operation,
                // What is dropped before its end was given up with the request.
                error_type: "cancelled",
            },
        }
    }
}

/// A call to a store that is under way.
pub(crate) struct Call<'a> {
    measured: Option<(&'a Metrics, Instant)>,
    span: Option<Span>,
    labels: StoreLabels,
}

impl Call<'_> {
    /// The call has ended with an error of this kind, or well.
    pub fn end(mut self, error_type: Option<&'static str>) {
        self.labels.error_type = error_type.unwrap_or_default();
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some((metrics, started)) = self.measured {
            metrics.store_call(self.labels.clone(), started.elapsed());
        }
        if let Some(span) = &self.span
            && !self.labels.error_type.is_empty()
        {
            span.fail(self.labels.error_type);
        }
    }
}

/// A connection to Postgres, counted as in one state until this is dropped.
pub(crate) struct Counted {
    metrics: Option<Arc<Metrics>>,
    state: ConnectionState,
}

impl Counted {
    pub fn new(telemetry: &Telemetry, state: ConnectionState) -> Self {
        let metrics = telemetry.metrics.clone();
        if let Some(metrics) = &metrics {
            metrics.postgres_connections(state).inc();
        }
        Self { metrics, state }
    }

    pub fn set(&mut self, state: ConnectionState) {
        if let Some(metrics) = &self.metrics {
            metrics.postgres_connections(self.state).dec();
            metrics.postgres_connections(state).inc();
        }
        self.state = state;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.postgres_connections(self.state).dec();
        }
    }
}
