//! Group commit: fewer commits, one outcome for each change.

use crate::support::{
    TestDatabase, block_on, databases, in_another_thread, own_cluster, soon, texts, wait_until,
};
use futures_util::future::join_all;
use pipelined_postgres::{Answer, Databases, Error, Session};
use std::collections::HashSet;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const INSERT: &str = "INSERT INTO item (name) VALUES ($1)";
const COUNT: &str = "UPDATE item SET number = number + 1 WHERE name = $1";

async fn sessions(
    databases: &Databases<String>,
    address: &str,
    count: usize,
) -> Vec<Session<String>> {
    let opening = (0..count).map(|_| databases.open(address));
    let opened = join_all(opening).await;
    opened.into_iter().map(Result::unwrap).collect()
}

/// Runs `sql` once for each of `names`, all at the same time.
async fn run_all(
    databases: &Databases<String>,
    address: &str,
    sql: &str,
    names: &[String],
) -> Vec<Result<Answer, Error>> {
    let mut sessions = sessions(databases, address, names.len()).await;
    let changes = sessions
        .iter_mut()
        .zip(names)
        .map(async |(session, name)| session.query(sql, slice::from_ref(name)).await);
    join_all(changes).await
}

/// Runs some changes, so that there is a connection for groups from now on.
async fn warm_up(databases: &Databases<String>, address: &str) {
    let counts = databases.connection_counts();
    let before = counts.idle();
    for result in run_all(databases, address, INSERT, &numbered("warm up ", 4)).await {
        result.unwrap();
    }
    wait_until("a connection for groups", async || counts.idle() > before).await;
}

/// `prefix` and a number with leading zeros, so many times.
fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{prefix}{number:03}"))
        .collect()
}

#[test]
fn changes_at_the_same_time_are_committed_together_and_once_each() {
    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        warm_up(&databases, &address).await;
        for result in run_all(&databases, &address, INSERT, &numbered("a", 200)).await {
            assert_eq!(result.unwrap().affected, 1);
        }
        let of = |what: &str| format!("SELECT count({what}) FROM item WHERE name LIKE 'a%'");
        assert_eq!(database.number(&of("*")).await, 200);
        assert_eq!(database.number(&of("DISTINCT name")).await, 200);
        let commits = database.number(&of("DISTINCT xmin::text")).await;
        // One change by itself, 128 in the first group, the rest in the second.
        assert!(commits <= 20, "{commits} commits");
        let counts = databases.connection_counts();
        assert_eq!(
            (counts.shared(), counts.dedicated() + counts.idle()),
            (1, 1)
        );
    });
}

#[test]
fn callers_that_go_on_changing_share_commits() {
    const SESSIONS: usize = 20;
    const ROUNDS: usize = 10;

    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        warm_up(&databases, &address).await;
        let mut sessions = sessions(&databases, &address, SESSIONS).await;
        let callers = sessions
            .iter_mut()
            .enumerate()
            .map(async |(caller, session)| {
                for round in 0..ROUNDS {
                    let name = format!("a {caller} {round}");
                    assert_eq!(session.execute(INSERT, &[name]).await.unwrap(), 1);
                }
            });
        join_all(callers).await;
        let of = |what: &str| format!("SELECT count({what}) FROM item WHERE name LIKE 'a%'");
        assert_eq!(database.number(&of("*")).await, SESSIONS * ROUNDS);
        assert_eq!(
            database.number(&of("DISTINCT name")).await,
            SESSIONS * ROUNDS
        );
        let commits = database.number(&of("DISTINCT xmin::text")).await;
        assert!(commits <= SESSIONS * ROUNDS / 2, "{commits} commits");
    });
}

#[test]
fn each_change_of_a_group_gets_its_own_answer() {
    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        warm_up(&databases, &address).await;
        let names = numbered("a", 50);
        let returning = format!("{INSERT} RETURNING name");
        let results = run_all(&databases, &address, &returning, &names).await;
        for (result, name) in results.into_iter().zip(&names) {
            let answer = result.unwrap();
            assert_eq!(answer.rows.len(), 1);
            assert_eq!(answer.rows[0].get::<_, &str>(0), name);
        }
        // Of two at the same time that insert the same row, one does.
        database.run("CREATE UNIQUE INDEX ON item (name)").await;
        let twice = [&names[..], &names[..]].concat();
        let ignoring = format!("{INSERT} ON CONFLICT DO NOTHING");
        let twice: Vec<_> = twice.iter().map(|name| format!("b{name}")).collect();
        let results = run_all(&databases, &address, &ignoring, &twice).await;
        let affected: u64 = results
            .into_iter()
            .map(|result| result.unwrap().affected)
            .sum();
        assert_eq!(affected, 50);
    });
}

#[test]
fn a_change_that_is_refused_fails_by_itself() {
    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        warm_up(&databases, &address).await;
        let mut names = numbered("a", 50);
        names[25] = "refused".to_owned();
        let results = run_all(&databases, &address, INSERT, &names).await;
        for (result, name) in results.into_iter().zip(&names) {
            if name == "refused" {
                assert_eq!(crate::support::code(result), "23514");
            } else {
                assert_eq!(result.unwrap().affected, 1);
            }
        }
        let of = |what: &str| format!("SELECT count({what}) FROM item WHERE name LIKE 'a%'");
        assert_eq!(database.number(&of("*")).await, 49);
        assert_eq!(database.number(&of("DISTINCT name")).await, 49);
    });
}

#[test]
fn a_change_with_bad_parameters_fails_by_itself() {
    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        warm_up(&databases, &address).await;
        let mut sessions = sessions(&databases, &address, 40).await;
        let changes = sessions
            .iter_mut()
            .enumerate()
            .map(async |(number, session)| {
                let name = format!("a{number}");
                match number {
                    20 => session.execute(INSERT, &[]).await,
                    // A text is not an integer.
                    30 => {
                        let sql = "INSERT INTO item (number) VALUES ($1)";
                        session.execute(sql, &[name]).await
                    }
                    _ => session.execute(INSERT, &[name]).await,
                }
            });
        for (number, result) in join_all(changes).await.into_iter().enumerate() {
            match number {
                20 | 30 => assert!(matches!(result, Err(Error::BadParameter(_))), "{result:?}"),
                _ => assert_eq!(result.unwrap(), 1),
            }
        }
        let count = "SELECT count(DISTINCT name) FROM item WHERE name LIKE 'a%'";
        assert_eq!(database.number(count).await, 38);
    });
}

#[test]
fn a_locked_row_delays_only_the_change_that_needs_it() {
    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        warm_up(&databases, &address).await;
        let names = numbered("a", 20);
        for name in &names {
            database
                .run(&format!("INSERT INTO item VALUES ('{name}')"))
                .await;
        }
        let locker = database.observer().await;
        let lock = "BEGIN; SELECT * FROM item WHERE name = 'a005' FOR UPDATE";
        locker.run(lock).await;
        let sessions = sessions(&databases, &address, names.len()).await;
        let changes = sessions.into_iter().zip(names).map(|(mut session, name)| {
            tokio::spawn(async move { session.execute(COUNT, &[name]).await.unwrap() })
        });
        let changes: Vec<_> = changes.collect();
        wait_until("the changes that need no locked row", async || {
            changes.iter().filter(|change| change.is_finished()).count() == 19
        })
        .await;
        assert!(!changes[5].is_finished());
        database.wait_for_waiting(1).await;
        locker.run("COMMIT").await;
        for change in changes {
            assert_eq!(soon("a change", change).await.unwrap(), 1);
        }
        assert_eq!(database.number("SELECT sum(number) FROM item").await, 20);
    });
}

#[test]
fn changes_that_all_callers_have_given_up_are_cancelled() {
    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        warm_up(&databases, &address).await;
        let passing = "INSERT INTO item (name) SELECT $1 || passed FROM gate";
        database.close_gate().await;
        let sessions = sessions(&databases, &address, 10).await;
        let changes = sessions.into_iter().map(|mut session| {
            tokio::spawn(async move { session.execute(passing, &texts(&["a"])).await })
        });
        let changes: Vec<_> = changes.collect();
        database.wait_for_waiting(1).await;
        for change in &changes {
            change.abort();
        }
        wait_until("no statement waits", async || database.waiting().await == 0).await;
        database.open_gate().await;
        let count = "SELECT count(*) FROM item WHERE name LIKE 'a%'";
        assert_eq!(database.number(count).await, 0);
    });
}

#[test]
fn what_was_acknowledged_before_a_crash_is_there_after_it() {
    const CALLERS: usize = 32;

    block_on(async {
        let mut cluster = own_cluster();
        let address = cluster.address("postgres");
        let databases = databases();
        warm_up(&databases, &address).await;
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let sessions = sessions(&databases, &address, CALLERS).await;
        let callers = sessions
            .into_iter()
            .enumerate()
            .map(|(caller, mut session)| {
                let acknowledged = acknowledged.clone();
                tokio::spawn(async move {
                    let mut names = Vec::new();
                    loop {
                        let name = format!("a {caller} {}", names.len());
                        match session.execute(INSERT, slice::from_ref(&name)).await {
                            Ok(changed) => assert_eq!(changed, 1),
                            Err(error) => return (names, name, error),
                        }
                        names.push(name);
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                })
            });
        let callers: Vec<_> = callers.collect();
        wait_until("many changes", async || {
            acknowledged.load(Ordering::Relaxed) > 10 * CALLERS
        })
        .await;
        cluster.crash();
        let ends = soon("the end of all callers", join_all(callers)).await;
        cluster.start_server();

        let rows = cluster.run_sql("postgres", "SELECT name FROM item WHERE name LIKE 'a%'");
        let there: HashSet<_> = rows.lines().collect();
        assert_eq!(there.len(), rows.lines().count(), "some are there twice");
        for end in ends {
            let (names, last, error) = end.unwrap();
            for name in &names {
                assert!(there.contains(name.as_str()), "{name} was acknowledged");
            }
            match error {
                Error::Lost(_) => {}
                Error::NotRun(_) | Error::Unreachable(_) => {
                    assert!(!there.contains(last.as_str()), "{last}: {error:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        // Right after an attempt that failed, others fail without one.
        wait_until("the server is used again", async || {
            databases.open(&address).await.is_ok()
        })
        .await;
        for result in run_all(&databases, &address, INSERT, &numbered("b", 20)).await {
            result.unwrap();
        }
    });
}

#[test]
fn groups_of_two_threads_that_change_the_same_rows_do_not_deadlock() {
    const ROUNDS: usize = 40;
    const ROWS: usize = 8;

    block_on(async {
        let database = TestDatabase::new().await;
        let address = database.address();
        let names = numbered("a", ROWS);
        for name in &names {
            database
                .run(&format!("INSERT INTO item VALUES ('{name}')"))
                .await;
        }
        // Less than a group waits for a lock.
        let soon_found = "ALTER DATABASE test SET deadlock_timeout = '5ms'";
        database
            .run(&soon_found.replace("test", &database.name))
            .await;
        let first = databases();
        let threads = [first.for_another_thread(), first.for_another_thread()];
        let threads = threads.into_iter().enumerate().map(|(thread, databases)| {
            let (mut names, address) = (names.clone(), address.clone());
            if thread == 1 {
                names.reverse();
            }
            in_another_thread(move || async move {
                warm_up(&databases, &address).await;
                let names = [&names[..], &names[..]].concat();
                for _ in 0..ROUNDS {
                    for result in run_all(&databases, &address, COUNT, &names).await {
                        assert_eq!(result.unwrap().affected, 1);
                    }
                }
            })
        });
        let threads: Vec<_> = threads.collect();
        for thread in threads {
            thread.await.unwrap();
        }
        let expected = 2 * 2 * ROWS * ROUNDS;
        assert_eq!(
            database.number("SELECT sum(number) FROM item").await,
            expected
        );
        // Connections tell what they counted when they close, at the latest.
        wait_until("all are closed", async || database.backends().await == 0).await;
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(database.number(deadlocks).await, 0);
    });
}
