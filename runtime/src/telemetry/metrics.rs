//! What is counted and measured, for Prometheus. Names and units are OpenTelemetry's where it has one (semantic conventions
//! for HTTP servers and database clients), else Prometheus' own conventions.

use super::labels::{
    BuildLabels, EgressRefusal, GuestFailure, GuestFailureLabels, OutgoingLabels,
    PostgresConnection, ProblemLabels, REASON, Refusal, RefusalLabels, RequestLabels, STATE,
    StoreLabels,
};
use super::per_thread::PerThread;
use super::process::Process;
use crate::egress::RefusalCounts;
use parking_lot::Mutex;
use pipelined_postgres::ConnectionCounts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The most types of problems that are told apart. A component has few; one with more makes them up.
const MAX_PROBLEM_TYPES: usize = 32;
const MAX_PROBLEM_TYPE_BYTES: usize = 128;

/// The type of all problems beyond that.
const OTHER_TYPES: &str = "other";

/// How the metrics are written down.
///
/// ```
/// # use http_component_runtime::{Format, Metrics};
/// assert_eq!(Metrics::disabled().encode(Format::OpenMetrics), "");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

/// The metrics of one process, or none. Clones count together.
///
/// ```
/// # use http_component_runtime::{Format, Metrics};
/// let metrics = Metrics::new("items", "1.0.0", "48");
/// assert!(metrics.encode(Format::Prometheus).contains("items_connections 0\n"));
/// ```
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<Inner>>);

struct Inner {
    registry: Registry,
    per_thread: Arc<PerThread>,
    connections: Gauge,
    refused: Family<RefusalLabels, Counter>,
    problems: Family<ProblemLabels, Counter>,
    problem_types: Mutex<HashSet<String>>,
    guest_failures: Family<GuestFailureLabels, Counter>,
    instances_started: Counter,
    instance_memory: Gauge,
    postgres: Arc<OnceLock<ConnectionCounts>>,
    egress: Arc<OnceLock<RefusalCounts>>,
    ready: Gauge,
}

impl Metrics {
    /// Nothing is counted.
    pub fn disabled() -> Self {
        Self(None)
    }

    /// Everything is counted. The names that are not OpenTelemetry's begin with `namespace`; `version` is that of the
    /// program, and `wasmtime` that of wasmtime.
    pub fn new(namespace: &'static str, version: &'static str, wasmtime: &'static str) -> Self {
        let mut registry = Registry::default();
        let per_thread = Arc::new(PerThread::new(namespace));
        registry.register_collector(Box::new(per_thread.clone()));
        registry.register_collector(Box::new(Process));

        let own = registry.sub_registry_with_prefix(namespace);
        let connections = gauge(own, "connections", "Open connections of clients");
        let refused = family(
            own,
            "refused",
            "Clients refused because too many requests are in flight, or too many connections open",
            Refusal::ALL.iter().map(|&reason| RefusalLabels { reason }),
        );
        let problems = Family::default();
        own.register(
            "problems",
            "Problem documents answered (RFC 9457), by their type",
            problems.clone(),
        );
        let guest_failures = family(
            own,
            "guest_failures",
            "Requests that the component failed to answer",
            GuestFailure::ALL
                .iter()
                .map(|&reason| GuestFailureLabels { reason }),
        );
        let instances_started = Counter::default();
        own.register(
            "instances_started",
            "Instances of the component started",
            instances_started.clone(),
        );
        let instance_memory = Gauge::default();
        own.register_with_unit(
            "instance_memory",
            "Linear memory of all instances together",
            Unit::Bytes,
            instance_memory.clone(),
        );
        let postgres = Arc::default();
        own.register_collector(Box::new(PostgresConnections(Arc::clone(&postgres))));
        let egress = Arc::default();
        own.register_collector(Box::new(EgressRefusals(Arc::clone(&egress))));
        let ready = gauge(own, "ready", "Whether this host is ready for new requests");
        let build_info = Family::<BuildLabels, Gauge>::default();
        build_info
            .get_or_create(&BuildLabels { version, wasmtime })
            .set(1);
        own.register(
            "build_info",
            "The versions of this host; always 1",
            build_info,
        );
        Self(Some(Arc::new(Inner {
            registry,
            per_thread,
            connections,
            refused,
            problems,
            problem_types: Mutex::default(),
            guest_failures,
            instances_started,
            instance_memory,
            postgres,
            egress,
            ready,
        })))
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn request_began(&self) {
        if let Some(inner) = &self.0 {
            inner.per_thread.counts().active_requests += 1;
        }
    }

    /// The request was answered, or its client has left.
    pub(crate) fn request_ended(&self, labels: RequestLabels, duration: Duration) {
        if let Some(inner) = &self.0 {
            let mut counts = inner.per_thread.counts();
            counts.active_requests -= 1;
            counts.requests.entry(labels).or_default().add(duration);
        }
    }

    /// A call to a store has ended.
    pub(crate) fn store_call(&self, labels: StoreLabels, duration: Duration) {
        if let Some(inner) = &self.0 {
            let mut counts = inner.per_thread.counts();
            counts.store_calls.entry(labels).or_default().add(duration);
        }
    }

    /// An HTTP request of a component has been answered, or has failed.
    pub(crate) fn outgoing_request(&self, labels: OutgoingLabels, duration: Duration) {
        if let Some(inner) = &self.0 {
            let mut counts = inner.per_thread.counts();
            let requests = &mut counts.outgoing_requests;
            requests.entry(labels).or_default().add(duration);
        }
    }

    pub(crate) fn instance_started(&self) {
        if let Some(inner) = &self.0 {
            inner.instances_started.inc();
        }
    }

    /// An idle instance was given a request.
    pub(crate) fn instance_reused(&self) {
        if let Some(inner) = &self.0 {
            let mut counts = inner.per_thread.counts();
            counts.instances_idle -= 1;
            counts.instances_reused += 1;
        }
    }

    /// The number of idle instances has changed by `change`.
    pub(crate) fn instances_idle(&self, change: i64) {
        if let Some(inner) = &self.0 {
            inner.per_thread.counts().instances_idle += change;
        }
    }

    /// An instance counts as busy until what this returns is dropped.
    pub(crate) fn busy_instance(&self) -> BusyInstance {
        self.instances_busy(1);
        BusyInstance(self.clone())
    }

    fn instances_busy(&self, change: i64) {
        if let Some(inner) = &self.0 {
            inner.per_thread.counts().instances_busy += change;
        }
    }

    /// The linear memory of an instance has changed by `change` bytes.
    pub(crate) fn instance_memory(&self, change: i64) {
        if let Some(inner) = &self.0 {
            inner.instance_memory.inc_by(change);
        }
    }

    /// A connection of a client counts as open until what this returns is dropped.
    pub(crate) fn open_connection(&self) -> OpenConnection {
        let gauge = self.0.as_ref().map(|inner| inner.connections.clone());
        if let Some(gauge) = &gauge {
            gauge.inc();
        }
        OpenConnection(gauge)
    }

    pub(crate) fn refusal(&self, reason: Refusal) {
        if let Some(inner) = &self.0 {
            inner.refused.get_or_create(&RefusalLabels { reason }).inc();
        }
    }

    pub(crate) fn guest_failure(&self, reason: GuestFailure) {
        if let Some(inner) = &self.0 {
            let labels = GuestFailureLabels { reason };
            inner.guest_failures.get_or_create(&labels).inc();
        }
    }

    /// A problem document was answered; `kind` is its type.
    pub(crate) fn problem(&self, kind: &str) {
        let Some(inner) = &self.0 else {
            return;
        };
        let mut types = inner.problem_types.lock();
        let is_known = types.contains(kind);
        let kind = if is_known {
            kind
        } else if types.len() < MAX_PROBLEM_TYPES && kind.len() <= MAX_PROBLEM_TYPE_BYTES {
            types.insert(kind.to_owned());
            kind
        } else {
            OTHER_TYPES
        };
        drop(types);
        let labels = ProblemLabels {
            r#type: kind.to_owned(),
        };
        inner.problems.get_or_create(&labels).inc();
    }

    /// Reports the connections that `counts` counts. Only the first call has an effect.
    pub(crate) fn observe_postgres(&self, counts: ConnectionCounts) {
        if let Some(inner) = &self.0 {
            inner.postgres.get_or_init(|| counts);
        }
    }

    /// Reports the refusals that `counts` counts. Only the first call has an effect.
    pub(crate) fn observe_egress(&self, counts: RefusalCounts) {
        if let Some(inner) = &self.0 {
            inner.egress.get_or_init(|| counts);
        }
    }

    pub(crate) fn ready(&self, is_ready: bool) {
        if let Some(inner) = &self.0 {
            inner.ready.set(i64::from(is_ready));
        }
    }

    /// All metrics, as they are now; empty where nothing is counted.
    pub fn encode(&self, format: Format) -> String {
        let Some(inner) = &self.0 else {
            return String::new();
        };
        let mut written = String::new();
        text::encode(&mut written, &inner.registry)
            .expect("a String takes all that is written to it");
        match format {
            Format::OpenMetrics => written,
            Format::Prometheus => to_prometheus(&written),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.is_enabled()).finish()
    }
}

/// An instance that counts as busy until this is dropped.
pub(crate) struct BusyInstance(Metrics);

impl Drop for BusyInstance {
    fn drop(&mut self) {
        self.0.instances_busy(-1);
    }
}

/// A connection that counts as open until this is dropped.
pub(crate) struct OpenConnection(Option<Gauge>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if let Some(gauge) = &self.0 {
            gauge.dec();
        }
    }
}

/// The connections to Postgres, which the client library counts itself.
#[derive(Debug)]
struct PostgresConnections(Arc<OnceLock<ConnectionCounts>>);

impl Collector for PostgresConnections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut states = encoder.encode_descriptor(
            "postgres_connections",
            "Connections to Postgres",
            None,
            MetricType::Gauge,
        )?;
        for &state in PostgresConnection::ALL {
            let count = self.0.get().map_or(0, |counts| match state {
                PostgresConnection::Shared => counts.shared(),
                PostgresConnection::Dedicated => counts.dedicated(),
                PostgresConnection::Idle => counts.idle(),
            });
            states
                .encode_family(&[(STATE, state.as_str())])?
                .encode_gauge(&i64::try_from(count).unwrap_or(i64::MAX))?;
        }
        Ok(())
    }
}

/// The connections that the policy has refused, which it counts itself.
#[derive(Debug)]
struct EgressRefusals(Arc<OnceLock<RefusalCounts>>);

impl Collector for EgressRefusals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut reasons = encoder.encode_descriptor(
            "egress_refused",
            "Connections that the component may not make",
            None,
            MetricType::Counter,
        )?;
        for &reason in EgressRefusal::ALL {
            let count = self.0.get().map_or(0, |counts| match reason {
                EgressRefusal::Destination => counts.destinations(),
                EgressRefusal::Address => counts.addresses(),
            });
            reasons
                .encode_family(&[(REASON, reason.as_str())])?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// Registers a counter with a series for each of `labels`, which are there from the start.
fn family<L>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    labels: impl Iterator<Item = L>,
) -> Family<L, Counter>
where
    L: EncodeLabelSet + fmt::Debug + Clone + Eq + Hash + Send + Sync + 'static,
{
    let family = Family::<L, Counter>::default();
    for labels in labels {
        drop(family.get_or_create(&labels));
    }
    registry.register(name, help, family.clone());
    family
}

/// The text of Prometheus from that of OpenMetrics: counters have their suffix in each line, and there are neither units
/// nor an end mark.
fn to_prometheus(open_metrics: &str) -> String {
    let mut written = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(said) = line.strip_prefix("# HELP ") {
            help = said.split_once(' ');
        } else if let Some(said) = line.strip_prefix("# TYPE ") {
            let (name, kind) = said.split_once(' ').unwrap_or((said, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take() {
                written.push_str(&format!("# HELP {name}{suffix} {text}\n"));
            }
            written.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with("# ") {
            written.push_str(line);
            written.push('\n');
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_name_counters_their_way() {
        let metrics = Metrics::new("host", "1", "1");
        metrics.refusal(Refusal::InFlight);
        let sample = "host_refused_total{reason=\"in_flight\"} 1\n";
        let older = metrics.encode(Format::Prometheus);
        let named = "# TYPE host_refused_total counter\nhost_refused_total";
        assert!(older.contains(named), "{older}");
        assert!(older.contains(sample), "{older}");
        assert!(!older.contains("# EOF") && !older.contains("# UNIT"));
        let newer = metrics.encode(Format::OpenMetrics);
        assert!(newer.contains("# TYPE host_refused counter\n"));
        assert!(
            newer.contains(sample) && newer.ends_with("# EOF\n"),
            "{newer}"
        );
    }

    #[test]
    fn made_up_problem_types_are_counted_together() {
        let metrics = Metrics::new("host", "1", "1");
        for number in 0..1000 {
            metrics.problem(&format!("/problems/{number}"));
        }
        metrics.problem(&"x".repeat(MAX_PROBLEM_TYPE_BYTES + 1));
        let text = metrics.encode(Format::Prometheus);
        let series = text.matches("host_problems_total{").count();
        assert_eq!(series, MAX_PROBLEM_TYPES + 1);
        let other = "host_problems_total{type=\"other\"} 969\n";
        assert!(text.contains(other), "{text}");
    }
}
