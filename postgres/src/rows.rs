//! The rows of an answer while they come, and what all answers take together.

use crate::answer::{Answer, MAX_ANSWER_BYTES};
use crate::error::Error;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::{Row, Statement};

/// An answer of up to so many bytes is not counted among those that may take so much together.
const SMALL_ANSWER_BYTES: usize = 64 * 1024;

/// What a field takes beside its content: its place in the row, and in what the caller makes of it.
const FIELD_BYTES: usize = 40;

/// The memory for the answers of all threads. Clones are the same memory.
#[derive(Clone)]
pub struct AnswerMemory(Arc<Semaphore>);

/// The rows of an answer that has not come to its end.
pub struct Rows<'a> {
    memory: &'a AnswerMemory,
    rows: Vec<Row>,
    bytes: usize,
    held: Option<OwnedSemaphorePermit>,
}

impl AnswerMemory {
    /// Of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(bytes)))
    }
}

impl<'a> Rows<'a> {
    pub fn new(memory: &'a AnswerMemory) -> Self {
        Self {
            memory,
            rows: Vec::new(),
            bytes: 0,
            held: None,
        }
    }

    /// # Errors
    /// [`Error::AnswerTooLarge`], [`Error::TooManyAnswers`]
    pub fn push(&mut self, row: Row) -> Result<(), Error> {
        self.bytes += row.raw_size_bytes() + row.len() * FIELD_BYTES;
        if self.bytes > MAX_ANSWER_BYTES {
            return Err(Error::AnswerTooLarge);
        }
        if self.bytes > SMALL_ANSWER_BYTES {
            self.hold()?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Holds as much memory as the rows take.
    fn hold(&mut self) -> Result<(), Error> {
        let held = self.held.as_ref().map_or(0, |held| held.num_permits());
        let missing = u32::try_from(self.bytes - held).map_err(|_| Error::AnswerTooLarge)?;
        let held = self.memory.0.clone().try_acquire_many_owned(missing);
        let held = held.map_err(|_| Error::TooManyAnswers)?;
        match &mut self.held {
            Some(all) => all.merge(held),
            None => self.held = Some(held),
        }
        Ok(())
    }

    /// The answer of which these are all rows.
    pub fn finish(self, statement: Option<Statement>, affected: u64) -> Answer {
        Answer::new(statement, self.rows, affected, self.held)
    }
}
