//! The metrics that every request changes. Each thread has its own, so that threads do not wait for one another; they are
//! added up when they are read. (The counters of the library are shared by all threads.)

use super::labels::{InstanceState, OutgoingLabels, RequestLabels, STATE, StoreLabels};
use parking_lot::{Mutex, MutexGuard};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// With more threads than this, some threads share a shard.
const SHARDS: usize = 64;

/// Upper bounds in seconds: most of those that OpenTelemetry advises, and below them some for a service that
/// answers in less than a millisecond.
const BUCKETS: [f64; 15] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];

/// What is counted for every request.
#[derive(Debug)]
pub struct PerThread {
    /// What the names of metrics begin with that are not OpenTelemetry's.
    namespace: &'static str,
    shards: [Shard; SHARDS],
}

/// What one thread has counted, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Counts>);

/// A part of each count. Of a gauge, one thread may have the increments and another the decrements.
#[derive(Debug, Default)]
pub struct Counts {
    pub requests: HashMap<RequestLabels, Distribution>,
    pub store_calls: HashMap<StoreLabels, Distribution>,
    pub outgoing_requests: HashMap<OutgoingLabels, Distribution>,
    pub active_requests: i64,
    pub instances_idle: i64,
    pub instances_busy: i64,
    pub instances_reused: u64,
}

/// How long things took.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    /// The last are longer than all bounds.
    counts: [u64; BUCKETS.len() + 1],
    seconds: f64,
}

impl Distribution {
    pub fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BUCKETS.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += 1;
        self.seconds += seconds;
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.seconds += other.seconds;
    }
}

impl PerThread {
    pub fn new(namespace: &'static str) -> Self {
        Self {
            namespace,
            shards: std::array::from_fn(|_| Shard::default()),
        }
    }

    /// The counts of this thread.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        }
        let Shard(counts) = &self.shards[SHARD.with(|shard| *shard)];
        counts.lock()
    }

    fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Counts>> {
        self.shards.iter().map(|Shard(counts)| counts.lock())
    }

    fn sum<T: std::iter::Sum>(&self, count: impl Fn(&Counts) -> T) -> T {
        self.all().map(|counts| count(&counts)).sum()
    }

    fn merged<L: Clone + Ord>(
        &self,
        family: impl Fn(&Counts) -> &HashMap<L, Distribution>,
    ) -> BTreeMap<L, Distribution> {
        let mut merged = BTreeMap::<L, Distribution>::new();
        for counts in self.all() {
            for (labels, distribution) in family(&counts) {
                merged
                    .entry(labels.clone())
                    .or_default()
                    .merge(distribution);
            }
        }
        merged
    }
}

impl Collector for PerThread {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode_durations(
            &mut encoder,
            "http_server_request_duration",
            "Duration of HTTP requests, from their head to the end of the response; 499: the client left before it.",
            &self.merged(|counts| &counts.requests),
        )?;
        encode_durations(
            &mut encoder,
            "db_client_operation_duration",
            "Duration of the component's calls to its stores; error_type is empty where they succeeded.",
            &self.merged(|counts| &counts.store_calls),
        )?;
        encode_durations(
            &mut encoder,
            "http_client_request_duration",
            "Duration of the component's HTTP requests, to the head of the response; error_type is empty where there was one.",
            &self.merged(|counts| &counts.outgoing_requests),
        )?;
        let active = ConstGauge::new(self.sum(|counts| counts.active_requests));
        active.encode(encoder.encode_descriptor(
            "http_server_active_requests",
            "HTTP requests in flight.",
            None,
            MetricType::Gauge,
        )?)?;
        let name = format!("{}_instances", self.namespace);
        let mut instances = encoder.encode_descriptor(
            &name,
            "Instances of the component.",
            None,
            MetricType::Gauge,
        )?;
        for &state in InstanceState::ALL {
            let count = self.sum(|counts| match state {
                InstanceState::Idle => counts.instances_idle,
                InstanceState::Busy => counts.instances_busy,
            });
            instances
                .encode_family(&[(STATE, state.as_str())])?
                .encode_gauge(&count)?;
        }
        let reused = ConstCounter::new(self.sum(|counts| counts.instances_reused));
        reused.encode(encoder.encode_descriptor(
            &format!("{}_instances_reused", self.namespace),
            "Requests handled by an instance that was there before.",
            None,
            MetricType::Counter,
        )?)
    }
}

fn encode_durations<L: EncodeLabelSet + Eq + Hash>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    family: &BTreeMap<L, Distribution>,
) -> fmt::Result {
    let mut encoder =
        encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (labels, distribution) in family {
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(distribution.counts).collect();
        encoder
            .encode_family(labels)?
            .encode_histogram::<NoLabelSet>(
                distribution.seconds,
                distribution.counts.iter().sum(),
                &buckets,
                None,
            )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_up_to_its_bound() {
        let mut distribution = Distribution::default();
        for microseconds in [0, 250, 251, 10_000_000, 10_000_001] {
            distribution.add(Duration::from_micros(microseconds));
        }
        let counts = distribution.counts;
        assert_eq!((counts[0], counts[1], counts[14], counts[15]), (2, 1, 1, 1));
    }
}
