//! Dedicated connections: how many there are, and what the next session finds.

use crate::support::{
    PATIENCE, cluster, counts, databases, eventually, exclusive, run, sessions, value,
};
use std::time::Duration;
use test_support::cluster::Cluster;
use tokio::time::timeout;

const BEGIN: &str = "BEGIN";

#[test]
fn sixteen_at_a_time_and_the_next_waits() {
    let cluster = cluster();
    run(async {
        let databases = exclusive();
        let address = cluster.address("postgres");
        let mut sessions = Vec::new();
        for _ in 0..16 {
            sessions.push(databases.open(&address).await.unwrap());
        }
        assert!(databases.is_exhausted());
        let mut next = Box::pin(databases.open(&address));
        let waits = timeout(Duration::from_millis(200), &mut next).await;
        assert!(waits.is_err(), "there is no seventeenth");
        drop(sessions.pop());
        let next = timeout(PATIENCE, next).await;
        assert!(next.is_ok_and(|next| next.is_ok()));
    });
}

#[test]
fn four_are_kept_when_they_are_given_back() {
    let cluster = cluster();
    run(async {
        let databases = exclusive();
        let open = databases.connection_counts();
        let mut sessions = Vec::new();
        for _ in 0..8 {
            sessions.push(databases.open(&cluster.address("postgres")).await.unwrap());
        }
        assert_eq!(counts(&open), [0, 8, 0]);
        drop(sessions);
        eventually("idle connections", || counts(&open) == [0, 0, 4]).await;
        let _again = databases.open(&cluster.address("postgres")).await.unwrap();
        assert_eq!(counts(&open), [0, 1, 3]);
    });
}

#[test]
fn nothing_of_a_session_is_left_to_the_next() {
    let cluster = cluster();
    run(async {
        let databases = exclusive();
        let open = databases.connection_counts();
        let address = cluster.address("postgres");
        let mut first = databases.open(&address).await.unwrap();
        for sql in [
            "SET work_mem = '1MB'",
            "CREATE TEMP TABLE t (a int)",
            "SELECT pg_advisory_lock(1)",
            "LISTEN x",
            BEGIN,
            "SELECT 1",
        ] {
            first.execute(sql, &[]).await.unwrap();
        }
        let process = "SELECT pg_backend_pid()::bigint";
        let before = value(&mut first, process).await.unwrap();
        drop(first);
        eventually("an idle connection", || counts(&open) == [0, 0, 1]).await;
        let mut second = databases.open(&address).await.unwrap();
        assert_eq!(
            value(&mut second, process).await.unwrap(),
            before,
            "the same"
        );
        let left = "SELECT (SELECT count(*) FROM pg_class WHERE relname = 't') \
            + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') \
            + (SELECT count(*) FROM pg_listening_channels()) \
            + (current_setting('work_mem') = '1MB')::int";
        assert_eq!(value(&mut second, left).await.unwrap(), 0);
        assert_eq!(sessions(&cluster, "state = 'idle in transaction'"), 0);
    });
}

#[test]
fn a_session_with_prepared_sql_is_not_given_back() {
    let cluster = cluster();
    run(async {
        let databases = exclusive();
        let open = databases.connection_counts();
        let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
        session.execute("PREPARE p AS SELECT 1", &[]).await.unwrap();
        drop(session);
        eventually("a closed connection", || counts(&open) == [0, 0, 0]).await;
    });
}

#[test]
fn a_session_that_is_dropped_cancels_what_it_runs() {
    fn is_asleep(cluster: &Cluster) -> bool {
        sessions(cluster, "wait_event = 'PgSleep'") > 0
    }

    let cluster = cluster();
    run(async {
        let databases = databases();
        let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
        {
            let mut asleep = Box::pin(session.execute("SELECT pg_sleep(60)", &[]));
            while !is_asleep(&cluster) {
                let _ = timeout(Duration::from_millis(10), &mut asleep).await;
            }
        }
        drop(session);
        eventually("the end of the statement", || !is_asleep(&cluster)).await;
    });
}
