//! The connections to one database, and which statement goes over which.

use super::Sharing;
use super::outage::{Outage, Outages};
use super::statement::Kind;
use super::tls::Tls;
use super::value::{BadParameter, Field, Parameter, data_type};
use crate::bindings::spin::postgres::postgres::{
    Column, DbError, DbValue, Error, ParameterValue, QueryError, RowSet,
};
use futures_util::TryStreamExt;
use lru::LruCache;
use std::error::Error as StdError;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The shared connections of one thread to one database: one does the work, the others take over from
/// one that is held up by a slow statement.
const MAX_SHARED: usize = 4;

/// The connections that components of one thread may have to themselves, and how many of them are kept
/// for the next component when they are given back.
const MAX_OWN: usize = 16;
const MAX_OWN_IDLE: usize = 4;

/// A shared connection that has not answered for so long is held up: work goes elsewhere.
const HELD_UP: Duration = Duration::from_millis(50);

/// How long a statement that nobody waits for any more may go on before its connection is given up.
const ABANDONED: Duration = Duration::from_secs(1);

/// From TCP to a session that is ready, all hosts of an address together. TCP alone, for one host, gets
/// `connect_timeout` of the address, or else one second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TCP_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long sent data may go without acknowledgement before the connection counts as lost.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// After a failed attempt to connect, requests fail at once for this long: a database that is out of
/// reach is not stormed, and one that has come back is noticed soon.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Prepared statements by connection: the least recently used one is closed for a new one.
const MAX_STATEMENTS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// A longer statement is prepared for one use: it was hardly written by hand, and is hardly used again.
const MAX_REMEMBERED_BYTES: usize = 16 * 1024;

/// The largest answer to one query, in bytes: it is held in memory before the component gets it.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

pub struct Database {
    config: Config,
    tls: MakeRustlsConnect,
    sharing: Sharing,
    outage: Arc<Outage>,
    shared: Mutex<Vec<Arc<Shared>>>,
    idle: Mutex<Vec<Link>>,
    own_permits: Arc<Semaphore>,
    /// Held while connecting, so that one request tries and the others wait for what comes of it.
    connecting: tokio::sync::Mutex<Option<FailedAttempt>>,
    kinds: Mutex<LruCache<String, Kind>>,
}

struct FailedAttempt {
    at: Instant,
    reason: String,
}

impl Database {
    /// Reads `address`; connects to nothing yet.
    ///
    /// # Errors
    /// If `address` is not one that `libpq` would understand.
    pub fn new(
        address: &str,
        tls: &Tls,
        sharing: Sharing,
        outages: &Outages,
    ) -> Result<Self, Error> {
        // The driver knows three of the six modes. `require` and above always verify; `allow` is a
        // `prefer` that would rather not.
        let known = address
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require")
            .replace("sslmode=allow", "sslmode=prefer");
        let mut config: Config = known
            .parse()
            .map_err(|error| Error::ConnectionFailed(chain(&error)))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(TCP_CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name(env!("CARGO_PKG_NAME"));
        }
        config.keepalives_idle(KEEPALIVE_IDLE);
        let tls = match config.get_ssl_mode() {
            SslMode::Require => tls.verifying(),
            _ => Tls::opportunistic(),
        };
        Ok(Self {
            outage: outages.of(&name(&config)),
            config,
            tls,
            sharing,
            shared: Mutex::default(),
            idle: Mutex::default(),
            own_permits: Arc::new(Semaphore::new(MAX_OWN)),
            connecting: tokio::sync::Mutex::default(),
            kinds: Mutex::new(LruCache::new(MAX_STATEMENTS)),
        })
    }

    fn kind(&self, sql: &str) -> Kind {
        let mut kinds = lock(&self.kinds);
        if let Some(kind) = kinds.get(sql) {
            return *kind;
        }
        let kind = Kind::of(sql);
        if sql.len() <= MAX_REMEMBERED_BYTES {
            kinds.put(sql.to_owned(), kind);
        }
        kind
    }

    /// A shared connection to send the next statement over.
    async fn shared(&self) -> Result<Arc<Shared>, Error> {
        if let Some(shared) = self.unhindered() {
            return Ok(shared);
        }
        let mut failed = self.connecting.lock().await;
        // Another request may have connected meanwhile.
        if let Some(shared) = self.unhindered() {
            return Ok(shared);
        }
        match self.connect(&mut failed).await {
            Ok(link) => {
                let shared = Arc::new(Shared::new(link));
                lock(&self.shared).push(shared.clone());
                Ok(shared)
            }
            // Better held up than refused.
            Err(error) => self.least_loaded().ok_or(error),
        }
    }

    /// A shared connection that is not held up; or, where there may be no more connections, the one
    /// with the least to do.
    fn unhindered(&self) -> Option<Arc<Shared>> {
        let mut shared = lock(&self.shared);
        shared.retain(|shared| shared.is_usable());
        let free = shared.iter().find(|shared| !shared.is_held_up()).cloned();
        let full = shared.len() == MAX_SHARED;
        drop(shared);
        free.or_else(|| if full { self.least_loaded() } else { None })
    }

    fn least_loaded(&self) -> Option<Arc<Shared>> {
        lock(&self.shared)
            .iter()
            .filter(|shared| shared.is_usable())
            .min_by_key(|shared| shared.load())
            .cloned()
    }

    /// A connection for one component alone.
    async fn own(self: &Arc<Self>) -> Result<Own, Error> {
        let permit = self
            .own_permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::ConnectionFailed("the host is shutting down".to_owned()))?;
        let idle = std::iter::from_fn(|| lock(&self.idle).pop()).find(|link| !link.is_closed());
        let link = match idle {
            Some(link) => link,
            None => self.connect(&mut *self.connecting.lock().await).await?,
        };
        Ok(Own {
            database: self.clone(),
            lease: Some((link, permit)),
            busy: false,
        })
    }

    async fn connect(&self, failed: &mut Option<FailedAttempt>) -> Result<Link, Error> {
        if let Some(FailedAttempt { at, reason }) = failed
            && at.elapsed() < RETRY_PAUSE
        {
            return Err(out_of_reach(reason));
        }
        let reason = match timeout(CONNECT_TIMEOUT, self.config.connect(self.tls.clone())).await {
            Ok(Ok((client, connection))) => {
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!("a connection to postgres broke: {}", chain(&error));
                    }
                });
                *failed = None;
                self.outage.end();
                return Ok(Link::new(client));
            }
            Ok(Err(error)) => chain(&error),
            Err(_) => format!("no session within {} s", CONNECT_TIMEOUT.as_secs()),
        };
        self.outage.begin(&reason);
        *failed = Some(FailedAttempt {
            at: Instant::now(),
            reason: reason.clone(),
        });
        Err(out_of_reach(&reason))
    }
}

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
        let failure = match self.attempt(sql, parameters, want).await? {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let again = match failure {
            Failure::NotRun(_) => true,
            Failure::Lost(_) => kind == Kind::Read,
            Failure::Refused(_) => false,
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
        under_way.answered = true;
        self.database.outage.observe(&result);
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
    fn observe(&self, result: &Result<Answer, Failure>) {
        match result {
            Ok(_) => self.end_if_over(),
            Err(Failure::Lost(reason)) => self.begin(reason),
            Err(Failure::NotRun(_) | Failure::Refused(_)) => {}
        }
    }
}

impl Database {
    /// Whether `error` says that a server that had to be writable no longer is.
    fn has_become_standby(&self, error: &Error) -> bool {
        let Error::QueryFailed(QueryError::DbError(error)) = error else {
            return false;
        };
        // read_only_sql_transaction
        error.code == "25006"
            && self.config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite
    }
}

/// A connection that statements of several components go over at the same time.
struct Shared {
    link: Link,
    load: AtomicUsize,
    /// When the last statement was answered, or the first sent after a pause.
    last_sign: Mutex<Instant>,
    retired: AtomicBool,
}

impl Shared {
    fn new(link: Link) -> Self {
        Self {
            link,
            load: AtomicUsize::new(0),
            last_sign: Mutex::new(Instant::now()),
            retired: AtomicBool::new(false),
        }
    }

    fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    fn is_usable(&self) -> bool {
        !self.link.is_closed() && !self.retired.load(Ordering::Relaxed)
    }

    fn is_held_up(&self) -> bool {
        self.load() > 0 && lock(&self.last_sign).elapsed() > HELD_UP
    }

    /// Takes no new statements; it closes when those under way are answered.
    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    fn finish(&self) {
        *lock(&self.last_sign) = Instant::now();
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A statement that has been sent over a shared connection.
struct UnderWay<'a> {
    shared: &'a Arc<Shared>,
    answered: bool,
}

impl<'a> UnderWay<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        if shared.load.fetch_add(1, Ordering::Relaxed) == 0 {
            *lock(&shared.last_sign) = Instant::now();
        }
        Self {
            shared,
            answered: false,
        }
    }
}

impl Drop for UnderWay<'_> {
    /// Where nobody waits for the answer any more, the connection is watched until it has come.
    fn drop(&mut self) {
        if self.answered {
            self.shared.finish();
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let shared = self.shared.clone();
        runtime.spawn(async move {
            // Answered in turn, after what was abandoned.
            let answered = timeout(ABANDONED, shared.link.client.batch_execute("")).await;
            if !matches!(answered, Ok(Ok(()))) {
                shared.retire();
            }
            shared.finish();
        });
    }
}

/// A connection that one component has to itself, until it is dropped.
struct Own {
    database: Arc<Database>,
    lease: Option<(Link, OwnedSemaphorePermit)>,
    /// A statement is under way.
    busy: bool,
}

impl Own {
    async fn run(
        &mut self,
        sql: &str,
        parameters: &[ParameterValue],
        want: Want,
    ) -> Result<Answer, Error> {
        let Some((link, _)) = &self.lease else {
            return Err(Error::ConnectionFailed(
                "the connection is closed".to_owned(),
            ));
        };
        self.busy = true;
        let result = link.run(sql, parameters, want).await;
        self.busy = false;
        self.database.outage.observe(&result);
        result.map_err(Error::from)
    }
}

impl Drop for Own {
    /// Gives the connection back as new; or closes it and ends what is still running.
    fn drop(&mut self) {
        let (Some((link, permit)), Ok(runtime)) = (self.lease.take(), Handle::try_current()) else {
            return;
        };
        let database = self.database.clone();
        let busy = self.busy;
        runtime.spawn(async move {
            if busy {
                let token = link.client.cancel_token();
                // The connection closes either way; this only spares the server.
                let _ = timeout(ABANDONED, token.cancel_query(database.tls.clone())).await;
            } else if let Ok(Ok(link)) = timeout(ABANDONED, link.reset()).await {
                let mut idle = lock(&database.idle);
                if idle.len() < MAX_OWN_IDLE {
                    idle.push(link);
                }
            }
            drop(permit);
        });
    }
}

/// A connection with its prepared statements.
struct Link {
    client: Client,
    statements: Mutex<LruCache<String, Arc<Prepared>>>,
}

struct Prepared {
    statement: Statement,
    columns: Vec<Column>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Rows,
    Count,
}

struct Answer {
    rows: RowSet,
    affected: u64,
}

/// Why a statement gave no answer.
enum Failure {
    /// It was not run.
    NotRun(String),
    /// The connection broke, and it may or may not have been run.
    Lost(String),
    /// What the component is told.
    Refused(Error),
}

impl Link {
    fn new(client: Client) -> Self {
        Self {
            client,
            statements: Mutex::new(LruCache::new(MAX_STATEMENTS)),
        }
    }

    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn run(
        &self,
        sql: &str,
        parameters: &[ParameterValue],
        want: Want,
    ) -> Result<Answer, Failure> {
        let prepared = self.prepared(sql).await?;
        let expected = prepared.statement.params().len();
        if expected != parameters.len() {
            return Err(Failure::Refused(Error::BadParameter(format!(
                "{} parameters were given where the statement has {expected}",
                parameters.len()
            ))));
        }
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

    async fn prepared(&self, sql: &str) -> Result<Arc<Prepared>, Failure> {
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
        let parameters = parameters.iter().map(Parameter);
        let stream = self
            .client
            .query_raw(&prepared.statement, parameters)
            .await
            .map_err(|error| self.failure(error))?;
        let mut stream = pin!(stream);
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
                values.push(convert(&field, column)?);
            }
            if bytes > MAX_ANSWER_BYTES {
                return Err(Failure::Refused(Error::Other(format!(
                    "the answer has more than {MAX_ANSWER_BYTES} bytes"
                ))));
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

    /// Leaves nothing of the last component's session.
    async fn reset(self) -> Result<Self, tokio_postgres::Error> {
        self.client.batch_execute("ROLLBACK").await?;
        // Includes the prepared statements.
        self.client.batch_execute("DISCARD ALL").await?;
        Ok(Self::new(self.client))
    }

    fn failure(&self, error: tokio_postgres::Error) -> Failure {
        if let Some(error) = error.as_db_error() {
            // admin_shutdown, crash_shutdown, cannot_connect_now: the server goes, and the connection.
            let code = error.code().code();
            return if code.starts_with("57P") {
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

fn out_of_reach(reason: &str) -> Error {
    Error::ConnectionFailed(logged(reason))
}

/// What a component is told of an outage. The beginning spares it from logging the same by request.
fn logged(reason: &str) -> String {
    format!("logged by the host: {reason}")
}

/// `host:port,host:port/database`, without user and password.
fn name(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| {
            // One port may stand for all hosts.
            let port = ports.get(index).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Tcp(host) => format!("{host}:{port}"),
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            }
        })
        .collect();
    let database = config.get_dbname().or(config.get_user());
    format!("{}/{}", hosts.join(","), database.unwrap_or_default())
}

/// An error and its causes in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors repeat their cause.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// No lock here is held over anything that can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
