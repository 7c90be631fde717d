//! What the tests share.

use pipelined_postgres::{ConnectionCounts, Databases, Error, Options, Session, Sharing};
use std::time::{Duration, Instant};
use test_support::cluster::Cluster;
use tokio::time::sleep;

/// How long a state may take to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `test` in a runtime of one thread, as a server's thread does.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(test);
}

/// A new server that does not wait for its disk.
pub fn cluster() -> Cluster {
    Cluster::start(&["fsync=off"])
}

pub fn databases() -> Databases<i32> {
    Databases::new(Options {
        application_name: "library".to_owned(),
        ..Options::default()
    })
}

/// Databases whose sessions have dedicated connections from the start.
pub fn exclusive() -> Databases<i32> {
    Databases::new(Options {
        sharing: Sharing::Exclusive,
        application_name: "library".to_owned(),
        ..Options::default()
    })
}

pub fn counts(counts: &ConnectionCounts) -> [usize; 3] {
    [counts.shared(), counts.dedicated(), counts.idle()]
}

/// The first column of the first row.
pub async fn value(session: &mut Session<i32>, sql: &str) -> Result<i64, Error> {
    let answer = session.query(sql, &[]).await?;
    Ok(answer.rows[0].get(0))
}

/// Waits until `is_so`, asked every ten milliseconds.
#[track_caller]
pub fn eventually<'a>(
    what: &'a str,
    mut is_so: impl FnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let started = Instant::now();
    async move {
        while !is_so() {
            assert!(started.elapsed() < PATIENCE, "{what}: not in time");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// How many sessions of the server `condition` is true of, in terms of `pg_stat_activity`.
pub fn sessions(cluster: &Cluster, condition: &str) -> usize {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'library' AND {condition}"
    );
    cluster.run_sql("postgres", &sql).parse().unwrap()
}
