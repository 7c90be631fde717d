//! A server, a database for each test, and an observer beside the library.

use parking_lot::Mutex;
use pipelined_postgres::{Databases, Error, Options, Session};
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use test_support::cluster::Cluster;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// More than any test waits for a state that has to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// More than the library waits until it counts a connection as stalled.
pub const STALLED: Duration = Duration::from_millis(100);

/// Runs a test, or what another thread does in it.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(future)
}

/// Runs `work` in another thread, which has a runtime of its own.
pub fn in_another_thread<T: Send + 'static, F: Future<Output = T>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(|| block_on(work()))
}

/// Asks until `wanted` is so, and lets other tasks run meanwhile. Returns how long that took.
///
/// # Panics
/// After `PATIENCE`.
pub async fn wait_until(what: &str, mut wanted: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !wanted().await {
        assert!(
            start.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

/// Waits for what has to come.
///
/// # Panics
/// After `PATIENCE`.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let result = timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// A connection to a database beside those of the library.
pub struct Observer(Client);

impl Observer {
    pub async fn connect(address: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(address, NoTls)
            .await
            .expect("the server takes an observer");
        tokio::spawn(connection);
        Self(client)
    }

    pub async fn run(&self, sql: &str) {
        let done = self.0.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The first field of the first row.
    pub async fn text(&self, sql: &str) -> String {
        let messages = self.0.simple_query(sql).await;
        let messages = messages.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let field = row.and_then(|row| row.get(0));
        field
            .unwrap_or_else(|| panic!("{sql}: no answer"))
            .to_owned()
    }

    pub async fn number(&self, sql: &str) -> usize {
        let text = self.text(sql).await;
        text.parse()
            .unwrap_or_else(|_| panic!("{sql}: {text} is not a number"))
    }

    /// Connections of the library to this database.
    pub async fn backends(&self) -> usize {
        self.number(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'pipelined-postgres'",
        )
        .await
    }

    /// How many statements sleep, or wait for a lock.
    pub async fn waiting(&self) -> usize {
        self.number(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND (wait_event_type = 'Lock' OR wait_event = 'PgSleep')",
        )
        .await
    }

    /// Waits until so many statements sleep, or wait for a lock.
    pub async fn wait_for_waiting(&self, count: usize) {
        let what = format!("{count} statements wait");
        wait_until(&what, async || self.waiting().await == count).await;
    }

    /// Ends all connections of the library to this database.
    pub async fn terminate(&self) {
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'pipelined-postgres'",
        )
        .await;
    }

    /// From now on, statements that read the view `gate` wait.
    pub async fn close_gate(&self) {
        self.run("SELECT pg_advisory_lock(1)").await;
    }

    pub async fn open_gate(&self) {
        self.run("SELECT pg_advisory_unlock(1)").await;
    }
}

/// What every test finds in its database: a table; a view that can be held still; and a view that names the connection, which
/// the library cannot see, so that it stays shared.
const SCHEMA: &str = "
    CREATE TABLE item (name text CHECK (name <> 'refused'), number integer DEFAULT 0);
    CREATE VIEW gate AS SELECT pg_advisory_xact_lock_shared(1)::text AS passed;
    CREATE VIEW me AS SELECT pg_backend_pid()::text AS pid;
";

/// A database for one test, in a server that the tests share.
pub struct TestDatabase {
    pub name: String,
    cluster: Arc<Cluster>,
    observer: Observer,
}

impl Deref for TestDatabase {
    type Target = Observer;

    fn deref(&self) -> &Observer {
        &self.observer
    }
}

impl TestDatabase {
    pub async fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let cluster = shared_cluster();
        cluster.create_database(&name);
        let observer = Observer::connect(&cluster.address(&name)).await;
        observer.run(SCHEMA).await;
        Self {
            name,
            cluster,
            observer,
        }
    }

    /// For a superuser.
    pub fn address(&self) -> String {
        self.cluster.address(&self.name)
    }

    /// Another observer.
    pub async fn observer(&self) -> Observer {
        Observer::connect(&self.address()).await
    }
}

/// The server of all tests that run at a time. It stops when the last of them ends.
fn shared_cluster() -> Arc<Cluster> {
    static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = CLUSTER.lock();
    if let Some(cluster) = shared.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(Cluster::start(&["fsync=off"]));
    *shared = Arc::downgrade(&cluster);
    cluster
}

/// A server for a test that stops it, with the usual schema in the database `postgres`.
pub fn own_cluster() -> Cluster {
    let cluster = Cluster::start(&["fsync=off"]);
    cluster.run_sql("postgres", SCHEMA);
    cluster
}

/// Does what takes long with `cluster`, while the tasks of this thread go on.
pub async fn in_background(
    mut cluster: Cluster,
    work: impl FnOnce(&mut Cluster) + Send + 'static,
) -> Cluster {
    let done = tokio::task::spawn_blocking(|| {
        work(&mut cluster);
        cluster
    });
    done.await.expect("the cluster does it")
}

pub fn databases() -> Databases<String> {
    Databases::new(Options::default())
}

/// Text parameters.
pub fn texts(parameters: &[&str]) -> Vec<String> {
    parameters.iter().map(|text| (*text).to_owned()).collect()
}

/// The first field of the first row, which is text.
pub async fn try_text(session: &mut Session<String>, sql: &str) -> Result<String, Error> {
    let answer = session.query(sql, &[]).await?;
    Ok(answer.rows[0].get(0))
}

/// # Panics
/// If the statement fails.
pub async fn text(session: &mut Session<String>, sql: &str) -> String {
    let result = try_text(session, sql).await;
    result.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

/// The process of the server that runs the next shared statement.
pub async fn shared_pid(session: &mut Session<String>) -> String {
    text(session, "SELECT pid FROM me").await
}

/// The process of the server behind a session that has, or gets, a dedicated connection.
pub async fn dedicated_pid(session: &mut Session<String>) -> String {
    text(session, "SELECT pg_backend_pid()::text").await
}

/// The code of an error of the server.
///
/// # Panics
/// If it is another error, or none.
#[track_caller]
pub fn code<T>(result: Result<T, Error>) -> String {
    match result.err() {
        Some(Error::Database(error)) => error.code().code().to_owned(),
        other => panic!("not an error of the server: {other:?}"),
    }
}
