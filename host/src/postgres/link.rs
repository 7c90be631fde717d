//! One connection to a server: its prepared statements, and what its errors mean.

use super::value::{BadParameter, Field, Parameter, data_type};
use super::{chain, lock};
use crate::bindings::spin::postgres::postgres::{
    Column, DbError, DbValue, Error, ParameterValue, QueryError, RowSet,
};
use crate::telemetry::{ConnectionState, Counted};
use futures_util::TryStreamExt;
use lru::LruCache;
use std::error::Error as StdError;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use tokio_postgres::error::Severity;
use tokio_postgres::{Client, RowStream, SimpleQueryMessage, Statement};

/// Prepared statements by connection: the least recently used one is closed for a new one.
pub const MAX_STATEMENTS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// A longer statement is prepared for one use: it was hardly written by hand, and is hardly used again.
pub const MAX_REMEMBERED_BYTES: usize = 16 * 1024;

/// The largest answer to one query, in bytes: it is held in memory before the component gets it. A single row
/// is bounded by Postgres alone (1 GB), because the driver hands it over whole.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// A connection with its prepared statements.
pub struct Link {
    pub client: Client,
    counted: Counted,
    statements: Mutex<LruCache<String, Arc<Prepared>>>,
}

pub struct Prepared {
    statement: Statement,
    columns: Vec<Column>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Rows,
    Count,
}

pub struct Answer {
    pub rows: RowSet,
    pub affected: u64,
}

/// Why a statement gave no answer.
pub enum Failure {
    /// It was not run.
    NotRun(String),
    /// The connection broke, and it may or may not have been run.
    Lost(String),
    /// The answer is larger than [`MAX_ANSWER_BYTES`]; the rest of it is still to come.
    CutOff,
    /// What the component is told.
    Refused(Error),
}

impl Failure {
    /// Whether the server refused a statement, so that it had no effect. The host fails in ways that the server
    /// knows nothing of.
    pub fn is_of_server(&self) -> bool {
        matches!(
            self,
            Self::Refused(Error::QueryFailed(QueryError::DbError(_)))
        )
    }

    /// Why nobody knows what became of a statement, if so.
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Self::Lost(reason) | Self::Refused(Error::QueryFailed(QueryError::Text(reason))) => {
                Some(reason)
            }
            _ => None,
        }
    }
}

impl Prepared {
    /// # Errors
    /// If the statement takes more or fewer `parameters`.
    pub fn check(&self, parameters: &[ParameterValue]) -> Result<(), Failure> {
        let expected = self.statement.params().len();
        if expected == parameters.len() {
            return Ok(());
        }
        Err(Failure::Refused(Error::BadParameter(format!(
            "{} parameters were given where the statement has {expected}",
            parameters.len()
        ))))
    }
}

impl Link {
    pub fn new(client: Client, counted: Counted) -> Self {
        Self {
            client,
            counted,
            statements: Mutex::new(LruCache::new(MAX_STATEMENTS)),
        }
    }

    /// Counts it as in `state` from now on.
    pub fn set_state(&mut self, state: ConnectionState) {
        self.counted.set(state);
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub async fn run(
        &self,
        sql: &str,
        parameters: &[ParameterValue],
        want: Want,
    ) -> Result<Answer, Failure> {
        let prepared = self.prepared(sql).await?;
        prepared.check(parameters)?;
        if self.is_closed() {
            return Err(Failure::NotRun("the connection is closed".to_owned()));
        }
        let result = self.send(&prepared, parameters, want).await;
        if let Err(Failure::Refused(Error::QueryFailed(QueryError::DbError(error)))) = &result
            && is_stale(error)
        {
            lock(&self.statements).pop(sql);
            return Err(Failure::NotRun(error.message.clone()));
        }
        result
    }

    pub async fn prepared(&self, sql: &str) -> Result<Arc<Prepared>, Failure> {
        if let Some(prepared) = lock(&self.statements).get(sql) {
            return Ok(prepared.clone());
        }
        let statement =
            self.client
                .prepare(sql)
                .await
                .map_err(|error| match self.failure(error) {
                    // Preparing runs nothing.
                    Failure::Lost(reason) => Failure::NotRun(reason),
                    other => other,
                })?;
        let columns = statement
            .columns()
            .iter()
            .map(|column| Column {
                name: column.name().to_owned(),
                data_type: data_type(column.type_()),
            })
            .collect();
        let prepared = Arc::new(Prepared { statement, columns });
        if sql.len() <= MAX_REMEMBERED_BYTES {
            lock(&self.statements).put(sql.to_owned(), prepared.clone());
        }
        Ok(prepared)
    }

    /// Runs `prepared` to the end: an answer means that it is committed where nothing else has to be.
    async fn send(
        &self,
        prepared: &Prepared,
        parameters: &[ParameterValue],
        want: Want,
    ) -> Result<Answer, Failure> {
        let stream = self.start(prepared, parameters).await?;
        self.read(prepared, pin!(stream), want).await
    }

    /// The same in a transaction, which has yet to be committed. It reads to the end what the server says, because
    /// that is what becomes of the transaction, also where the host itself can do nothing with the answer.
    pub async fn run_in_transaction(
        &self,
        prepared: &Prepared,
        parameters: &[ParameterValue],
        want: Want,
    ) -> Result<Answer, Failure> {
        let mut stream = pin!(self.start(prepared, parameters).await?);
        let result = self.read(prepared, stream.as_mut(), want).await;
        if result.is_err() {
            let failure = |error| self.failure(error);
            while stream.try_next().await.map_err(failure)?.is_some() {}
        }
        result
    }

    async fn start(
        &self,
        prepared: &Prepared,
        parameters: &[ParameterValue],
    ) -> Result<RowStream, Failure> {
        let parameters = parameters.iter().map(Parameter);
        let started = self.client.query_raw(&prepared.statement, parameters);
        started.await.map_err(|error| self.failure(error))
    }

    async fn read(
        &self,
        prepared: &Prepared,
        mut stream: Pin<&mut RowStream>,
        want: Want,
    ) -> Result<Answer, Failure> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some(row) = stream
            .try_next()
            .await
            .map_err(|error| self.failure(error))?
        {
            if want == Want::Count {
                continue;
            }
            let mut values = Vec::with_capacity(row.len());
            for (index, column) in prepared.statement.columns().iter().enumerate() {
                let field: Field<'_> = row.try_get(index).map_err(|error| self.failure(error))?;
                bytes += field.size();
                if bytes > MAX_ANSWER_BYTES {
                    return Err(Failure::CutOff);
                }
                values.push(convert(&field, column)?);
            }
            rows.push(values);
        }
        Ok(Answer {
            rows: RowSet {
                columns: match want {
                    Want::Rows => prepared.columns.clone(),
                    Want::Count => Vec::new(),
                },
                rows,
            },
            affected: stream.rows_affected().unwrap_or(0),
        })
    }

    /// Leaves nothing of the last component's session, but the prepared statements of this host.
    ///
    /// # Errors
    /// If that cannot be done: then the connection has to be closed.
    pub async fn reset(self) -> Result<Self, String> {
        // `DISCARD ALL` less `DEALLOCATE ALL`, which would take the driver's own statements with it.
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

    /// What an error of the driver means.
    pub fn failure(&self, error: tokio_postgres::Error) -> Failure {
        if let Some(error) = error.as_db_error() {
            // admin_shutdown, crash_shutdown, cannot_connect_now: the server goes, and the connection.
            let goes = error.code().code().starts_with("57P");
            let severity = error.parsed_severity();
            return if goes || matches!(severity, Some(Severity::Fatal | Severity::Panic)) {
                Failure::Lost(error.message().to_owned())
            } else {
                Failure::Refused(Error::QueryFailed(QueryError::DbError(db_error(error))))
            };
        }
        let source = error.source();
        if let Some(BadParameter(reason)) = source.and_then(|source| source.downcast_ref()) {
            return Failure::Refused(Error::BadParameter(reason.clone()));
        }
        let reason = chain(&error);
        if error.is_closed()
            || self.is_closed()
            || source.is_some_and(|source| source.is::<std::io::Error>())
        {
            Failure::Lost(reason)
        } else {
            Failure::Refused(Error::QueryFailed(QueryError::Text(reason)))
        }
    }
}

fn convert(field: &Field<'_>, column: &tokio_postgres::Column) -> Result<DbValue, Failure> {
    field.value(column.type_()).map_err(|reason| {
        Failure::Refused(Error::ValueConversionFailed(format!(
            "column {}: {reason}",
            column.name()
        )))
    })
}

/// Whether a prepared statement has to be prepared again, which is found out before it is run.
fn is_stale(error: &DbError) -> bool {
    let plan_changed = error
        .extras
        .iter()
        .any(|(name, value)| name == "routine" && value == "RevalidateCachedQuery");
    match error.code.as_str() {
        // invalid_sql_statement_name: a proxy has handed us to another server process.
        "26000" => true,
        // feature_not_supported: "cached plan must not change result type"
        "0A000" => plan_changed,
        _ => false,
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotRun(reason) => Self::ConnectionFailed(reason),
            Failure::Lost(reason) => {
                let message = logged(&format!("the connection was lost: {reason}"));
                Self::QueryFailed(QueryError::DbError(DbError {
                    as_text: message.clone(),
                    severity: "FATAL".to_owned(),
                    // connection_failure
                    code: "08006".to_owned(),
                    message,
                    detail: None,
                    extras: Vec::new(),
                }))
            }
            Failure::CutOff => {
                Self::Other(format!("the answer has more than {MAX_ANSWER_BYTES} bytes"))
            }
            Failure::Refused(error) => error,
        }
    }
}

fn db_error(error: &tokio_postgres::error::DbError) -> DbError {
    let line = error.line().map(|line| line.to_string());
    let extras = [
        ("hint", error.hint()),
        ("where", error.where_()),
        ("schema", error.schema()),
        ("table", error.table()),
        ("column", error.column()),
        ("datatype", error.datatype()),
        ("constraint", error.constraint()),
        ("file", error.file()),
        ("line", line.as_deref()),
        ("routine", error.routine()),
    ];
    DbError {
        as_text: error.to_string(),
        severity: error.severity().to_owned(),
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(ToOwned::to_owned),
        extras: extras
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect(),
    }
}

/// What a component is told of an outage. The beginning spares it from logging the same by request.
pub fn logged(reason: &str) -> String {
    format!("logged by the host: {reason}")
}
