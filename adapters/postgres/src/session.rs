//! One session on a server: its prepared statements and their answers.

use crate::answer::{Answer, MAX_ANSWER_BYTES};
use crate::error::{Error, chain};
use crate::executor;
use crate::rows::{AnswerMemory, Rows};
use crate::server::Server;
use crate::steps::in_few_steps;
use crate::wire::Wire;
use bytes::BytesMut;
use futures_util::TryStreamExt;
use lru::LruCache;
use std::error::Error as StdError;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::time::Duration;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

/// How long a statement may take: twice what our host gives a whole request, because a request that streams may change many
/// rows by one statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the server is asked to end a statement that has taken too long.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// The most prepared statements of one session: the least recently used one is closed for a new one.
const MAX_STATEMENTS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// A longer statement is prepared for one use: it was hardly written by hand, and is hardly used again.
const MAX_REMEMBERED_BYTES: usize = 16 * 1024;

/// A parameter of a statement, as our host's client library takes it.
pub trait Parameter: ToSql {
    /// The type that it is sent as where the server is not asked for one first.
    fn sent_as(&self) -> Type;
}

/// What the caller wants of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Rows,
    Count,
}

/// A session. (The client is dropped before the wire, which then tells the server that the session is over.)
pub struct Session {
    client: Client,
    statements: LruCache<String, Statement>,
    wire: Wire,
    memory: AnswerMemory,
    server: Server,
}

impl Session {
    pub fn new(client: Client, wire: Wire, server: Server) -> Self {
        Self {
            client,
            statements: LruCache::new(MAX_STATEMENTS),
            wire,
            memory: AnswerMemory::new(MAX_ANSWER_BYTES),
            server,
        }
    }

    /// Runs a statement. An answer means that the server has run it.
    ///
    /// # Errors
    /// [`Error::NotRun`] if the session is over, [`Error::Driver`] if it broke while the statement may have run.
    pub fn run<P: Parameter>(
        &mut self,
        sql: &str,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        let running = self.run_named(sql, parameters, want);
        if let Some(result) = executor::run(STATEMENT_TIMEOUT, running) {
            return result;
        }
        let reason = format!("no answer within {STATEMENT_TIMEOUT:?}");
        self.wire.cut(&reason);
        // The session is over either way; this only spares the server.
        let cancelling = self.server.cancel(self.client.cancel_token());
        let _ = executor::run(CANCEL_TIMEOUT, cancelling);
        Err(Error::Driver(reason))
    }

    async fn run_named<P: Parameter>(
        &mut self,
        sql: &str,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        // The server may have closed an idle connection.
        self.wire.notice().await;
        if let Some(reason) = self.wire.end() {
            return Err(Error::NotRun(format!("the connection was lost: {reason}")));
        }
        if let Some(statement) = self.statements.get(sql).cloned() {
            match self.run_prepared(&statement, parameters, want).await {
                // It was not run. What it was prepared for may have changed, the types of its parameters too.
                Err(Error::NotRun(_) | Error::BadParameter(_)) => self.statements.pop(sql),
                result => return result,
            };
        }
        let statement = self.prepare(sql).await?;
        self.run_prepared(&statement, parameters, want).await
    }

    async fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        let preparing = in_few_steps(self.client.prepare(sql));
        let prepared = self.wire.carry(preparing).await;
        // Otherwise the types of the next statement could have these within them, and so on.
        self.client.clear_type_cache();
        let prepared = prepared.ok_or(Error::TooManyTypes)?;
        let statement = prepared.map_err(|error| match self.error(&error) {
            // Preparing runs nothing.
            Error::Driver(reason) => Error::NotRun(reason),
            other => other,
        })?;
        if sql.len() <= MAX_REMEMBERED_BYTES {
            self.statements.put(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }

    async fn run_prepared<P: Parameter>(
        &mut self,
        statement: &Statement,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        let encoded = encode(statement, parameters)?;
        match self.answer(statement, encoded, want).await {
            Err(Error::Database(error)) if is_stale(&error) => {
                Err(Error::NotRun(error.message().to_owned()))
            }
            result => result,
        }
    }

    async fn answer(
        &mut self,
        statement: &Statement,
        parameters: Vec<Encoded>,
        want: Want,
    ) -> Result<Answer, Error> {
        let asking = self.client.query_raw(statement, parameters);
        let asked = self.wire.carry(asking).await;
        let mut stream = pin!(asked.map_err(|error| self.error(&error))?);
        let mut rows = Rows::new(&self.memory);
        loop {
            match self.wire.carry(stream.try_next()).await {
                Ok(Some(row)) if want == Want::Rows => rows.push(row)?,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Err(self.error(&error)),
            }
        }
        let affected = stream.rows_affected().unwrap_or(0);
        Ok(rows.finish(Some(statement.clone()), affected))
    }

    /// What an error of the driver means. Nobody but the component logs a connection that was lost, so it is told as on Spin.
    fn error(&self, error: &tokio_postgres::Error) -> Error {
        match Error::of_driver(error, self.client.is_closed()) {
            Error::Lost(reason) => {
                let reason = self.wire.end().unwrap_or(&reason);
                Error::Driver(format!("the connection was lost: {reason}"))
            }
            other => other,
        }
    }
}

/// The parameters in the forms that `statement` asks for.
///
/// # Errors
/// [`Error::BadParameter`]
fn encode<P: Parameter>(statement: &Statement, parameters: &[P]) -> Result<Vec<Encoded>, Error> {
    let types = statement.params();
    if types.len() != parameters.len() {
        return Err(Error::BadParameter(format!(
            "{} parameters were given where the statement has {}",
            parameters.len(),
            types.len()
        )));
    }
    let encoded = parameters.iter().zip(types).map(|(parameter, ty)| {
        let mut bytes = BytesMut::new();
        match parameter.to_sql_checked(ty, &mut bytes) {
            Ok(IsNull::Yes) => Ok(Encoded(None)),
            Ok(IsNull::No) => Ok(Encoded(Some(bytes))),
            Err(error) => Err(Error::BadParameter(chain(&*error))),
        }
    });
    encoded.collect()
}

/// A parameter in its binary form. `None` is NULL.
#[derive(Debug)]
struct Encoded(Option<BytesMut>);

impl ToSql for Encoded {
    to_sql_checked!();

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Some(bytes) = &self.0 else {
            return Ok(IsNull::Yes);
        };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }
}

/// Whether a prepared statement has to be prepared again, which the server finds out before it runs it.
fn is_stale(error: &DbError) -> bool {
    // "cached plan must not change result type"
    *error.code() == SqlState::FEATURE_NOT_SUPPORTED
        && error.routine() == Some("RevalidateCachedQuery")
}
