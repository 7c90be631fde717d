//! The answer to a statement.

use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::{Column, Row, Statement};

/// The largest answer to one query, in bytes of memory: it is held until it is complete. A single row, and any other message of
/// the server, may not be larger either.
pub const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// The routine that an error names which stands for a row that was too large.
pub(crate) const ROW_TOO_LARGE: &str = "pipelined_postgres::row_too_large";

/// The rows of a statement, or how many it changed.
pub struct Answer {
    /// `None` if it had no name: then only rows know their columns.
    statement: Option<Statement>,
    /// Empty where only the count was asked for.
    pub rows: Vec<Row>,
    /// How many rows the statement changed, or returned.
    pub affected: u64,
    _held: Option<OwnedSemaphorePermit>,
}

impl Answer {
    /// `held` is held as long as the answer is there.
    pub(crate) fn new(
        statement: Option<Statement>,
        rows: Vec<Row>,
        affected: u64,
        held: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            statement,
            rows,
            affected,
            _held: held,
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
