//! The answer to a statement.

use tokio_postgres::{Column, Row, Statement};

/// The largest answer to one query, in bytes of memory: it is held until it is complete. A single row is bounded by Postgres
/// alone (1 GB), because the driver receives it as a whole.
pub const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// What a field takes beside its content: its place in the row, and in what the caller makes of it.
const FIELD_BYTES: usize = 40;

/// The rows of a statement, or how many it changed.
pub struct Answer {
    /// `None` if it had no name: then only rows know their columns.
    statement: Option<Statement>,
    /// Empty where only the count was asked for.
    pub rows: Vec<Row>,
    /// How many rows the statement changed, or returned.
    pub affected: u64,
}

impl Answer {
    pub(crate) fn new(statement: Option<Statement>, rows: Vec<Row>, affected: u64) -> Self {
        Self {
            statement,
            rows,
            affected,
        }
    }

    /// The columns of the rows, which are there even if no row is; unless the statement was unnamed.
    pub fn columns(&self) -> &[Column] {
        match (&self.statement, self.rows.first()) {
            (Some(statement), _) => statement.columns(),
            (None, Some(row)) => row.columns(),
            (None, None) => &[],
        }
    }
}

/// What `row` counts of an answer, in bytes.
pub(crate) fn size(row: &Row) -> usize {
    row.raw_size_bytes() + row.len() * FIELD_BYTES
}
