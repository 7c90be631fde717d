//! Keys and values in memory.

use super::bindings::fermyon::spin::key_value::Error;
use super::keys::Keys;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Default)]
pub struct Memory(Arc<RwLock<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.read().get(key).cloned()
    }

    pub fn set(&self, key: String, value: Vec<u8>) {
        self.0.write().insert(key, value);
    }

    pub fn delete(&self, key: &str) {
        self.0.write().remove(key);
    }

    pub fn keys(&self) -> Result<Vec<String>, Error> {
        let mut keys = Keys::default();
        for key in self.0.read().keys() {
            keys.push(key.clone())?;
        }
        Ok(keys.into_inner())
    }
}
