//! Many values for a component.

use super::error::KeyValueError;

/// The most bytes of one answer with many values: the host holds all of it in memory.
const MAX_VALUES_BYTES: usize = 16 * 1024 * 1024;

/// Keys, each with its value, bounded because the host holds all of them in memory.
#[derive(Default)]
pub struct Values {
    found: Vec<(String, Option<Vec<u8>>)>,
    bytes: usize,
}

impl Values {
    /// # Errors
    /// If all together would take too much memory.
    pub fn push(&mut self, key: String, value: Option<Vec<u8>>) -> Result<(), KeyValueError> {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        if self.bytes > MAX_VALUES_BYTES {
            return Err(KeyValueError::Other(format!(
                "the values take more than {MAX_VALUES_BYTES} bytes"
            )));
        }
        self.found.push((key, value));
        Ok(())
    }

    pub fn into_inner(self) -> Vec<(String, Option<Vec<u8>>)> {
        self.found
    }
}
