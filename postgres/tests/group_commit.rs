//! Group commit: how many transactions there are, and what became of each change.

use crate::support::{cluster, databases, run};
use futures_util::future::join_all;
use pipelined_postgres::{Databases, Error};
use std::time::{Duration, Instant};
use test_support::cluster::Cluster;

const INSERT: &str = "INSERT INTO items VALUES ($1)";

fn with_items() -> Cluster {
    let cluster = cluster();
    cluster.run_sql(
        "postgres",
        "CREATE TABLE items (id int PRIMARY KEY CHECK (id <> 13))",
    );
    cluster
}

async fn insert(databases: &Databases<i32>, address: &str, id: i32) -> Result<u64, Error> {
    let mut session = databases.open(address).await?;
    session.execute(INSERT, &[id]).await
}

fn count(cluster: &Cluster, what: &str) -> usize {
    let sql = format!("SELECT count({what}) FROM items");
    cluster.run_sql("postgres", &sql).parse().unwrap()
}

#[test]
fn many_changes_are_few_transactions_and_each_is_there_once() {
    const CLIENTS: i32 = 32;
    const CHANGES: i32 = 100;

    let cluster = with_items();
    run(async {
        let (databases, address) = (databases(), cluster.address("postgres"));
        let clients = (0..CLIENTS).map(|client| {
            let (databases, address) = (&databases, &address);
            async move {
                for change in 0..CHANGES {
                    let id = 100 + client * CHANGES + change;
                    assert_eq!(insert(databases, address, id).await.unwrap(), 1);
                }
            }
        });
        join_all(clients).await;
    });
    let changes = (CLIENTS * CHANGES) as usize;
    assert_eq!(count(&cluster, "*"), changes);
    let transactions = count(&cluster, "DISTINCT xmin::text");
    assert!(transactions < changes / 2, "{transactions} transactions");
}

#[test]
fn a_change_that_is_refused_fails_alone() {
    let cluster = with_items();
    run(async {
        let (databases, address) = (databases(), cluster.address("postgres"));
        // Until there is a connection for groups, changes run by themselves.
        for round in 0..20 {
            let changes = (0..16).map(|number| match number {
                7 => insert(&databases, &address, 13),
                number => insert(&databases, &address, 100 + round * 16 + number),
            });
            for (number, result) in join_all(changes).await.into_iter().enumerate() {
                match result {
                    Err(Error::Database(error)) if number == 7 => {
                        assert_eq!(error.code().code(), "23514");
                    }
                    result => assert_eq!(result.unwrap(), 1),
                }
            }
        }
    });
    assert_eq!(count(&cluster, "*"), 20 * 15);
}

#[test]
fn groups_of_two_threads_that_change_the_same_rows_do_not_deadlock() {
    let cluster = Cluster::start(&["fsync=off", "deadlock_timeout=10ms"]);
    cluster.run_sql(
        "postgres",
        "CREATE TABLE items (id int PRIMARY KEY, n int DEFAULT 0); INSERT INTO items SELECT generate_series(1, 8)",
    );
    let address = cluster.address("postgres");
    let first = databases();
    let threads = [first.for_another_thread(), first];
    std::thread::scope(|scope| {
        for (thread, databases) in threads.into_iter().enumerate() {
            let address = &address;
            scope.spawn(move || {
                run(async {
                    let clients = (0..16).map(|client| {
                        let databases = &databases;
                        async move {
                            for round in 0..30 {
                                // Each thread begins at another row.
                                let id = (client + round * (2 * thread as i32 + 1)) % 8 + 1;
                                let mut session = databases.open(address).await.unwrap();
                                let sql = "UPDATE items SET n = n + 1 WHERE id = $1";
                                assert_eq!(session.execute(sql, &[id]).await.unwrap(), 1);
                            }
                        }
                    });
                    join_all(clients).await;
                });
            });
        }
    });
    assert_eq!(
        cluster.run_sql("postgres", "SELECT sum(n) FROM items"),
        "960"
    );
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'";
    assert_eq!(cluster.run_sql("postgres", deadlocks), "0");
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_in_the_middle() {
    // With its disk, because a crash without it may lose anything.
    let mut cluster = Cluster::start(&[]);
    cluster.run_sql("postgres", "CREATE TABLE items (id int PRIMARY KEY)");
    let address = cluster.address("postgres");
    let (acknowledged, unknown) = std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let (mut acknowledged, mut unknown) = (Vec::new(), 0);
            run(async {
                let databases = databases();
                let began = Instant::now();
                let mut next = 0;
                while began.elapsed() < Duration::from_secs(3) {
                    let ids = next..next + 32;
                    next += 32;
                    let changes = ids.clone().map(|id| insert(&databases, &address, id));
                    for (id, result) in ids.zip(join_all(changes).await) {
                        match result {
                            Ok(_) => acknowledged.push(id),
                            Err(Error::Lost(_)) => unknown += 1,
                            Err(Error::Unreachable(_) | Error::NotRun(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
            (acknowledged, unknown)
        });
        test_support::wait::wait_for(Duration::from_secs(10), "some changes", || {
            count(&cluster, "*") > 500
        });
        cluster.crash();
        cluster.start_server();
        clients.join().unwrap()
    });
    let stored = cluster.run_sql("postgres", "SELECT id FROM items");
    let stored: std::collections::HashSet<i32> =
        stored.lines().map(|id| id.parse().unwrap()).collect();
    let lost = acknowledged
        .iter()
        .filter(|id| !stored.contains(id))
        .count();
    assert_eq!(lost, 0, "of {}", acknowledged.len());
    assert!(acknowledged.len() > 500);
    assert!(unknown <= 64, "{unknown} outcomes are unknown");
}
