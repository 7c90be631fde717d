//! Concurrent writes are committed as a group, and each has its own outcome.

use super::support::{BORN, PATIENCE, SECOND, SLEEPS, wait_for_session};
use crate::support::{cluster_with_people, get, host_on, put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use std::thread;
use std::time::Instant;
use test_support::cluster::Cluster;
use test_support::wait::wait_for;

/// Writes from so many clients are committed together.
const MANY: usize = 32;

/// A service with a table whose writes are counted one by one in the table `written`.
fn cluster_that_counts_writes() -> (Cluster, Service) {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &["--request-timeout", "1s", "--threads", "1"]);
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    cluster.run_sql(
        "people",
        "CREATE TABLE written (username text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN INSERT INTO written VALUES (NEW.username); RETURN NEW; END';
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION note()",
    );
    (cluster, service)
}

/// How many writes there were, of how many users, in how many transactions.
fn written(cluster: &Cluster) -> [usize; 3] {
    let counts = cluster.run_sql(
        "people",
        "SELECT count(*), count(DISTINCT username), count(DISTINCT xmin::text) FROM written",
    );
    let counts: Vec<_> = counts
        .split('|')
        .map(|count| count.parse().unwrap())
        .collect();
    counts.try_into().unwrap()
}

#[test]
fn concurrent_writes_are_committed_together_and_once_each() {
    const WRITES: usize = 40;

    let (cluster, service) = cluster_that_counts_writes();
    thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| {
                for _ in 0..WRITES {
                    let username = new_username();
                    assert_eq!(put(&service, &username, BORN).status, 204);
                    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
                }
            });
        }
    });
    let [writes, users, transactions] = written(&cluster);
    assert_eq!([writes, users], [MANY * WRITES; 2]);
    assert!(transactions < writes / 2, "{transactions} transactions");
    assert_eq!(service.log(), "");
}

#[test]
fn a_write_that_is_refused_fails_alone() {
    let (cluster, service) = cluster_that_counts_writes();
    cluster.run_sql(
        "people",
        "ALTER TABLE people ADD CONSTRAINT polite CHECK (username <> 'Rude')",
    );
    let until = Instant::now() + 4 * SECOND;
    let stored: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..MANY)
            .map(|_| {
                scope.spawn(|| {
                    let mut stored = 0;
                    while Instant::now() < until {
                        assert_eq!(put(&service, &new_username(), BORN).status, 204);
                        stored += 1;
                    }
                    stored
                })
            })
            .collect();
        while Instant::now() < until {
            let answer = put(&service, "Rude", BORN);
            assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
            // Group commit is suspended for a second.
            thread::sleep(SECOND * 6 / 5);
        }
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    let [writes, users, transactions] = written(&cluster);
    assert_eq!([writes, users], [stored; 2]);
    assert!(transactions < writes, "{transactions} transactions");
    let log = service.log();
    let refused = log.matches("violates check constraint \"polite\" (ERROR 23514)");
    assert_eq!(refused.count(), log.lines().count(), "{log}");
}

#[test]
fn a_write_that_takes_long_delays_only_its_own_group() {
    let (cluster, service) = cluster_that_counts_writes();
    cluster.run_sql(
        "people",
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
         CREATE TRIGGER wait BEFORE INSERT ON people FOR EACH ROW
         WHEN (NEW.username = 'Slow') EXECUTE FUNCTION wait();
         INSERT INTO people VALUES ('Locked', '2000-10-01')",
    );
    let until = Instant::now() + 4 * SECOND;
    let late: usize = thread::scope(|scope| {
        scope.spawn(|| {
            let lock = "BEGIN; SELECT * FROM people WHERE username = 'Locked' FOR UPDATE; \
                        SELECT pg_sleep(2)";
            cluster.run_sql("people", lock);
        });
        let clients: Vec<_> = (0..MANY)
            .map(|_| {
                scope.spawn(|| {
                    let mut late = 0;
                    while Instant::now() < until {
                        let start = Instant::now();
                        match put(&service, &new_username(), BORN).status {
                            204 => assert!(start.elapsed() < SECOND / 2, "{:?}", start.elapsed()),
                            504 => late += 1,
                            other => panic!("{other}"),
                        }
                    }
                    late
                })
            })
            .collect();
        wait_for_session(&cluster, SLEEPS);
        // Other writes wait for it for 50 ms at most.
        assert_eq!(put(&service, "Locked", BORN).status, 504);
        // Group commit is suspended for a second.
        thread::sleep(SECOND);
        assert_eq!(put(&service, "Slow", BORN).status, 504);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    // Each of the two may delay the writes of its group.
    assert!(late <= 2 * MANY, "{late} answers were late");
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    wait_for(PATIENCE, "the end of the abandoned statement", || {
        cluster.run_sql("people", asleep) == "0"
    });
    let slow = "SELECT count(*) FROM written WHERE username = 'Slow'";
    assert_eq!(cluster.run_sql("people", slow), "0");
}

#[test]
fn groups_that_write_the_same_rows_do_not_deadlock() {
    let cluster = cluster_with_people(&["fsync=off", "deadlock_timeout=10ms"]);
    let services = [(); 2].map(|()| host_on(&cluster, &["--threads", "2"]));
    let people = [(); 8].map(|()| new_username());
    thread::scope(|scope| {
        for client in 0..MANY {
            let (people, service) = (&people, &services[client % 2]);
            scope.spawn(move || {
                for round in 0..40 {
                    let person = &people[(client + round) % people.len()];
                    assert_eq!(put(service, person, BORN).status, 204, "{}", service.log());
                }
            });
        }
    });
    for service in &services {
        assert_eq!(service.log(), "");
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'people'";
    assert_eq!(cluster.run_sql("people", deadlocks), "0");
}
