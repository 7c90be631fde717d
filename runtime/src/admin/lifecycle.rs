//! Where the process is in its life: starting, serving, draining; and whether its threads still work.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// How often each serving thread sends a heartbeat, and after how long without one it counts as stuck.
const HEARTBEAT: Duration = Duration::from_secs(1);
const MAX_SILENCE: Duration = Duration::from_secs(20);

/// The lifecycle of this process. Clones share it.
///
/// ```
/// # use http_component_runtime::Lifecycle;
/// # async fn example() {
/// let lifecycle = Lifecycle::default();
/// // In each thread that serves.
/// tokio::spawn(lifecycle.clone().beat());
/// lifecycle.start();
/// // When the process is asked to stop.
/// lifecycle.drain();
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Lifecycle(Arc<State>);

#[derive(Default)]
struct State {
    has_started: AtomicBool,
    is_draining: AtomicBool,
    heartbeats: Mutex<Vec<Arc<Heartbeat>>>,
}

/// The heartbeat of one thread.
struct Heartbeat {
    began: Instant,
    /// Of the last beat, in milliseconds since the first.
    last: AtomicU64,
}

impl Lifecycle {
    /// Requests are served from now on.
    pub fn start(&self) {
        self.0.has_started.store(true, Ordering::Relaxed);
    }

    /// No new requests should come from now on.
    pub fn drain(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_started(&self) -> bool {
        self.0.has_started.load(Ordering::Relaxed)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed)
    }

    /// Sends heartbeats for ever. Each serving thread runs this beside its work.
    pub async fn beat(self) {
        let heartbeat = self.0.register(Instant::now());
        let mut interval = interval(HEARTBEAT);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            heartbeat.beat(Instant::now());
        }
    }

    /// Whether each thread has sent a heartbeat lately.
    pub(super) fn is_alive(&self) -> bool {
        self.0.is_alive(Instant::now())
    }
}

impl State {
    fn register(&self, began: Instant) -> Arc<Heartbeat> {
        let last = AtomicU64::new(0);
        let heartbeat = Arc::new(Heartbeat { began, last });
        self.heartbeats.lock().push(heartbeat.clone());
        heartbeat
    }

    fn is_alive(&self, now: Instant) -> bool {
        let heartbeats = self.heartbeats.lock();
        heartbeats.iter().all(|one| one.silence(now) < MAX_SILENCE)
    }
}

impl Heartbeat {
    fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.began);
        self.last.store(since.as_millis() as u64, Ordering::Relaxed);
    }

    fn silence(&self, now: Instant) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        now.saturating_duration_since(self.began)
            .saturating_sub(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stuck_thread_is_enough() {
        let state = State::default();
        let began = Instant::now();
        assert!(state.is_alive(began), "no thread is stuck");
        let [first, second] = [(); 2].map(|()| state.register(began));
        first.beat(began + MAX_SILENCE);
        assert!(!state.is_alive(began + MAX_SILENCE));
        second.beat(began + Duration::from_secs(1));
        assert!(state.is_alive(began + MAX_SILENCE));
    }
}
