//! How far the memory of one instance may grow.

use crate::telemetry::Metrics;
use wasmtime::ResourceLimiter;

/// The most entries in the tables of one instance, all its tables together.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// What is left for one instance to grow into, all its memories and all its tables together.
pub(crate) struct MemoryLimit {
    remaining_bytes: usize,
    remaining_elements: usize,
    /// What all memories have grown to.
    used_bytes: i64,
    metrics: Metrics,
}

impl MemoryLimit {
    /// At most `bytes` of linear memory.
    pub fn new(bytes: usize, metrics: Metrics) -> Self {
        Self {
            remaining_bytes: bytes,
            remaining_elements: MAX_TABLE_ELEMENTS,
            used_bytes: 0,
            metrics,
        }
    }
}

/// Takes the growth from `current` to `desired` out of `remaining`, if there is so much.
fn take(remaining: &mut usize, current: usize, desired: usize) -> bool {
    match remaining.checked_sub(desired.saturating_sub(current)) {
        Some(rest) => {
            *remaining = rest;
            true
        }
        None => false,
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let may_grow = take(&mut self.remaining_bytes, current, desired);
        if may_grow {
            let growth = i64::try_from(desired.saturating_sub(current)).unwrap_or(i64::MAX);
            self.used_bytes += growth;
            self.metrics.instance_memory(growth);
        }
        Ok(may_grow)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(take(&mut self.remaining_elements, current, desired))
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.metrics.instance_memory(-self.used_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_share_one_limit() {
        let mut limit = MemoryLimit::new(100, Metrics::disabled());
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(!limit.memory_growing(0, 50, None).unwrap());
        assert!(limit.memory_growing(60, 100, None).unwrap());
        assert!(!limit.memory_growing(100, 101, None).unwrap());
    }
}
