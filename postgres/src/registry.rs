//! The databases that the process knows.

use crate::endpoint::Endpoint;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The most databases that are known before those that no thread uses are forgotten.
const MAX_KNOWN: usize = 64;

/// The endpoints of all threads, by address. Clones share them.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<HashMap<String, Arc<Endpoint>>>>);

impl Registry {
    /// The endpoint of `address`, which the log calls `name`.
    pub fn endpoint(&self, address: &str, name: impl FnOnce() -> String) -> Arc<Endpoint> {
        let mut known = self.0.lock();
        if let Some(endpoint) = known.get(address) {
            return endpoint.clone();
        }
        if known.len() >= MAX_KNOWN {
            known.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
        }
        let endpoint = Arc::new(Endpoint::new(name()));
        known.insert(address.to_owned(), endpoint.clone());
        endpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_thread_uses_is_forgotten() {
        let registry = Registry::default();
        let used = registry.endpoint("used", || "used".to_owned());
        for number in 0..2 * MAX_KNOWN {
            drop(registry.endpoint(&number.to_string(), String::new));
        }
        assert!(registry.0.lock().len() <= MAX_KNOWN);
        let again = registry.endpoint("used", String::new);
        assert!(Arc::ptr_eq(&used, &again));
    }
}
