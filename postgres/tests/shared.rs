//! Shared connections: how many there are, and what happens to those that are stalled or given up.

use crate::support::{
    STALLED, TestDatabase, block_on, databases, dedicated_pid, in_another_thread, shared_pid, soon,
    text, texts, try_text, wait_until,
};
use futures_util::future::join_all;
use pipelined_postgres::{Databases, Error, MAX_ANSWER_BYTES, Options};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const PASS: &str = "SELECT passed FROM gate";

/// Starts to read the view `gate` in a session of its own.
async fn start_passing(databases: &Databases<String>, address: &str) -> JoinHandle<String> {
    let mut session = databases.open(address).await.unwrap();
    tokio::spawn(async move { text(&mut session, PASS).await })
}

#[test]
fn a_hundred_concurrent_reads_use_one_connection() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut sessions = Vec::new();
        for _ in 0..100 {
            sessions.push(databases.open(&database.address()).await.unwrap());
        }
        let reads = sessions.iter_mut().map(async |session| {
            let answer = session
                .query("SELECT pid, $1::text FROM me", &texts(&["a"]))
                .await
                .unwrap();
            answer.rows[0].get::<_, String>(0)
        });
        let mut pids = join_all(reads).await;
        pids.dedup();
        assert_eq!(pids.len(), 1);
        let counts = databases.connection_counts();
        assert_eq!(
            (counts.shared(), counts.dedicated(), counts.idle()),
            (1, 0, 0)
        );
        assert_eq!(database.backends().await, 1);
    });
}

#[test]
fn connections_of_others_are_not_used_where_they_are_not_permitted() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let _open = databases.open(&database.address()).await.unwrap();
        let refusing = databases.with_permit(Arc::new(|_| Err("not here".to_owned())));
        let refused = refusing.open(&database.address()).await;
        assert!(matches!(refused, Err(Error::NotPermitted(_))));
        let permitting = refusing.with_permit(Arc::new(|_| Ok(())));
        let _open = permitting.open(&database.address()).await.unwrap();
        assert_eq!(permitting.connection_counts().shared(), 1);
        assert_eq!(databases.connection_counts().shared(), 1);
    });
}

#[test]
fn each_of_many_reads_gets_its_own_answer() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let reads = (0..100).map(async |number: u32| {
            let mut session = databases.open(&database.address()).await.unwrap();
            let parameters = [number.to_string()];
            let answer = session
                .query("SELECT $1::text AS number", &parameters)
                .await
                .unwrap();
            assert_eq!(answer.columns()[0].name(), "number");
            assert_eq!(answer.rows[0].get::<_, String>(0), number.to_string());
        });
        join_all(reads).await;
    });
}

#[test]
fn an_answer_without_rows_has_columns() {
    block_on(async {
        let database = TestDatabase::new().await;
        let mut session = databases().open(&database.address()).await.unwrap();
        let answer = session.query("SELECT name FROM item", &[]).await.unwrap();
        assert!(answer.rows.is_empty());
        assert_eq!(answer.columns()[0].name(), "name");
        assert_eq!(answer.affected, 0);
    });
}

#[test]
fn a_stalled_statement_does_not_stall_others() {
    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        let counts = databases.connection_counts();
        database.close_gate().await;
        let mut passing = Vec::new();
        let mut session = databases.open(&address).await.unwrap();
        for stalled in 1..=3 {
            passing.push(start_passing(&databases, &address).await);
            database.wait_for_waiting(stalled).await;
            sleep(STALLED).await;
            let start = Instant::now();
            shared_pid(&mut session).await;
            assert!(
                start.elapsed() < Duration::from_secs(2),
                "{:?}",
                start.elapsed()
            );
            assert_eq!(counts.shared(), stalled + 1);
        }
        database.open_gate().await;
        for passing in passing {
            soon("an open gate", passing).await.unwrap();
        }
    });
}

#[test]
fn no_more_than_4_connections_are_shared() {
    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        database.close_gate().await;
        let mut passing = Vec::new();
        for stalled in 1..=4 {
            passing.push(start_passing(&databases, &address).await);
            database.wait_for_waiting(stalled).await;
            sleep(STALLED).await;
        }
        for _ in 0..4 {
            passing.push(start_passing(&databases, &address).await);
        }
        sleep(STALLED).await;
        assert_eq!(databases.connection_counts().shared(), 4);
        assert_eq!(database.backends().await, 4);
        assert!(passing.iter().all(|passing| !passing.is_finished()));
        database.open_gate().await;
        for passing in passing {
            soon("an open gate", passing).await.unwrap();
        }
        assert_eq!(database.backends().await, 4);
    });
}

#[test]
fn a_thread_that_gets_no_connection_borrows_one_of_another() {
    block_on(async {
        let database = TestDatabase::new().await;
        let role = format!("{}_few", database.name);
        let create = format!(
            "CREATE ROLE {role} LOGIN CONNECTION LIMIT 1; GRANT SELECT ON me, gate TO {role}"
        );
        database.run(&create).await;
        let address = database.address().replace("postgres@", &format!("{role}@"));
        let databases = databases();
        let mut session = databases.open(&address).await.unwrap();
        let pid = shared_pid(&mut session).await;

        let (others, of_others) = (databases.for_another_thread(), address.clone());
        let other = in_another_thread(move || async move {
            let mut session = others.open(&of_others).await.unwrap();
            let mut pids = Vec::new();
            for _ in 0..10 {
                pids.push(shared_pid(&mut session).await);
            }
            pids
        });
        let pids = soon("the other thread", other).await.unwrap();
        assert!(
            pids.iter().all(|other| *other == pid),
            "{pids:?}, not {pid}"
        );
        assert_eq!(databases.connection_counts().shared(), 1);

        // Its own stalled connection is better than none, too.
        database.close_gate().await;
        let passing = start_passing(&databases, &address).await;
        database.wait_for_waiting(1).await;
        sleep(STALLED).await;
        let behind = tokio::spawn(async move { shared_pid(&mut session).await });
        sleep(STALLED).await;
        assert!(!behind.is_finished());
        database.open_gate().await;
        soon("an open gate", passing).await.unwrap();
        assert_eq!(soon("the statement behind it", behind).await.unwrap(), pid);
        assert_eq!(databases.connection_counts().shared(), 1);
    });
}

#[test]
fn a_statement_that_is_given_up_is_cancelled_and_its_connection_retired() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let counts = databases.connection_counts();
        let mut session = databases.open(&database.address()).await.unwrap();
        let pid = shared_pid(&mut session).await;
        database.close_gate().await;
        timeout(STALLED, session.query(PASS, &[]))
            .await
            .err()
            .unwrap();
        assert_eq!(database.waiting().await, 1);
        assert_ne!(shared_pid(&mut session).await, pid);
        let took = wait_until("the end of the statement", async || {
            database.waiting().await == 0
        })
        .await;
        assert!(took < Duration::from_secs(5), "{took:?}");
        wait_until("the end of the connection", async || {
            assert_ne!(shared_pid(&mut session).await, pid);
            counts.shared() == 1 && database.backends().await == 1
        })
        .await;
    });
}

#[test]
fn a_short_statement_that_is_given_up_leaves_its_connection() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let pid = shared_pid(&mut session).await;
        for _ in 0..20 {
            let _ = timeout(Duration::ZERO, session.query("SELECT name FROM item", &[])).await;
            assert_eq!(shared_pid(&mut session).await, pid);
        }
        assert_eq!(databases.connection_counts().shared(), 1);
    });
}

#[test]
fn a_statement_is_not_cancelled_because_another_one_is_given_up() {
    block_on(async {
        let database = TestDatabase::new().await;
        let (databases, address) = (databases(), database.address());
        database.close_gate().await;
        let waited_for = start_passing(&databases, &address).await;
        let given_up = start_passing(&databases, &address).await;
        database.wait_for_waiting(1).await;
        given_up.abort();
        // Longer than a statement that was given up may go on.
        sleep(Duration::from_millis(1500)).await;
        assert_eq!(database.waiting().await, 1);
        assert!(!waited_for.is_finished());
        database.open_gate().await;
        soon("an open gate", waited_for).await.unwrap();
    });
}

#[test]
fn an_answer_that_is_too_large_is_an_error_and_the_next_statement_works() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let rows = MAX_ANSWER_BYTES / 1_000_000 + 8;
        let sql = format!("SELECT repeat('x', 1000000) FROM generate_series(1, {rows})");
        let fits = "SELECT repeat('x', 1000000) FROM generate_series(1, 30)";
        for is_dedicated in [false, true] {
            if is_dedicated {
                dedicated_pid(&mut session).await;
            }
            for _ in 0..2 {
                let result = session.query(&sql, &[]).await;
                assert!(matches!(result, Err(Error::AnswerTooLarge)));
                shared_pid(&mut session).await;
            }
            let answer = session.query(fits, &[]).await.unwrap();
            assert_eq!(answer.rows.len(), 30);
            // Rows that are only counted are not held.
            let count = session.execute(&sql, &[]).await.unwrap();
            assert_eq!(count, rows as u64);
        }
        assert_eq!(databases.connection_counts().dedicated(), 1);
    });
}

#[test]
fn all_answers_together_are_bounded() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = Databases::<String>::new(Options {
            answer_memory: 1_000_000,
            ..Options::default()
        });
        let another_thread = databases.for_another_thread();
        let mut session = databases.open(&database.address()).await.unwrap();
        let mut other = another_thread.open(&database.address()).await.unwrap();
        let large = "SELECT repeat('x', 600000)";
        let answer = session.query(large, &[]).await.unwrap();
        let refused = other.query(large, &[]).await;
        assert!(matches!(refused, Err(Error::TooManyAnswers)));
        // Small ones are not counted.
        let small = other.query("SELECT repeat('x', 60000)", &[]).await;
        assert_eq!(small.unwrap().rows.len(), 1);
        drop(answer);
        other.query(large, &[]).await.unwrap();
    });
}

#[test]
fn a_statement_is_prepared_again_after_its_table_has_changed() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let select = "SELECT * FROM item";
        let insert = "INSERT INTO item (name) VALUES ($1) RETURNING *";
        let a = texts(&["a"]);
        for is_dedicated in [false, true] {
            if is_dedicated {
                dedicated_pid(&mut session).await;
            }
            let pid = shared_pid(&mut session).await;
            let before = session.query(select, &[]).await.unwrap().columns().len();
            session.query(insert, &a).await.unwrap();
            database
                .run(&format!(
                    "ALTER TABLE item ADD COLUMN added_{is_dedicated} text"
                ))
                .await;
            let after = session.query(select, &[]).await.unwrap();
            assert_eq!(after.columns().len(), before + 1);
            let inserted = session.query(insert, &a).await.unwrap();
            assert_eq!(
                (inserted.columns().len(), inserted.rows.len()),
                (before + 1, 1)
            );
            assert_eq!(shared_pid(&mut session).await, pid);
        }
        assert_eq!(database.number("SELECT count(*) FROM item").await, 4);
    });
}

#[test]
fn a_statement_is_prepared_again_after_the_type_of_its_parameter_has_changed() {
    block_on(async {
        let database = TestDatabase::new().await;
        database.run("CREATE TABLE typed (value integer)").await;
        let databases = databases();
        let mut sessions = Vec::new();
        for _ in 0..8 {
            sessions.push(databases.open(&database.address()).await.unwrap());
        }
        dedicated_pid(&mut sessions[0]).await;
        let (insert, value) = ("INSERT INTO typed VALUES ($1)", texts(&["a"]));
        let mut insert_all = async || {
            let inserts = sessions.iter_mut().map(|one| one.execute(insert, &value));
            join_all(inserts).await
        };
        for result in insert_all().await {
            assert!(matches!(result, Err(Error::BadParameter(_))), "{result:?}");
        }
        database
            .run("ALTER TABLE typed ALTER value TYPE text")
            .await;
        for _ in 0..3 {
            for result in insert_all().await {
                assert_eq!(result.unwrap(), 1);
            }
        }
        let count = "SELECT count(*) FROM typed WHERE value = 'a'";
        assert_eq!(database.number(count).await, 24);
    });
}

#[test]
fn a_statement_in_a_transaction_whose_table_has_changed_fails_once() {
    block_on(async {
        let database = TestDatabase::new().await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let select = "SELECT coalesce(max(name), '') FROM item";
        dedicated_pid(&mut session).await;
        session.query("SELECT * FROM item", &[]).await.unwrap();
        database.run("ALTER TABLE item ADD COLUMN added text").await;
        session.query("BEGIN", &[]).await.unwrap();
        session
            .query("SELECT * FROM item", &[])
            .await
            .err()
            .unwrap();
        session.query("ROLLBACK", &[]).await.unwrap();
        try_text(&mut session, select).await.unwrap();
        let answer = session.query("SELECT * FROM item", &[]).await.unwrap();
        assert_eq!(answer.columns().len(), 3);
    });
}
