//! The databases that the process knows.

use crate::endpoint::Endpoint;
use crate::error::Error;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The most databases that are known before those that no thread uses are forgotten.
const MAX_KNOWN: usize = 64;

/// The endpoints of all threads, by address. Clones share them.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<HashMap<String, Arc<Endpoint>>>>);

impl Registry {
    /// The endpoint of `address`, or a `new` one.
    ///
    /// # Errors
    /// If none can be made.
    pub fn endpoint(
        &self,
        address: &str,
        new: impl FnOnce() -> Result<Endpoint, Error>,
    ) -> Result<Arc<Endpoint>, Error> {
        let mut known = self.0.lock();
        if let Some(endpoint) = known.get(address) {
            return Ok(endpoint.clone());
        }
        if known.len() >= MAX_KNOWN {
            known.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
        }
        let endpoint = Arc::new(new()?);
        known.insert(address.to_owned(), endpoint.clone());
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Statements;

    #[test]
    fn what_no_thread_uses_is_forgotten() {
        let registry = Registry::default();
        let new = || Ok(Endpoint::new(String::new(), Statements::Prepared, None));
        let used = registry.endpoint("used", new).unwrap();
        for number in 0..2 * MAX_KNOWN {
            drop(registry.endpoint(&number.to_string(), new).unwrap());
        }
        assert!(registry.0.lock().len() <= MAX_KNOWN);
        let again = registry.endpoint("used", new).unwrap();
        assert!(Arc::ptr_eq(&used, &again));
    }
}
