//! Keys and values in memory.

use super::bindings::fermyon::spin::key_value::Error;
use super::keys::Keys;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// What an entry takes beside its key and its value.
const ENTRY_BYTES: usize = 64;

#[derive(Clone)]
pub struct Memory(Arc<RwLock<Entries>>);

struct Entries {
    map: BTreeMap<String, Vec<u8>>,
    bytes: usize,
    max_bytes: usize,
}

impl Entries {
    fn remove(&mut self, key: &str) {
        if let Some(value) = self.map.remove(key) {
            self.bytes -= size(key, &value);
        }
    }
}

fn size(key: &str, value: &[u8]) -> usize {
    ENTRY_BYTES + key.len() + value.len()
}

impl Memory {
    pub fn new(max_bytes: usize) -> Self {
        Self(Arc::new(RwLock::new(Entries {
            map: BTreeMap::new(),
            bytes: 0,
            max_bytes,
        })))
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.read().map.get(key).cloned()
    }

    /// # Errors
    /// If there would be too much.
    pub fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        let mut entries = self.0.write();
        let before = entries.map.get(&key).map_or(0, |before| size(&key, before));
        let bytes = entries.bytes - before + size(&key, &value);
        if bytes > entries.max_bytes {
            return Err(Error::StoreTableFull);
        }
        entries.bytes = bytes;
        entries.map.insert(key, value);
        Ok(())
    }

    pub fn delete(&self, key: &str) {
        self.0.write().remove(key);
    }

    /// Up to `count` keys behind the key `after`, in order.
    pub fn keys_after(&self, after: &str, count: u32) -> Vec<String> {
        let entries = self.0.read();
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let keys = entries.map.range::<str, _>(behind).take(count as usize);
        keys.map(|(key, _)| key.clone()).collect()
    }

    pub fn keys(&self) -> Result<Vec<String>, Error> {
        let mut keys = Keys::default();
        for key in self.0.read().map.keys() {
            keys.push(key.clone())?;
        }
        Ok(keys.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_memory_is_bounded() {
        let memory = Memory::new(10_000);
        let half = [0; 4_500];
        let set = |key: &str, value: &[u8]| memory.set(key.to_owned(), value.to_vec()).is_ok();
        assert!(set("a", &half) && set("b", &half) && set("b", &half));
        assert!(!set("c", &half));
        assert!(set("c", b"small"));
        memory.delete("a");
        memory.delete("a");
        assert!(set("c", &half));
        assert!(!set("d", &half));
    }
}
