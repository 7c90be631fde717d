//! Connections that break, and servers that go away and come back.

use crate::support::{
    Observer, TestDatabase, block_on, databases, dedicated_pid, in_background, own_cluster,
    shared_pid, soon, text, texts, try_text, wait_until,
};
use futures_util::future::{join, join_all};
use pipelined_postgres::Error;
use std::time::{Duration, Instant};
use test_support::cluster::Cluster;
use tokio::time::sleep;

/// How long the library waits for the end of an outage.
const SHORT_OUTAGE: Duration = Duration::from_secs(3);

const INSERT: &str = "INSERT INTO item (name) VALUES ($1)";

#[test]
fn a_read_whose_connection_breaks_is_run_again() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let pid = shared_pid(&mut session).await;
        database.close_gate().await;
        let reading = tokio::spawn(async move {
            let read = "SELECT me.pid FROM gate, me";
            try_text(&mut session, read).await
        });
        database.wait_for_waiting(1).await;
        database.terminate().await;
        let on_another = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND wait_event_type = 'Lock' AND pid <> {pid}"
        );
        wait_until("it is run again", async || {
            database.number(&on_another).await == 1
        })
        .await;
        database.open_gate().await;
        assert_ne!(soon("the read", reading).await.unwrap().unwrap(), pid);
    });
}

#[test]
fn all_concurrent_reads_of_a_connection_that_breaks_are_run_again() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut reading = Vec::new();
        database.close_gate().await;
        for _ in 0..50 {
            let mut session = databases.open(&database.address()).await.unwrap();
            reading.push(tokio::spawn(async move {
                try_text(&mut session, "SELECT passed FROM gate").await
            }));
        }
        database.wait_for_waiting(1).await;
        database.terminate().await;
        database.open_gate().await;
        for result in soon("the reads", join_all(reading)).await {
            result.unwrap().unwrap();
        }
    });
}

#[test]
fn a_write_whose_connection_breaks_is_lost_and_not_run_again() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        for sql in [
            "INSERT INTO item (name) SELECT 'a' || passed FROM gate",
            // Neither of these can be in a group.
            "with changed AS (INSERT INTO item (name) SELECT passed FROM gate RETURNING name) \
             SELECT name FROM changed",
            "CREATE TABLE made AS SELECT passed FROM gate",
        ] {
            let mut session = databases.open(&database.address()).await.unwrap();
            database.close_gate().await;
            let writing = tokio::spawn(async move {
                let result = session.execute(sql, &[]).await;
                (result, session)
            });
            database.wait_for_waiting(1).await;
            database.terminate().await;
            let (result, mut session) = soon("the write", writing).await.unwrap();
            assert!(matches!(result, Err(Error::Lost(_))), "{sql}: {result:?}");
            assert_eq!(database.waiting().await, 0);
            database.open_gate().await;
            assert_eq!(
                text(&mut session, "SELECT count(*)::text FROM item").await,
                "0"
            );
        }
        assert_eq!(databases.connection_counts().dedicated(), 0);
    });
}

#[test]
fn a_dedicated_connection_that_breaks_is_lost_to_its_session_alone() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let counts = databases.connection_counts();
        let mut session = databases.open(&database.address()).await.unwrap();
        session.query("BEGIN", &[]).await.unwrap();
        let waiting = tokio::spawn(async move {
            // Even a read is not run again: the transaction is gone.
            let result = try_text(&mut session, "SELECT pg_sleep(600)::text").await;
            (result, session)
        });
        database.wait_for_waiting(1).await;
        database.terminate().await;
        let (result, mut session) = soon("the statement", waiting).await.unwrap();
        assert!(matches!(result, Err(Error::Lost(_))), "{result:?}");
        let result = session.query("SELECT 1", &[]).await;
        assert!(matches!(result, Err(Error::NotRun(_))));
        drop(session);
        wait_until("it is closed", async || {
            (counts.dedicated(), counts.idle()) == (0, 0)
        })
        .await;
        let mut session = databases.open(&database.address()).await.unwrap();
        dedicated_pid(&mut session).await;
    });
}

#[test]
fn a_group_whose_connection_breaks_is_lost_and_not_run_again() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let counts = databases.connection_counts();
        let mut sessions = Vec::new();
        for _ in 0..10 {
            sessions.push(databases.open(&database.address()).await.unwrap());
        }
        let name = texts(&["a"]);
        join_all(
            sessions
                .iter_mut()
                .map(|session| session.execute(INSERT, &name)),
        )
        .await;
        wait_until("a connection for groups", async || counts.idle() == 1).await;
        // At the end of the transaction, so that it is a commit that breaks.
        database
            .run(
                "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN PERFORM passed FROM gate; RETURN NULL; END';
                 CREATE CONSTRAINT TRIGGER pass AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW WHEN (NEW.name = 'grouped') EXECUTE FUNCTION pass()",
            )
            .await;
        database.close_gate().await;
        let changes = sessions
            .into_iter()
            .enumerate()
            .map(|(number, mut session)| {
                let name = if number == 0 { "single" } else { "grouped" };
                tokio::spawn(async move { session.execute(INSERT, &[name.to_owned()]).await })
            });
        let changes: Vec<_> = changes.collect();
        database.wait_for_waiting(1).await;
        assert_eq!(counts.dedicated(), 1);
        database.terminate().await;
        let results = soon("the changes", join_all(changes)).await;
        for result in &results[1..] {
            let result = result.as_ref().unwrap();
            assert!(matches!(result, Err(Error::Lost(_))), "{result:?}");
        }
        database.open_gate().await;
        assert_eq!(results[0].as_ref().unwrap().as_ref().unwrap(), &1);
        let count = "SELECT count(*) FROM item WHERE name = 'grouped'";
        assert_eq!(database.number(count).await, 0);
    });
}

#[test]
fn after_a_quiet_restart_the_next_statement_works() {
    block_on(async {
        let mut cluster = own_cluster();
        let address = cluster.address("postgres");
        let databases = databases();
        let counts = databases.connection_counts();
        let mut session = databases.open(&address).await.unwrap();
        for statement in [
            "a read",
            "a change",
            "one that needs a dedicated connection",
        ] {
            shared_pid(&mut session).await;
            let mut other = databases.open(&address).await.unwrap();
            dedicated_pid(&mut other).await;
            drop(other);
            wait_until("an idle connection", async || counts.idle() == 1).await;
            cluster = in_background(cluster, |cluster| {
                cluster.shut_down();
                cluster.start_server();
            })
            .await;
            match statement {
                "a read" => drop(shared_pid(&mut session).await),
                "a change" => {
                    assert_eq!(session.execute(INSERT, &texts(&["a"])).await.unwrap(), 1);
                }
                _ => drop(dedicated_pid(&mut session).await),
            }
        }
        assert_eq!(
            cluster.run_sql("postgres", "SELECT count(*) FROM item"),
            "1"
        );
    });
}

#[test]
fn a_short_outage_is_waited_for_and_what_waited_is_run_once() {
    block_on(async {
        let cluster = own_cluster();
        let address = cluster.address("postgres");
        let databases = databases();
        let mut sessions = Vec::new();
        for _ in 0..20 {
            sessions.push(databases.open(&address).await.unwrap());
        }
        shared_pid(&mut sessions[0]).await;
        let cluster = in_background(cluster, Cluster::shut_down).await;
        let (answers, cluster) =
            join(
                join_all(sessions.iter_mut().enumerate().map(
                    async |(number, session)| match number % 3 {
                        0 => session.execute(INSERT, &texts(&["a"])).await.map(drop),
                        1 => session.query("SELECT 1", &[]).await.map(drop),
                        _ => session.execute("BEGIN", &[]).await.map(drop),
                    },
                )),
                async {
                    // How long the server is away.
                    sleep(Duration::from_millis(500)).await;
                    in_background(cluster, Cluster::start_server).await
                },
            )
            .await;
        for answer in answers {
            answer.unwrap();
        }
        let observer = Observer::connect(&address).await;
        assert_eq!(observer.number("SELECT count(*) FROM item").await, 7);
        drop(cluster);
    });
}

#[test]
fn at_most_256_wait_for_the_end_of_an_outage() {
    const SESSIONS: usize = 300;
    const MAX_WAITING: usize = 256;
    block_on(async {
        let cluster = own_cluster();
        let address = cluster.address("postgres");
        let databases = databases();
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            sessions.push(databases.open(&address).await.unwrap());
        }
        shared_pid(&mut sessions[0]).await;
        let cluster = in_background(cluster, Cluster::shut_down).await;
        let start = Instant::now();
        let took = join_all(sessions.iter_mut().map(async |session| {
            let result = session.query("SELECT 1", &[]).await;
            assert!(matches!(result, Err(Error::Unreachable(_))));
            start.elapsed()
        }))
        .await;
        let at_once = took.iter().filter(|took| **took < SHORT_OUTAGE / 2).count();
        assert_eq!(at_once, SESSIONS - MAX_WAITING, "{took:?}");
        drop(cluster);
    });
}

#[test]
fn an_outage_that_lasts_is_told_fast_and_its_end_is_noticed_soon() {
    block_on(async {
        let cluster = own_cluster();
        let address = cluster.address("postgres");
        let databases = databases();
        let mut session = databases.open(&address).await.unwrap();
        shared_pid(&mut session).await;
        let cluster = in_background(cluster, Cluster::shut_down).await;
        let start = Instant::now();
        let result = session.query("SELECT 1", &[]).await;
        assert!(matches!(result, Err(Error::Unreachable(_))));
        let took = start.elapsed();
        assert!(
            SHORT_OUTAGE / 2 < took && took < 2 * SHORT_OUTAGE,
            "{took:?}"
        );
        let start = Instant::now();
        for _ in 0..20 {
            let result = session.query("SELECT 1", &[]).await;
            assert!(matches!(result, Err(Error::Unreachable(_))));
            let result = session.execute(INSERT, &texts(&["a"])).await;
            assert!(matches!(result, Err(Error::Unreachable(_))), "{result:?}");
            let result = session.execute("BEGIN", &[]).await;
            assert!(matches!(result, Err(Error::Unreachable(_))), "{result:?}");
            let opened = databases.open(&address).await;
            assert!(matches!(opened, Err(Error::Unreachable(_))));
        }
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );

        let cluster = in_background(cluster, Cluster::start_server).await;
        let took = wait_until("the server is used again", async || {
            match session.execute(INSERT, &texts(&["a"])).await {
                Ok(_) => true,
                Err(Error::Unreachable(_)) => false,
                Err(error) => panic!("{error:?}"),
            }
        })
        .await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        let observer = Observer::connect(&address).await;
        assert_eq!(observer.number("SELECT count(*) FROM item").await, 1);
        drop(cluster);
    });
}

#[test]
fn a_server_that_never_was_there_is_unreachable() {
    block_on(async {
        let port = test_support::machine::free_port();
        let databases = databases();
        let start = Instant::now();
        let opened = databases
            .open(&format!("postgres://postgres@127.0.0.1:{port}/a"))
            .await;
        assert!(matches!(opened, Err(Error::Unreachable(_))));
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
        let counts = databases.connection_counts();
        assert_eq!(
            (counts.shared(), counts.dedicated(), counts.idle()),
            (0, 0, 0)
        );
    });
}

#[test]
fn a_host_that_is_silent_does_not_keep_others_from_being_used() {
    block_on(async {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = silent.local_addr().unwrap().port();
        let database = TestDatabase::new().await;
        let (account, rest) = database
            .address()
            .split_once('@')
            .map(|(account, rest)| (account.to_owned(), rest.to_owned()))
            .unwrap();
        for options in ["", "connect_timeout=2", "target_session_attrs=primary"] {
            let address = format!("{account}@127.0.0.1:{silent},{rest}?{options}");
            let databases = databases();
            let start = Instant::now();
            let mut session = databases.open(&address).await.unwrap();
            shared_pid(&mut session).await;
            let took = start.elapsed();
            assert!(took < Duration::from_secs(2), "{options}: {took:?}");
        }
    });
}
