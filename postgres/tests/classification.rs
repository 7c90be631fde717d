//! Which connection a statement goes over, and what becomes of one that is wrong.

use crate::support::{
    TestDatabase, block_on, code, databases, dedicated_pid, shared_pid, text, texts, wait_until,
};
use pipelined_postgres::{Databases, Error, Options};

#[test]
fn a_session_is_shared_until_a_statement_needs_a_dedicated_connection() {
    block_on(async {
        let database = TestDatabase::new().await;
        database
            .run("CREATE FUNCTION own() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
            .await;
        let databases = databases();
        let counts = databases.connection_counts();
        for (sql, dedicated) in [
            ("SELECT count(*), max(name) FROM item WHERE name = 'set'", 0),
            ("SELECT name FROM item FOR UPDATE", 0),
            ("VALUES (1)", 0),
            ("INSERT INTO item VALUES ('a', 1)", 0),
            ("UPDATE item SET number = 2", 0),
            ("DELETE FROM item", 0),
            ("CREATE TABLE IF NOT EXISTS another (name text)", 0),
            ("SET work_mem = '1MB'", 1),
            ("SELECT set_config('work_mem', '1MB', false)", 1),
            ("SELECT own()", 1),
            ("BEGIN", 1),
            ("LISTEN channel", 1),
            ("CREATE TEMP TABLE of_session (name text)", 1),
            ("SELECT name INTO TEMP of_session FROM item", 1),
            ("SHOW work_mem", 1),
        ] {
            let mut session = databases.open(&database.address()).await.unwrap();
            session.execute(sql, &[]).await.unwrap();
            assert_eq!(
                (counts.shared(), counts.dedicated()),
                (1, dedicated),
                "{sql}"
            );
            drop(session);
            wait_until("the end of the session", async || counts.dedicated() == 0).await;
        }
    });
}

#[test]
fn a_session_keeps_its_dedicated_connection_and_its_state() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let mut other = databases.open(&database.address()).await.unwrap();
        let shared = shared_pid(&mut session).await;
        session.execute("BEGIN", &[]).await.unwrap();
        let dedicated = dedicated_pid(&mut session).await;
        assert_ne!(dedicated, shared);
        let insert = "INSERT INTO item VALUES ($1)";
        session.execute(insert, &texts(&["a"])).await.unwrap();
        // What could be shared goes over it, too.
        assert_eq!(shared_pid(&mut session).await, dedicated);
        assert_eq!(shared_pid(&mut other).await, shared);
        let count = "SELECT count(*)::text FROM item";
        assert_eq!(text(&mut session, count).await, "1");
        assert_eq!(text(&mut other, count).await, "0");
        session.execute("COMMIT", &[]).await.unwrap();
        assert_eq!(text(&mut other, count).await, "1");
        assert_eq!(shared_pid(&mut session).await, dedicated);
    });
}

#[test]
fn a_statement_with_bad_parameters_is_not_run() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        for is_dedicated in [false, true] {
            let mut session = databases.open(&database.address()).await.unwrap();
            if is_dedicated {
                dedicated_pid(&mut session).await;
            }
            let pid = shared_pid(&mut session).await;
            for (sql, parameters) in [
                ("SELECT $1::text", &[][..]),
                ("SELECT 1", &["a"]),
                ("SELECT $1::text, $2::text", &["a", "b", "c"]),
                ("INSERT INTO item (name) VALUES ($1)", &[]),
                ("INSERT INTO item (name) VALUES ('a')", &["a"]),
                // A text is not an integer.
                ("SELECT $1::integer", &["1"]),
                ("INSERT INTO item (number) VALUES ($1)", &["1"]),
            ] {
                let result = session.execute(sql, &texts(parameters)).await;
                assert!(
                    matches!(result, Err(Error::BadParameter(_))),
                    "{sql}: {result:?}"
                );
            }
            assert_eq!(shared_pid(&mut session).await, pid);
        }
        assert_eq!(database.number("SELECT count(*) FROM item").await, 0);
    });
}

#[test]
fn parameters_are_of_the_callers_type() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = Databases::<i32>::new(Options::default());
        let mut session = databases.open(&database.address()).await.unwrap();
        let insert = "INSERT INTO item (number) VALUES ($1)";
        assert_eq!(session.execute(insert, &[7]).await.unwrap(), 1);
        let select = "SELECT number FROM item WHERE number = $1";
        let answer = session.query(select, &[7]).await.unwrap();
        assert_eq!(answer.rows[0].get::<_, i32>(0), 7);
        assert_eq!(answer.affected, 1);
        let result = session
            .execute("INSERT INTO item (name) VALUES ($1)", &[7])
            .await;
        assert!(matches!(result, Err(Error::BadParameter(_))), "{result:?}");
    });
}

#[test]
fn an_error_of_the_server_has_its_code() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        for is_dedicated in [false, true] {
            let mut session = databases.open(&database.address()).await.unwrap();
            if is_dedicated {
                dedicated_pid(&mut session).await;
            }
            let pid = shared_pid(&mut session).await;
            for (sql, expected) in [
                ("SELECT name FROM nothing", "42P01"),
                ("SELECT 1 / 0", "22012"),
                ("SELECT FROM WHERE", "42601"),
                ("INSERT INTO item VALUES ('refused')", "23514"),
            ] {
                assert_eq!(code(session.query(sql, &[]).await), expected, "{sql}");
            }
            assert_eq!(shared_pid(&mut session).await, pid);
        }
    });
}

#[test]
fn an_address_that_is_none_is_refused() {
    block_on(async {
        for address in [
            "",
            "nonsense",
            "postgres://",
            "postgres://h:port/d",
            "http://h/d",
        ] {
            let opened = databases().open(address).await;
            assert!(matches!(opened, Err(Error::BadAddress(_))), "{address}");
        }
    });
}

#[test]
fn one_thread_has_16_databases_at_a_time() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let address = |number: usize| format!("{}?application_name=a{number}", database.address());
        let mut sessions = Vec::new();
        for number in 0..16 {
            sessions.push(databases.open(&address(number)).await.unwrap());
        }
        let refused = databases.open(&address(16)).await;
        assert!(matches!(refused, Err(Error::NotRun(_))));
        databases.open(&address(3)).await.unwrap();
        // A database that no session uses is closed for another.
        drop(sessions.pop());
        databases.open(&address(16)).await.unwrap();
        wait_until("one is closed", async || {
            databases.connection_counts().shared() == 16
        })
        .await;
    });
}
