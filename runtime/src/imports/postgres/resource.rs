//! What a component has open.

use super::parameter::Parameter;
use crate::limits::Slot;
use pipelined_postgres::Session;

/// An open connection.
pub struct Connection {
    pub(super) session: Session<Parameter>,
    _slot: Slot,
}

impl Connection {
    /// Keeps `slot` until it is dropped.
    pub(super) fn new(session: Session<Parameter>, slot: Slot) -> Self {
        Self {
            session,
            _slot: slot,
        }
    }
}
