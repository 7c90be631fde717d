//! What is counted and measured, for Prometheus. Names and units are OpenTelemetry's where it has one
//! (semantic conventions for HTTP servers and database clients), else Prometheus' own conventions.
//!
//! Labels have values from bounded sets only, whatever callers send.

use super::per_thread::PerThread;
use super::process::Process;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many types of problems are told apart; a component has few, and more would be a component that makes them up.
const MAX_PROBLEM_TYPES: usize = 32;
const MAX_PROBLEM_TYPE_BYTES: usize = 128;

/// How the metrics are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub struct HttpLabels {
    pub http_request_method: &'static str,
    pub http_route: &'static str,
    pub http_response_status_code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub struct StoreLabels {
    pub db_system_name: &'static str,
    pub db_operation_name: &'static str,
    /// Empty, which means absent to Prometheus, where the operation succeeded.
    pub error_type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProblemLabels {
    r#type: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
    wasmtime: &'static str,
}

/// A label with the name `reason`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// A label with the name `state`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Why a caller was turned away.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// As many requests as may be are under way.
    InFlight,
    /// As many connections as may be are open.
    Connections,
}

/// How a component failed to answer.
#[derive(Clone, Copy, Debug)]
pub enum GuestFailure {
    Trap,
    Timeout,
    NoAnswer,
}

/// What a connection to Postgres is used for.
#[derive(Clone, Copy, Debug)]
pub enum ConnectionState {
    /// By many requests at a time.
    Shared,
    /// By one component alone, or by changes that are committed together.
    Own,
    /// By nobody, for now.
    Idle,
}

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    per_thread: Arc<PerThread>,
    pub connections: Gauge,
    in_flight_refused: Counter,
    connections_refused: Counter,
    problems: Family<ProblemLabels, Counter>,
    problem_types: Mutex<HashSet<String>>,
    traps: Counter,
    timeouts: Counter,
    no_answers: Counter,
    pub instances_started: Counter,
    pub instance_memory: Gauge,
    shared_connections: Gauge,
    own_connections: Gauge,
    idle_connections: Gauge,
    pub ready: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let per_thread = Arc::new(PerThread::new());
        registry.register_collector(Box::new(per_thread.clone()));
        registry.register_collector(Box::new(Process));

        let own = registry.sub_registry_with_prefix("birthday_host");
        let connections = gauge(own, "connections", "Open connections of callers");
        let [in_flight_refused, connections_refused] = reasons(
            own,
            "refused",
            "Callers turned away because the house is full",
            ["in_flight", "connections"],
        );
        let problems = Family::default();
        own.register(
            "problems",
            "Problem documents answered (RFC 9457), by their type",
            problems.clone(),
        );
        let [traps, timeouts, no_answers] = reasons(
            own,
            "guest_failures",
            "Requests that the component failed to answer",
            ["trap", "timeout", "no_answer"],
        );
        let instances_started =
            counter(own, "instances_started", "Instances of the component made");
        let instance_memory = Gauge::default();
        own.register_with_unit(
            "instance_memory",
            "Linear memory of all instances together",
            Unit::Bytes,
            instance_memory.clone(),
        );
        let [shared_connections, own_connections, idle_connections] = states(
            own,
            "postgres_connections",
            "Connections to Postgres",
            ["shared", "own", "idle"],
        );
        let ready = gauge(own, "ready", "Whether new requests should come here");
        let build_info = Family::<BuildLabels, Gauge>::default();
        build_info
            .get_or_create(&BuildLabels {
                version: env!("CARGO_PKG_VERSION"),
                wasmtime: env!("WASMTIME_VERSION"),
            })
            .set(1);
        own.register(
            "build_info",
            "What this host is made of; always 1",
            build_info,
        );
        Self {
            registry,
            per_thread,
            connections,
            in_flight_refused,
            connections_refused,
            problems,
            problem_types: Mutex::default(),
            traps,
            timeouts,
            no_answers,
            instances_started,
            instance_memory,
            shared_connections,
            own_connections,
            idle_connections,
            ready,
        }
    }
}

impl Metrics {
    pub fn request_began(&self) {
        self.per_thread.counts().active_requests += 1;
    }

    /// The request was answered, or its caller has left.
    pub fn request_ended(&self, labels: HttpLabels, duration: Duration) {
        let mut counts = self.per_thread.counts();
        counts.active_requests -= 1;
        counts.requests.entry(labels).or_default().add(duration);
    }

    /// A call to a store has ended.
    pub fn store_call(&self, labels: StoreLabels, duration: Duration) {
        let mut counts = self.per_thread.counts();
        counts.store_calls.entry(labels).or_default().add(duration);
    }

    /// An idle instance was given a request.
    pub fn instance_taken(&self) {
        let mut counts = self.per_thread.counts();
        counts.instances_idle -= 1;
        counts.instances_reused += 1;
    }

    /// There are so many idle instances more, or fewer.
    pub fn instances_idle(&self, change: i64) {
        self.per_thread.counts().instances_idle += change;
    }

    /// There are so many instances at work more, or fewer.
    pub fn instances_busy(&self, change: i64) {
        self.per_thread.counts().instances_busy += change;
    }

    pub fn refusal(&self, refusal: Refusal) {
        match refusal {
            Refusal::InFlight => self.in_flight_refused.inc(),
            Refusal::Connections => self.connections_refused.inc(),
        };
    }

    /// A problem document was answered; `kind` is its type.
    pub fn problem(&self, kind: &str) {
        let mut types = self
            .problem_types
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_known = types.contains(kind);
        let kind = if is_known {
            kind
        } else if types.len() < MAX_PROBLEM_TYPES && kind.len() <= MAX_PROBLEM_TYPE_BYTES {
            types.insert(kind.to_owned());
            kind
        } else {
            "other"
        };
        drop(types);
        let labels = ProblemLabels {
            r#type: kind.to_owned(),
        };
        self.problems.get_or_create(&labels).inc();
    }

    pub fn guest_failure(&self, failure: GuestFailure) {
        match failure {
            GuestFailure::Trap => self.traps.inc(),
            GuestFailure::Timeout => self.timeouts.inc(),
            GuestFailure::NoAnswer => self.no_answers.inc(),
        };
    }

    /// How many connections to Postgres are in `state`.
    pub fn postgres_connections(&self, state: ConnectionState) -> &Gauge {
        match state {
            ConnectionState::Shared => &self.shared_connections,
            ConnectionState::Own => &self.own_connections,
            ConnectionState::Idle => &self.idle_connections,
        }
    }

    /// All of it, as it is now.
    pub fn encode(&self, format: Format) -> String {
        let mut written = String::new();
        text::encode(&mut written, &self.registry)
            .expect("a String takes all that is written to it");
        match format {
            Format::OpenMetrics => written,
            Format::Prometheus => to_prometheus(&written),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// Registers a counter with one series for each of `reasons`, which is there from the start.
fn reasons<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    reasons: [&'static str; N],
) -> [Counter; N] {
    let family = Family::<Reason, Counter>::default();
    registry.register(name, help, family.clone());
    reasons.map(|reason| family.get_or_create_owned(&Reason { reason }))
}

/// The same for a gauge and `states`.
fn states<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    states: [&'static str; N],
) -> [Gauge; N] {
    let family = Family::<State, Gauge>::default();
    registry.register(name, help, family.clone());
    states.map(|state| family.get_or_create_owned(&State { state }))
}

/// The older format names a counter with its suffix everywhere, and knows neither units nor an end.
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
        let metrics = Metrics::default();
        metrics.refusal(Refusal::InFlight);
        let sample = "birthday_host_refused_total{reason=\"in_flight\"} 1\n";
        let older = metrics.encode(Format::Prometheus);
        let named = "# TYPE birthday_host_refused_total counter\nbirthday_host_refused_total";
        assert!(older.contains(named), "{older}");
        assert!(older.contains(sample), "{older}");
        assert!(!older.contains("# EOF") && !older.contains("# UNIT"));
        let newer = metrics.encode(Format::OpenMetrics);
        assert!(newer.contains("# TYPE birthday_host_refused counter\n"));
        assert!(
            newer.contains(sample) && newer.ends_with("# EOF\n"),
            "{newer}"
        );
    }

    #[test]
    fn made_up_problem_types_are_counted_together() {
        let metrics = Metrics::default();
        for number in 0..1000 {
            metrics.problem(&format!("/problems/{number}"));
        }
        metrics.problem(&"x".repeat(MAX_PROBLEM_TYPE_BYTES + 1));
        let text = metrics.encode(Format::Prometheus);
        let series = text.matches("birthday_host_problems_total{").count();
        assert_eq!(series, MAX_PROBLEM_TYPES + 1);
        let other = "birthday_host_problems_total{type=\"other\"} 969\n";
        assert!(text.contains(other), "{text}");
    }
}
