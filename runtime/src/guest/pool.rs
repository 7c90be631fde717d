//! The pool in which idle instances wait for the next request.

use super::instance::Instance;
use crate::telemetry::Metrics;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// An instance is dropped after so many requests, which bounds what a component can leak.
const MAX_REQUESTS: u32 = 10_000;

/// An instance that has been idle for so long is dropped when the next one is returned.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// The most idle instances: as many as a thread works on at once. More were made while a database was slow.
const MAX_IDLE_INSTANCES: usize = 64;

/// Idle instances. The one that was used last is used next: its memory is warm, and the others can be dropped.
pub(crate) struct Pool {
    idle: Mutex<VecDeque<Idle>>,
    metrics: Metrics,
}

struct Idle {
    instance: Instance,
    since: Instant,
}

impl Pool {
    pub fn new(metrics: Metrics) -> Self {
        Self {
            idle: Mutex::default(),
            metrics,
        }
    }

    /// The idle instance that was used last.
    pub fn take(&self) -> Option<Instance> {
        let idle = self.idle.lock().pop_back()?;
        self.metrics.instance_reused();
        Some(idle.instance)
    }

    /// Takes back an instance whose last call ended cleanly, unless it is worn out, holds connections or memory that other
    /// instances need, or an HTTP body: that would live on with the instance, and look whole when a later request ends it.
    pub fn give_back(&self, instance: Instance) {
        if instance.requests() >= MAX_REQUESTS
            || instance.holds_what_is_scarce()
            || instance.open_bodies().any()
        {
            return;
        }
        let now = Instant::now();
        let is_stale = |idle: &&Idle| now.duration_since(idle.since) > MAX_IDLE;
        let mut idle = self.idle.lock();
        idle.push_back(Idle {
            instance,
            since: now,
        });
        let too_many = idle.len().saturating_sub(MAX_IDLE_INSTANCES);
        let count = idle.iter().take_while(is_stale).count().max(too_many);
        let stale: Vec<_> = idle.drain(..count).collect();
        drop(idle);
        self.metrics.instances_idle(1 - count as i64);
        // Dropped after the lock, because dropping an instance takes long.
        drop(stale);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = self.idle.get_mut().len();
        self.metrics.instances_idle(-(idle as i64));
    }
}
