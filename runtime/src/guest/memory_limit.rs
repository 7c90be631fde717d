//! How far the memory of one instance may grow, and that of all together.

use crate::limits::{Slot, Slots};
use crate::telemetry::Metrics;
use wasmtime::ResourceLimiter;

/// The most entries in the tables of one instance, all its tables together.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// An instance that takes no more than this does not count against all: most of what it begins with is a stack that it hardly
/// touches, and there are not more instances than requests in flight.
const OWN_BYTES: usize = 2 * 1024 * 1024;

/// What is left for one instance to grow into, all its memories and all its tables together.
pub(crate) struct MemoryLimit {
    remaining_bytes: usize,
    remaining_elements: usize,
    /// What all memories have grown to.
    used_bytes: usize,
    /// What of that counts against all instances.
    shared: Slot,
    metrics: Metrics,
}

impl MemoryLimit {
    /// At most `bytes` of linear memory, as far as there is some of that of `all` instances.
    pub fn new(bytes: usize, all: &Slots, metrics: Metrics) -> Self {
        Self {
            remaining_bytes: bytes,
            remaining_elements: MAX_TABLE_ELEMENTS,
            used_bytes: 0,
            shared: all.none(),
            metrics,
        }
    }

    /// Whether it has memory that other instances may need.
    pub fn holds_scarce_memory(&self) -> bool {
        self.used_bytes > OWN_BYTES && self.shared.is_scarce()
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let used_bytes = self.used_bytes.saturating_add(growth);
        let counted =
            used_bytes.saturating_sub(OWN_BYTES) - self.used_bytes.saturating_sub(OWN_BYTES);
        let may_grow = growth <= self.remaining_bytes && self.shared.add(counted);
        if may_grow {
            self.remaining_bytes -= growth;
            self.used_bytes = used_bytes;
            self.metrics.instance_memory(signed(growth));
        }
        Ok(may_grow)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let may_grow = growth <= self.remaining_elements;
        if may_grow {
            self.remaining_elements -= growth;
        }
        Ok(may_grow)
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.metrics.instance_memory(-signed(self.used_bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_share_one_limit() {
        let mut limit = MemoryLimit::new(100, &Slots::new(0), Metrics::disabled());
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(!limit.memory_growing(0, 50, None).unwrap());
        assert!(limit.memory_growing(60, 100, None).unwrap());
        assert!(!limit.memory_growing(100, 101, None).unwrap());
    }

    #[test]
    fn all_instances_share_what_is_more_than_their_own() {
        const MIB: usize = 1024 * 1024;

        let all = Slots::new(3 * MIB);
        let new = || MemoryLimit::new(100 * MIB, &all, Metrics::disabled());
        let grow = |limit: &mut MemoryLimit, from: usize, to: usize| {
            limit.memory_growing(from * MIB, to * MIB, None).unwrap()
        };
        let (mut first, mut second) = (new(), new());
        assert!(grow(&mut first, 0, 1) && grow(&mut first, 1, 4));
        assert!(grow(&mut second, 0, 3));
        assert!(!grow(&mut second, 3, 4));
        assert!(grow(&mut new(), 0, 2));
        drop(first);
        assert!(grow(&mut second, 3, 5));
    }
}
