//! A connection as a component sees it: shared with others for as long as nobody can tell, its own from
//! then on.

use super::Sharing;
use super::batch::{self, Way};
use super::database::{ABANDONED, Database, Lease, UnderWay};
use super::link::{Answer, Failure, Want};
use super::outage::Outage;
use super::statement::Kind;
use crate::bindings::spin::postgres::postgres::{Error, ParameterValue, RowSet};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A component's connection. What it stands for is decided by the first statement that cares.
pub struct Session {
    database: Arc<Database>,
    own: Option<Own>,
}

impl Session {
    /// # Errors
    /// [`Error::ConnectionFailed`] if the database is out of reach.
    pub async fn open(database: Arc<Database>) -> Result<Self, Error> {
        let own = match database.sharing {
            Sharing::Pipelined => {
                database.shared().await?;
                None
            }
            Sharing::Exclusive => Some(database.own().await?),
        };
        Ok(Self { database, own })
    }

    /// The rows of a statement. The errors are those of the interface; [`Error::ConnectionFailed`] says
    /// that the statement was not run.
    pub async fn query(
        &mut self,
        sql: &str,
        parameters: &[ParameterValue],
    ) -> Result<RowSet, Error> {
        let answer = self.run(sql, parameters, Want::Rows).await?;
        Ok(answer.rows)
    }

    /// How many rows a statement changed. Errors as for [`Session::query`].
    pub async fn execute(
        &mut self,
        sql: &str,
        parameters: &[ParameterValue],
    ) -> Result<u64, Error> {
        let answer = self.run(sql, parameters, Want::Count).await?;
        Ok(answer.affected)
    }

    async fn run(
        &mut self,
        sql: &str,
        parameters: &[ParameterValue],
        want: Want,
    ) -> Result<Answer, Error> {
        if let Some(own) = &mut self.own {
            return own.run(sql, parameters, want).await;
        }
        let kind = self.database.kind(sql);
        if kind == Kind::Session {
            let own = self.own.insert(self.database.own().await?);
            return own.run(sql, parameters, want).await;
        }
        let _turn = if kind == Kind::Change {
            match batch::join(&self.database, sql, parameters, want).await {
                Way::Alone(turn) => turn,
                Way::Together(result) => return Ok(result?),
            }
        } else {
            None
        };
        let failure = match self.attempt(sql, parameters, want).await? {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let again = match failure {
            Failure::NotRun(_) => true,
            Failure::Lost(_) => kind == Kind::Read,
            Failure::CutOff | Failure::Refused(_) => false,
        };
        if again {
            Ok(self.attempt(sql, parameters, want).await??)
        } else {
            Err(failure.into())
        }
    }

    /// One attempt over a shared connection. The outer error is that there is none.
    async fn attempt(
        &self,
        sql: &str,
        parameters: &[ParameterValue],
        want: Want,
    ) -> Result<Result<Answer, Failure>, Error> {
        let shared = self.database.shared().await?;
        let mut under_way = UnderWay::new(&shared);
        let result = shared.link.run(sql, parameters, want).await;
        if let Err(Failure::CutOff) = result {
            // The rest would hold up whoever came next.
            shared.retire();
        } else {
            under_way.answered = true;
        }
        self.database.everywhere.outage.observe(&result);
        if let Err(Failure::Refused(error)) = &result
            && self.database.has_become_standby(error)
        {
            // The server refused to run it; another of the hosts may be the primary now.
            shared.retire();
            return Ok(Err(Failure::NotRun("the server is read-only".to_owned())));
        }
        Ok(result)
    }
}

impl Outage {
    /// Learns from how a statement went.
    pub fn observe(&self, result: &Result<Answer, Failure>) {
        match result {
            Ok(_) => self.end_if_over(),
            Err(Failure::Lost(reason)) => self.begin(Instant::now(), reason),
            Err(Failure::NotRun(_) | Failure::CutOff | Failure::Refused(_)) => {}
        }
    }
}

/// A connection that one component has to itself, until it is dropped.
pub struct Own {
    database: Arc<Database>,
    lease: Option<Lease>,
    /// A statement is under way.
    busy: bool,
}

impl Own {
    pub fn new(database: Arc<Database>, lease: Lease) -> Self {
        Self {
            database,
            lease: Some(lease),
            busy: false,
        }
    }

    async fn run(
        &mut self,
        sql: &str,
        parameters: &[ParameterValue],
        want: Want,
    ) -> Result<Answer, Error> {
        let Some(Lease { link, .. }) = &self.lease else {
            return Err(Error::ConnectionFailed(
                "the connection is closed".to_owned(),
            ));
        };
        self.busy = true;
        let mut result = link.run(sql, parameters, want).await;
        if matches!(result, Err(Failure::NotRun(_))) && !link.is_closed() {
            // It was prepared for a table that has changed.
            result = link.run(sql, parameters, want).await;
        }
        self.busy = matches!(result, Err(Failure::CutOff));
        self.database.everywhere.outage.observe(&result);
        result.map_err(Error::from)
    }
}

impl Drop for Own {
    /// Gives the connection back as new; or closes it and ends what is still running.
    fn drop(&mut self) {
        let (Some(lease), Ok(runtime)) = (self.lease.take(), Handle::try_current()) else {
            return;
        };
        let database = self.database.clone();
        let busy = self.busy;
        let Lease { link, permit } = lease;
        runtime.spawn(async move {
            if busy {
                let token = link.client.cancel_token();
                // The connection closes either way; this only spares the server.
                let _ = timeout(ABANDONED, token.cancel_query(database.tls.clone())).await;
            } else if let Ok(Ok(link)) = timeout(ABANDONED, link.reset()).await {
                database.give_back(link);
            }
            drop(permit);
        });
    }
}
