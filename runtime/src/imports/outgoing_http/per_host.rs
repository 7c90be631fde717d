//! How many requests may be under way to one host.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most requests of one thread to one host at a time; more wait. So many connections to it are there at most.
const MAX_REQUESTS: usize = 32;

/// So many hosts are known before those without requests are forgotten.
const MAX_KNOWN: usize = 64;

/// The hosts that there are requests to.
#[derive(Default)]
pub struct PerHost(Mutex<HashMap<String, Weak<Semaphore>>>);

/// The permission for one request, until it is dropped.
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl PerHost {
    /// Waits until there may be one more request to `host`, a scheme with an authority.
    pub async fn turn(&self, host: String) -> Turn {
        let permit = self.permits(host).acquire_owned().await;
        Turn {
            _permit: permit.expect("this semaphore is never closed"),
        }
    }

    fn permits(&self, host: String) -> Arc<Semaphore> {
        let mut known = self.0.lock();
        if known.len() >= MAX_KNOWN {
            known.retain(|_, permits| permits.strong_count() > 0);
        }
        let entry = known.entry(host).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let permits = Arc::new(Semaphore::new(MAX_REQUESTS));
            *entry = Arc::downgrade(&permits);
            permits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn one_host_has_so_many_requests_and_others_have_theirs() {
        let hosts = PerHost::default();
        let turn = |host: &str| hosts.turn(host.to_owned()).now_or_never();
        let mut turns: Vec<_> = (0..MAX_REQUESTS).map(|_| turn("http://a")).collect();
        assert!(turns.iter().all(Option::is_some));
        assert!(turn("http://a").is_none());
        assert!(turn("http://b").is_some());
        turns.pop();
        assert!(turn("http://a").is_some());
    }

    #[test]
    fn hosts_without_requests_are_forgotten() {
        let hosts = PerHost::default();
        let _kept = hosts.turn("kept".to_owned()).now_or_never();
        for number in 0..4 * MAX_KNOWN {
            drop(hosts.turn(number.to_string()).now_or_never());
        }
        let known = hosts.0.lock();
        assert!(known.len() <= MAX_KNOWN && known.contains_key("kept"));
    }
}
