//! One connection to a server: its prepared statements and their answers.

use crate::answer::Answer;
use crate::counts::{Counted, Usage};
use crate::error::{Error, NotEncoded, chain};
use crate::pooler::Pooler;
use crate::rows::{AnswerMemory, Rows};
use crate::server::{Opened, Server};
use crate::types::asking_for_types;
use bytes::BytesMut;
use futures_util::TryStreamExt;
use lru::LruCache;
use parking_lot::Mutex;
use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, RowStream, SimpleQueryMessage, Statement};

/// Prepared statements of one connection: the least recently used one is closed for a new one.
pub const MAX_STATEMENTS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// A longer statement is prepared for one use: it was hardly written by hand, and is hardly used again.
pub const MAX_REMEMBERED_BYTES: usize = 16 * 1024;

/// A connection is replaced after so long: what a session got when it began (settings of its role and its database) and what
/// the server keeps for it do not stay for ever.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
const MAX_AGE_SPREAD: Duration = Duration::from_secs(3 * 60);

/// How long preparing a statement may take, with all types in it.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(5);

/// A parameter of a statement, as the driver takes it. It is cloned where the statement waits for a group commit.
pub trait Parameter: ToSql + Clone + Send + Sync + 'static {
    /// The type that it is sent as where the server is not asked for one first. [`Type::UNKNOWN`] leaves it to the server; it is
    /// encoded for that type then.
    fn sent_as(&self) -> Type;
}

impl Parameter for String {
    fn sent_as(&self) -> Type {
        Type::UNKNOWN
    }
}

impl Parameter for i32 {
    fn sent_as(&self) -> Type {
        Type::INT4
    }
}

/// What the caller wants of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Rows,
    Count,
}

/// A connection with its prepared statements.
pub struct Link {
    pub client: Arc<Client>,
    server: Arc<Server>,
    counted: Counted,
    statements: Mutex<LruCache<String, Statement>>,
    memory: AnswerMemory,
    pooler: Arc<Pooler>,
    /// The server has said that it closes the connection. The driver may not have noticed yet.
    is_lost: AtomicBool,
    opened: Instant,
    /// A random time of up to [`MAX_AGE_SPREAD`], so that connections that were made together do not end together.
    spread: Duration,
}

impl Link {
    pub fn new(
        opened: Opened,
        counted: Counted,
        memory: AnswerMemory,
        pooler: Arc<Pooler>,
    ) -> Self {
        Self {
            client: Arc::new(opened.client),
            server: opened.server,
            counted,
            statements: Mutex::new(LruCache::new(MAX_STATEMENTS)),
            memory,
            pooler,
            is_lost: AtomicBool::new(false),
            opened: Instant::now(),
            spread: Duration::from_millis(fastrand::u64(..MAX_AGE_SPREAD.as_millis() as u64)),
        }
    }

    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Whether it should be replaced by a new one.
    pub fn is_old(&self) -> bool {
        self.age() > MAX_AGE + self.spread
    }

    /// Counts it under `usage` from now on.
    pub fn set_usage(&mut self, usage: Usage) {
        self.counted.set(usage);
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.is_lost.load(Ordering::Relaxed)
    }

    /// Runs a statement outside of a transaction: an answer means that it is committed.
    pub async fn run<P: Parameter>(
        &self,
        sql: &str,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        if !self.pooler.is_there() {
            match self.run_named(sql, parameters, want).await {
                // The server has refused the name, and run nothing.
                Err(Error::Database(error)) if Pooler::is_shown_by(&error) => {
                    self.pooler.notice(&error);
                }
                result => return result,
            }
        }
        // In a box, because it is rare, and large in the future of each statement.
        Box::pin(self.run_unnamed(sql, parameters, want)).await
    }

    async fn run_unnamed<P: Parameter>(
        &self,
        sql: &str,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        let (text, parameters) = (sql.to_owned(), parameters.to_vec());
        let starting = asking_for_types(&self.client, |client| async move {
            let typed = parameters.iter().map(|one| (Encoded(one), one.sent_as()));
            client.query_typed_raw(&text, typed).await
        });
        let started = starting.await.map_err(|error| {
            // Its types come with its answer.
            Error::Driver(error.to_string())
        })?;
        let stream = started.map_err(|error| self.error(&error))?;
        self.read(None, pin!(stream), want).await
    }

    async fn run_named<P: Parameter>(
        &self,
        sql: &str,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        let remembered = self.statements.lock().get(sql).cloned();
        if let Some(statement) = remembered {
            match self.run_prepared(statement, parameters, want).await {
                // It was not run. What it was prepared for may have changed, the types of its parameters too.
                Err(Error::NotRun(_) | Error::BadParameter(_)) => {
                    self.statements.lock().pop(sql);
                }
                result => return result,
            }
        }
        let statement = self.prepared(sql).await?;
        self.run_prepared(statement, parameters, want).await
    }

    /// # Errors
    /// [`Error::NotRun`], too, if it has to be prepared again.
    async fn run_prepared<P: Parameter>(
        &self,
        statement: Statement,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        check(&statement, parameters)?;
        if self.is_closed() {
            return Err(Error::NotRun("the connection is closed".to_owned()));
        }
        let stream = self.start(&statement, parameters).await;
        let result = match stream {
            Ok(stream) => self.read(Some(statement), pin!(stream), want).await,
            Err(error) => Err(error),
        };
        match result {
            Err(Error::Database(error)) if is_stale(&error) => {
                Err(Error::NotRun(error.message().to_owned()))
            }
            result => result,
        }
    }

    /// The prepared statement, which is prepared if it is not remembered.
    pub async fn prepared(&self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.lock().get(sql) {
            return Ok(statement.clone());
        }
        let text = sql.to_owned();
        let preparing = asking_for_types(&self.client, |client| async move {
            timeout(PREPARE_TIMEOUT, client.prepare(&text)).await
        });
        let Ok(prepared) = preparing.await? else {
            let reason = format!("not prepared within {PREPARE_TIMEOUT:?}");
            return Err(Error::NotRun(reason));
        };
        let statement = prepared.map_err(|error| match self.error(&error) {
            // Preparing runs nothing.
            Error::Lost(reason) => Error::NotRun(reason),
            other => other,
        })?;
        if sql.len() <= MAX_REMEMBERED_BYTES {
            let remembered = statement.clone();
            self.statements.lock().put(sql.to_owned(), remembered);
        }
        Ok(statement)
    }

    /// Runs a statement in a transaction that has yet to be committed. Reads the server's answer to the end even if this side
    /// can do nothing with it, because that is what becomes of the transaction.
    pub async fn run_in_transaction<P: Parameter>(
        &self,
        statement: Statement,
        parameters: &[P],
        want: Want,
    ) -> Result<Answer, Error> {
        let mut stream = pin!(self.start(&statement, parameters).await?);
        let result = self.read(Some(statement), stream.as_mut(), want).await;
        if result.is_err() {
            let failed = |error| self.error(&error);
            while stream.try_next().await.map_err(failed)?.is_some() {}
        }
        result
    }

    async fn start<P: Parameter>(
        &self,
        statement: &Statement,
        parameters: &[P],
    ) -> Result<RowStream, Error> {
        let parameters = parameters.iter().map(Encoded);
        let started = self.client.query_raw(statement, parameters);
        started.await.map_err(|error| self.error(&error))
    }

    async fn read(
        &self,
        statement: Option<Statement>,
        mut stream: Pin<&mut RowStream>,
        want: Want,
    ) -> Result<Answer, Error> {
        let mut rows = Rows::new(&self.memory);
        while let Some(row) = stream
            .try_next()
            .await
            .map_err(|error| self.error(&error))?
        {
            if want == Want::Count {
                continue;
            }
            rows.push(row)?;
        }
        let affected = stream.rows_affected().unwrap_or(0);
        Ok(rows.finish(statement, affected))
    }

    /// Leaves nothing of the last session but the prepared statements of this library.
    ///
    /// # Errors
    /// If that cannot be done. Then the connection has to be closed.
    pub async fn reset(self) -> Result<Self, String> {
        // `DISCARD ALL` without `DEALLOCATE ALL`, which would take the driver's own statements with it.
        const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
            SELECT pg_advisory_unlock_all(); DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES";
        const PREPARED: &str = "SELECT 1 FROM pg_prepared_statements WHERE from_sql LIMIT 1";

        let failed = |error: tokio_postgres::Error| chain(&error);
        self.client
            .batch_execute("ROLLBACK")
            .await
            .map_err(failed)?;
        self.client.batch_execute(RESET).await.map_err(failed)?;
        let prepared = self.client.simple_query(PREPARED).await.map_err(failed)?;
        let is_row = |message| matches!(message, &SimpleQueryMessage::Row(_));
        if prepared.iter().any(is_row) {
            return Err("statements were prepared by SQL".to_owned());
        }
        Ok(self)
    }

    /// Asks the server, over a connection of its own, to end the statement that runs on this one. It may come too late.
    ///
    /// # Errors
    /// Why it was not asked, in one line.
    pub async fn cancel(&self) -> Result<(), String> {
        self.server.cancel(&self.client.cancel_token()).await
    }

    /// What an error of the driver means on this connection, which counts as closed if the error says so: a statement that is
    /// run again must not go over it.
    pub fn error(&self, error: &tokio_postgres::Error) -> Error {
        let error = Error::of_driver(error, self.is_closed());
        if matches!(error, Error::Lost(_)) {
            self.is_lost.store(true, Ordering::Relaxed);
        }
        error
    }
}

/// # Errors
/// [`Error::BadParameter`] if `statement` has more or fewer parameters.
pub fn check<P>(statement: &Statement, parameters: &[P]) -> Result<(), Error> {
    let expected = statement.params().len();
    if expected == parameters.len() {
        return Ok(());
    }
    Err(Error::BadParameter(format!(
        "{} parameters were given where the statement has {expected}",
        parameters.len()
    )))
}

/// Whether a prepared statement has to be prepared again, which the server finds out before it runs it.
fn is_stale(error: &DbError) -> bool {
    // "cached plan must not change result type"
    *error.code() == SqlState::FEATURE_NOT_SUPPORTED
        && error.routine() == Some("RevalidateCachedQuery")
}

/// A parameter whose errors can be told from the driver's own.
pub struct Encoded<'a, P>(pub &'a P);

impl<P: Parameter> ToSql for Encoded<'_, P> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        self.0.to_sql(ty, out).map_err(not_encoded)
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        self.0.to_sql_checked(ty, out).map_err(not_encoded)
    }

    fn accepts(ty: &Type) -> bool {
        P::accepts(ty)
    }

    fn encode_format(&self, ty: &Type) -> Format {
        self.0.encode_format(ty)
    }
}

impl<P: Parameter> fmt::Debug for Encoded<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

type BoxError = Box<dyn StdError + Sync + Send>;

fn not_encoded(error: BoxError) -> BoxError {
    Box::new(NotEncoded(chain(&*error)))
}
