//! Keys and values in memory.

use super::Keys;
use crate::bindings::fermyon::spin::key_value::Error;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Map = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Default)]
pub struct Memory(Arc<RwLock<Map>>);

impl Memory {
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.read().get(key).cloned()
    }

    pub fn set(&self, key: String, value: Vec<u8>) {
        self.write().insert(key, value);
    }

    pub fn delete(&self, key: &str) {
        self.write().remove(key);
    }

    pub fn keys(&self) -> Result<Vec<String>, Error> {
        let mut keys = Keys::default();
        for key in self.read().keys() {
            keys.push(key.clone())?;
        }
        Ok(keys.into_inner())
    }

    // No operation on the map can stop half-way, so a poisoned lock guards a whole map.
    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
