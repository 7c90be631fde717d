//! What a component has open.

use crate::limits::Slot;

/// An open store. All of them are the store `default`.
pub struct Store {
    _slot: Slot,
}

impl Store {
    /// Keeps `slot` until it is dropped.
    pub fn new(slot: Slot) -> Self {
        Self { _slot: slot }
    }
}
