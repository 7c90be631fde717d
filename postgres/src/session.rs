//! A session: a connection as its caller sees it. It uses shared connections until a statement needs a dedicated one.

use crate::answer::Answer;
use crate::conflict;
use crate::dedicated::Dedicated;
use crate::error::Error;
use crate::group_commit::{Admitted, GroupCommit};
use crate::link::{Parameter, Want};
use crate::options::Sharing;
use crate::shared::InFlight;
use crate::statement::Kind;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_postgres::error::{DbError, SqlState};

/// A session that may only read is replaced if it is older than this. So a database that is read-only, and need not be
/// otherwise by its address, is connected to once a second.
const MIN_AGE: Duration = Duration::from_secs(1);

fn is_read_only(error: &DbError) -> bool {
    *error.code() == SqlState::READ_ONLY_SQL_TRANSACTION
}

/// A session on one database.
pub struct Session<P: Parameter> {
    database: Arc<GroupCommit<P>>,
    dedicated: Option<Dedicated>,
}

impl<P: Parameter> Session<P> {
    pub(crate) async fn open(database: Arc<GroupCommit<P>>) -> Result<Self, Error> {
        let connections = database.database();
        let dedicated = match connections.sharing {
            Sharing::Pipelined => {
                connections.shared().await?;
                None
            }
            Sharing::Exclusive => Some(connections.dedicated().await?),
        };
        Ok(Self {
            database,
            dedicated,
        })
    }

    /// The rows of a statement, with `$1`, `$2`, … as `parameters`.
    ///
    /// If the future is dropped before it is done, the statement may or may not have been run.
    ///
    /// # Errors
    /// See [`Error`]. After [`Error::Unreachable`] and [`Error::NotRun`] the statement may be run again.
    pub async fn query(&mut self, sql: &str, parameters: &[P]) -> Result<Answer, Error> {
        self.run(sql, parameters, Want::Rows).await
    }

    /// How many rows a statement changed. Parameters and errors as for [`Session::query`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn execute(&mut self, sql: &str, parameters: &[P]) -> Result<u64, Error> {
        let answer = self.run(sql, parameters, Want::Count).await?;
        Ok(answer.affected)
    }

    async fn run(&mut self, sql: &str, parameters: &[P], want: Want) -> Result<Answer, Error> {
        if self.dedicated.is_some() {
            return self.run_dedicated(sql, parameters, want).await;
        }
        let connections = self.database.database();
        let kind = connections.kind(sql);
        if kind == Kind::Session {
            self.dedicated = Some(connections.dedicated().await?);
            return self.run_dedicated(sql, parameters, want).await;
        }
        let mut pauses = conflict::pauses();
        loop {
            let result = self.run_alone(kind, sql, parameters, want).await;
            let is_conflict = result.as_ref().is_err_and(Error::is_conflict);
            let Some(pause) = is_conflict.then(|| pauses.next()).flatten() else {
                return result;
            };
            sleep(pause).await;
        }
    }

    /// Runs a statement that is a transaction by itself, or one of a group.
    async fn run_alone(
        &self,
        kind: Kind,
        sql: &str,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        let _in_progress = match kind {
            Kind::Change => match self.database.admit(sql, parameters, want).await {
                Admitted::Grouped(result) => return result,
                Admitted::Single(in_progress) => in_progress,
            },
            _ => None,
        };
        let only_reads = kind == Kind::Read;
        self.run_shared(sql, parameters, want, only_reads).await
    }

    async fn run_dedicated(
        &mut self,
        sql: &str,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        let Some(dedicated) = &mut self.dedicated else {
            return Err(Error::NotRun("the session has no connection".to_owned()));
        };
        let result = dedicated.run(sql, parameters, want).await;
        self.database.database().endpoint.outage.observe(&result);
        result
    }

    /// Runs a statement over a shared connection; once more over another if it was not run, or only reads and was lost.
    async fn run_shared(
        &self,
        sql: &str,
        parameters: &[P],
        want: Want,
        only_reads: bool,
    ) -> Result<Answer, Error> {
        match self.attempt(sql, parameters, want).await {
            Err(Error::NotRun(_)) => self.attempt(sql, parameters, want).await,
            Err(Error::Lost(_)) if only_reads => self.attempt(sql, parameters, want).await,
            result => result,
        }
    }

    async fn attempt(&self, sql: &str, parameters: &[P], want: Want) -> Result<Answer, Error> {
        let connections = self.database.database();
        let shared = connections.shared().await?;
        let in_flight = InFlight::new(&shared);
        let result = shared.link.run(sql, parameters, want).await;
        if result.as_ref().is_err_and(Error::leaves_answer) {
            // The rest of the answer would stall the next statement.
            shared.retire();
        } else {
            in_flight.answered();
        }
        connections.endpoint.outage.observe(&result);
        match result {
            // Refused, so it was not run. Another of the hosts may be the primary now, or a new session may write.
            Err(Error::Database(error))
                if is_read_only(&error)
                    && (connections.wants_primary() || shared.link.age() > MIN_AGE) =>
            {
                shared.retire();
                Err(Error::NotRun("the session is read-only".to_owned()))
            }
            result => result,
        }
    }
}
