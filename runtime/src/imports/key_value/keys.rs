//! A list of keys for a component.

use super::bindings::fermyon::spin::key_value::Error;

/// The most memory that one list of keys may take.
const MAX_KEYS_BYTES: usize = 64 * 1024 * 1024;

/// A list of keys, bounded because the host holds all of it in memory.
#[derive(Default)]
pub struct Keys {
    keys: Vec<String>,
    bytes: usize,
}

impl Keys {
    /// # Errors
    /// If the list would take too much memory.
    pub fn push(&mut self, key: String) -> Result<(), Error> {
        self.bytes += size_of::<String>() + key.len();
        if self.bytes > MAX_KEYS_BYTES {
            return Err(Error::Other(format!(
                "the keys take more than {MAX_KEYS_BYTES} bytes"
            )));
        }
        self.keys.push(key);
        Ok(())
    }

    pub fn into_inner(self) -> Vec<String> {
        self.keys
    }
}
