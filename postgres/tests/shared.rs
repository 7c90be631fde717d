//! Shared connections: how many there are, and what a slow statement does to the others.

use crate::support::{cluster, counts, databases, eventually, run, sessions, value};
use futures_util::future::join_all;
use pipelined_postgres::{Error, MAX_ANSWER_BYTES};
use std::time::{Duration, Instant};
use test_support::cluster::Cluster;
use tokio::time::timeout;

/// A view whose reading takes so many seconds; a function would need a dedicated connection.
fn with_slow_view(seconds: u32) -> Cluster {
    let cluster = cluster();
    let view = format!("CREATE VIEW slow AS SELECT pg_sleep({seconds})::text, 1::bigint AS one");
    cluster.run_sql("postgres", &view);
    cluster
}

#[test]
fn a_hundred_reads_go_over_one_connection() {
    let cluster = cluster();
    run(async {
        let databases = databases();
        let reads = (0..100).map(|_| async {
            let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
            value(&mut session, "SELECT 1::bigint").await.unwrap()
        });
        assert_eq!(join_all(reads).await, [1; 100]);
        assert_eq!(counts(&databases.connection_counts()), [1, 0, 0]);
    });
}

#[test]
fn a_stalled_connection_is_passed_over_for_up_to_three_others() {
    let cluster = with_slow_view(2);
    run(async {
        let databases = databases();
        let address = cluster.address("postgres");
        let open = databases.connection_counts();
        let started = Instant::now();
        let slow = join_all((0..6).map(|number| {
            let (databases, address) = (&databases, &address);
            async move {
                tokio::time::sleep(Duration::from_millis(100 * number)).await;
                let mut session = databases.open(address).await.unwrap();
                value(&mut session, "SELECT one FROM slow").await.unwrap()
            }
        }));
        let quick = async {
            // Both connections that there are then have not answered for more than 50 ms.
            tokio::time::sleep(Duration::from_millis(180)).await;
            let mut session = databases.open(&address).await.unwrap();
            value(&mut session, "SELECT 1::bigint").await.unwrap();
            started.elapsed()
        };
        let (values, quick) = tokio::join!(slow, quick);
        assert_eq!(values, [1; 6]);
        assert!(quick < Duration::from_secs(1), "{quick:?}");
        assert_eq!(counts(&open), [4, 0, 0]);
    });
}

#[test]
fn where_the_server_takes_no_more_the_connection_of_another_thread_is_borrowed() {
    let cluster = cluster();
    cluster.run_sql("postgres", "CREATE ROLE few LOGIN CONNECTION LIMIT 1");
    let address = cluster.address("postgres").replace("postgres@", "few@");
    run(async {
        let databases = databases();
        let mut first = databases.open(&address).await.unwrap();
        let process = "SELECT pg_backend_pid()::bigint";
        // Without a name that is known, it would be dedicated.
        let process = process.replace(
            "pg_backend_pid()",
            "(SELECT max(pid) FROM pg_stat_activity WHERE usename = 'few')",
        );
        let pid = value(&mut first, &process).await.unwrap();
        let mut second = databases.for_another_thread().open(&address).await.unwrap();
        assert_eq!(value(&mut second, &process).await.unwrap(), pid);
        assert_eq!(counts(&databases.connection_counts()), [1, 0, 0]);
    });
}

#[test]
fn a_statement_that_is_given_up_is_cancelled_and_its_connection_retired() {
    let cluster = with_slow_view(60);
    run(async {
        let databases = databases();
        let open = databases.connection_counts();
        let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
        let given_up = timeout(
            Duration::from_millis(200),
            value(&mut session, "SELECT one FROM slow"),
        );
        assert!(given_up.await.is_err());
        eventually("the cancellation", || {
            sessions(&cluster, "wait_event = 'PgSleep'") == 0
        })
        .await;
        assert_eq!(value(&mut session, "SELECT 1::bigint").await.unwrap(), 1);
        eventually("the end of the old one", || counts(&open) == [1, 0, 0]).await;
    });
}

#[test]
fn an_answer_that_is_too_large_is_an_error_and_the_next_statement_works() {
    let cluster = cluster();
    run(async {
        let databases = databases();
        let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
        let rows = MAX_ANSWER_BYTES / 1000;
        let large = format!("SELECT repeat('x', 1000) FROM generate_series(1, {rows})");
        let error = session.query(&large, &[]).await.err().unwrap();
        assert!(matches!(error, Error::AnswerTooLarge), "{error}");
        assert_eq!(value(&mut session, "SELECT 1::bigint").await.unwrap(), 1);
    });
}

#[test]
fn a_statement_is_prepared_again_when_its_table_changes() {
    let cluster = cluster();
    cluster.run_sql(
        "postgres",
        "CREATE TABLE t (a bigint); INSERT INTO t VALUES (1)",
    );
    run(async {
        let databases = databases();
        let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
        let columns = session.query("SELECT * FROM t", &[]).await.unwrap();
        assert_eq!(columns.columns().len(), 1);
        cluster.run_sql("postgres", "ALTER TABLE t ADD COLUMN b int");
        let columns = session.query("SELECT * FROM t", &[]).await.unwrap();
        assert_eq!(columns.columns().len(), 2);
    });
}
