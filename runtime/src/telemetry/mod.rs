//! What an application reports about itself: metrics, traces and the log.
//!
//! Every function here may be called whether or not the telemetry is on: what is off costs a comparison.

mod access;
mod labels;
mod line;
mod log;
mod metrics;
mod outgoing_request;
mod per_thread;
mod process;
mod repeats;
mod store_call;
mod trace;

pub(crate) use access::{ACCESS, AccessLine};
pub(crate) use labels::{GuestFailure, Refusal, RequestLabels, Store, known_method};
pub(crate) use log::GUEST;
pub use log::{Log, LogFormat};
pub use metrics::{Format, Metrics};
pub(crate) use outgoing_request::OutgoingRequest;
pub(crate) use store_call::{Call, Calls};
pub use trace::{Exporter, ExporterError, Tracer};
pub(crate) use trace::{Span, trace_id_of_caller};

/// Where an application reports to. Clones report to the same places; the default is nowhere.
///
/// ```
/// # use http_component_runtime::{Metrics, Telemetry, Tracer};
/// let telemetry = Telemetry {
///     metrics: Metrics::new("items", "1.0.0", "48"),
///     tracer: Tracer::default(),
/// };
/// ```
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// What is counted and measured.
    pub metrics: Metrics,
    /// What is traced.
    pub tracer: Tracer,
}
