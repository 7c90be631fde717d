//! Dedicated connections: how many there are, and what is left of a session.

use crate::support::{
    TestDatabase, block_on, databases, dedicated_pid, shared_pid, soon, text, texts, wait_until,
};
use pipelined_postgres::{Databases, Options, Sharing};
use std::time::Duration;
use tokio::time::timeout;

#[test]
fn the_17th_session_waits_until_one_of_16_is_dropped() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let counts = databases.connection_counts();
        let mut sessions = Vec::new();
        for _ in 0..16 {
            assert!(!databases.is_exhausted());
            let mut session = databases.open(&database.address()).await.unwrap();
            session.execute("SET work_mem = '1MB'", &[]).await.unwrap();
            sessions.push(session);
        }
        assert_eq!((counts.dedicated(), counts.idle()), (16, 0));
        assert!(databases.is_exhausted());

        let mut next = databases.open(&database.address()).await.unwrap();
        let waiting = tokio::spawn(async move {
            let pid = dedicated_pid(&mut next).await;
            (pid, next)
        });
        // A shared connection is there all the time.
        let mut reader = databases.open(&database.address()).await.unwrap();
        for _ in 0..20 {
            shared_pid(&mut reader).await;
        }
        assert!(!waiting.is_finished());
        assert_eq!(database.backends().await, 16 + 1);

        let freed = dedicated_pid(&mut sessions[7]).await;
        drop(sessions.remove(7));
        let (pid, _next) = soon("the 17th session", waiting).await.unwrap();
        assert_eq!(pid, freed);
        assert_eq!(counts.dedicated(), 16);
        assert_eq!(database.backends().await, 16 + 1);
    });
}

#[test]
fn at_most_4_connections_are_idle() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let counts = databases.connection_counts();
        let mut sessions = Vec::new();
        for _ in 0..8 {
            let mut session = databases.open(&database.address()).await.unwrap();
            dedicated_pid(&mut session).await;
            sessions.push(session);
        }
        assert_eq!(database.backends().await, 8 + 1);
        drop(sessions);
        wait_until("4 are idle, 4 closed", async || {
            (counts.dedicated(), counts.idle()) == (0, 4) && database.backends().await == 4 + 1
        })
        .await;

        let mut session = databases.open(&database.address()).await.unwrap();
        dedicated_pid(&mut session).await;
        assert_eq!((counts.dedicated(), counts.idle()), (1, 3));
        assert_eq!(database.backends().await, 4 + 1);
    });
}

/// Whether the next session has the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Reused,
    Closed,
}

/// Runs `statements` in a session, and then `question` in the next one, which must have the answer `expected`.
async fn check_next(
    database: &TestDatabase,
    statements: &[&str],
    question: &str,
    expected: &str,
    connection: Connection,
) {
    let databases = databases();
    let counts = databases.connection_counts();
    let mut session = databases.open(&database.address()).await.unwrap();
    let pid = dedicated_pid(&mut session).await;
    for sql in statements {
        session.query(sql, &[]).await.unwrap();
    }
    assert_ne!(
        text(&mut session, question).await,
        expected,
        "{statements:?}"
    );
    drop(session);
    let idle = usize::from(connection == Connection::Reused);
    wait_until("the end of the session", async || {
        (counts.dedicated(), counts.idle()) == (0, idle)
    })
    .await;

    let mut session = databases.open(&database.address()).await.unwrap();
    let next_pid = dedicated_pid(&mut session).await;
    assert_eq!(
        next_pid == pid,
        connection == Connection::Reused,
        "{statements:?}"
    );
    assert_eq!(
        text(&mut session, question).await,
        expected,
        "{statements:?}"
    );
}

#[test]
fn a_session_leaves_nothing_to_the_next() {
    block_on(async {
        let database = TestDatabase::new().await;
        let role = format!("{}_role", database.name);
        database.run(&format!("CREATE ROLE {role}")).await;
        let set_role = format!("SET ROLE {role}");
        for (statements, question, expected) in [
            (
                &["SET timezone = 'Asia/Tokyo'"][..],
                "SELECT (current_setting('timezone') = 'Asia/Tokyo')::text",
                "false",
            ),
            (
                &["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"],
                "SELECT current_setting('transaction_read_only')",
                "off",
            ),
            (&[&set_role], "SELECT current_user::text", "postgres"),
            (
                &["CREATE TEMP TABLE left_over (name text)"],
                "SELECT coalesce(to_regclass('left_over')::text, 'none')",
                "none",
            ),
            (
                &["SELECT pg_advisory_lock(7)"],
                "SELECT count(*)::text FROM pg_locks
                 WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
                "0",
            ),
            (
                &["LISTEN left_over"],
                "SELECT count(*)::text FROM pg_listening_channels()",
                "0",
            ),
            (
                &["DECLARE left_over CURSOR with HOLD FOR SELECT 1"],
                "SELECT count(*)::text FROM pg_cursors WHERE name = 'left_over'",
                "0",
            ),
            (
                &["BEGIN", "INSERT INTO item VALUES ('left over')"],
                "SELECT count(*)::text FROM item",
                "0",
            ),
        ] {
            check_next(
                &database,
                statements,
                question,
                expected,
                Connection::Reused,
            )
            .await;
        }
    });
}

#[test]
fn a_transaction_that_failed_is_over_for_the_next_session() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let counts = databases.connection_counts();
        let mut session = databases.open(&database.address()).await.unwrap();
        session.query("BEGIN", &[]).await.unwrap();
        let pid = dedicated_pid(&mut session).await;
        session.query("SELECT 1 / 0", &[]).await.err().unwrap();
        session.query("SELECT 1", &[]).await.err().unwrap();
        drop(session);
        wait_until("the connection is idle", async || counts.idle() == 1).await;
        let mut session = databases.open(&database.address()).await.unwrap();
        assert_eq!(dedicated_pid(&mut session).await, pid);
    });
}

#[test]
fn a_session_with_statements_prepared_by_sql_has_its_connection_closed() {
    block_on(async {
        let database = TestDatabase::new().await;
        let prepare = ["PREPARE left_over AS SELECT 1"];
        let question = "SELECT count(*)::text FROM pg_prepared_statements WHERE from_sql";
        check_next(&database, &prepare, question, "0", Connection::Closed).await;
    });
}

#[test]
fn a_session_that_is_dropped_in_a_statement_cancels_it() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let counts = databases.connection_counts();
        let mut session = databases.open(&database.address()).await.unwrap();
        let sleeping = tokio::spawn(async move {
            let _ = session.query("SELECT pg_sleep(600)", &[]).await;
        });
        database.wait_for_waiting(1).await;
        sleeping.abort();
        let took = wait_until("the end of the statement", async || {
            database.waiting().await == 0 && database.backends().await == 1
        })
        .await;
        assert!(took < Duration::from_secs(5), "{took:?}");
        wait_until("the connection is closed", async || {
            (counts.dedicated(), counts.idle()) == (0, 0)
        })
        .await;
    });
}

#[test]
fn a_statement_that_is_dropped_leaves_its_session_usable() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let pid = dedicated_pid(&mut session).await;
        let short = Duration::from_millis(1);
        let sleep = session.query("SELECT pg_sleep(0.1)", &[]);
        timeout(short, sleep).await.err().unwrap();
        assert_eq!(dedicated_pid(&mut session).await, pid);
    });
}

#[test]
fn exclusive_sessions_have_a_dedicated_connection_from_the_start() {
    block_on(async {
        let database = TestDatabase::new().await;
        database.run("CREATE SEQUENCE numbers").await;
        let databases = Databases::<String>::new(Options {
            sharing: Sharing::Exclusive,
            ..Options::default()
        });
        let counts = databases.connection_counts();
        let mut one = databases.open(&database.address()).await.unwrap();
        let mut two = databases.open(&database.address()).await.unwrap();
        assert_eq!((counts.shared(), counts.dedicated()), (0, 2));
        let one_pid = shared_pid(&mut one).await;
        assert_ne!(one_pid, shared_pid(&mut two).await);
        // State that cannot be seen in a statement is that of the session.
        let change =
            "INSERT INTO item SELECT $1 || v.number FROM (SELECT nextval('numbers') AS number) v";
        assert_eq!(one.execute(change, &texts(&["a"])).await.unwrap(), 1);
        two.execute(change, &texts(&["b"])).await.unwrap();
        assert_eq!(text(&mut one, "SELECT currval('numbers')::text").await, "1");
        assert_eq!((counts.shared(), counts.dedicated()), (0, 2));
        assert_eq!(database.backends().await, 2);
    });
}
