//! Connections that break, and servers that are away.

use crate::support::{cluster, databases, run, value};
use pipelined_postgres::{Databases, Error};
use std::time::{Duration, Instant};
use test_support::cluster::Cluster;
use tokio::time::timeout;

/// Ends all connections of the library.
const TERMINATE: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'library'";

/// Runs `sql`, which takes a second, and ends its connection in the middle.
async fn interrupted(
    cluster: &Cluster,
    databases: &Databases<i32>,
    sql: &str,
) -> Result<i64, Error> {
    let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
    let mut running = Box::pin(value(&mut session, sql));
    let in_flight = timeout(Duration::from_millis(300), &mut running).await;
    assert!(in_flight.is_err(), "it takes a second");
    cluster.run_sql("postgres", TERMINATE);
    running.await
}

#[test]
fn a_read_is_run_again_and_a_change_is_not() {
    let cluster = cluster();
    cluster.run_sql(
        "postgres",
        "CREATE VIEW slow AS SELECT 1::bigint AS one, pg_sleep(1)::text;
         CREATE TABLE t (a bigint);
         CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END';
         CREATE TRIGGER wait BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    run(async {
        let databases = databases();
        let read = interrupted(&cluster, &databases, "SELECT one FROM slow").await;
        assert_eq!(read.unwrap(), 1);
        let insert = "INSERT INTO t VALUES (1) RETURNING a";
        let change = interrupted(&cluster, &databases, insert).await;
        assert!(matches!(change, Err(Error::Lost(_))), "{change:?}");
        assert_eq!(cluster.run_sql("postgres", "SELECT count(*) FROM t"), "0");
    });
}

#[test]
fn a_restart_between_statements_is_not_noticed() {
    let mut cluster = cluster();
    cluster.run_sql("postgres", "CREATE TABLE t (a bigint)");
    run(async {
        let databases = databases();
        let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
        for _ in 0..3 {
            session
                .execute("INSERT INTO t VALUES (1)", &[])
                .await
                .unwrap();
            cluster.shut_down();
            cluster.start_server();
            // Lets the runtime read what the server sent last, as it does between the requests of a service.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(
            value(&mut session, "SELECT count(*) FROM t").await.unwrap(),
            3
        );
    });
}

#[test]
fn a_server_that_is_away_fails_statements_at_once_and_is_found_again() {
    let mut cluster = cluster();
    run(async {
        let databases = databases();
        let address = cluster.address("postgres");
        let mut session = databases.open(&address).await.unwrap();
        cluster.shut_down();
        for _ in 0..20 {
            let began = Instant::now();
            let away = value(&mut session, "SELECT 1::bigint").await;
            assert!(matches!(away, Err(Error::Unreachable(_))), "{away:?}");
            assert!(began.elapsed() < Duration::from_secs(1));
        }
        cluster.start_server();
        // An attempt that has just failed is not repeated for a tenth of a second.
        let back = Instant::now();
        while value(&mut session, "SELECT 1::bigint").await.is_err() {
            assert!(back.elapsed() < Duration::from_secs(1), "it is not found");
        }
    });
}

#[test]
fn a_primary_that_has_become_a_standby_is_left() {
    let cluster = cluster();
    cluster.run_sql("postgres", "CREATE TABLE t (a int)");
    run(async {
        let databases = databases();
        let address = format!(
            "{}?target_session_attrs=read-write",
            cluster.address("postgres")
        );
        let mut session = databases.open(&address).await.unwrap();
        session
            .execute("INSERT INTO t VALUES (1)", &[])
            .await
            .unwrap();
        // New transactions of that connection are refused as on a standby; new connections find no primary.
        cluster.run_sql(
            "postgres",
            "ALTER SYSTEM SET default_transaction_read_only = on",
        );
        cluster.run_sql("postgres", "SELECT pg_reload_conf()");
        let refused = loop {
            match session.execute("INSERT INTO t VALUES (2)", &[]).await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, Error::Unreachable(_)), "{refused}");
        cluster.run_sql(
            "postgres",
            "ALTER SYSTEM RESET default_transaction_read_only",
        );
        cluster.run_sql("postgres", "SELECT pg_reload_conf()");
        let back = Instant::now();
        while let Err(error) = session.execute("INSERT INTO t VALUES (3)", &[]).await {
            assert!(back.elapsed() < Duration::from_secs(5), "{error}");
        }
    });
}
