//! Statements that the server rolls back because of another transaction.

use crate::support::{TestDatabase, block_on, code, databases, texts};
use pipelined_postgres::Session;
use std::time::{Duration, Instant};

const INSERT: &str = "INSERT INTO item (name) VALUES ($1)";

/// From now on the server refuses the first `count` inserts, each at its end, as Aurora DSQL does, or when it is run. A sequence
/// counts the attempts, whatever is rolled back.
async fn refuse(database: &TestDatabase, count: u32, at_end: bool) {
    let timing = if at_end { "DEFERRED" } else { "IMMEDIATE" };
    let sql = format!(
        "DROP TRIGGER IF EXISTS refuse ON item;
         DROP SEQUENCE IF EXISTS attempts;
         CREATE SEQUENCE attempts;
         CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('attempts') <= {count} THEN
                 RAISE EXCEPTION 'change conflicts with another transaction' USING ERRCODE = '40001';
             END IF;
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON item
             DEFERRABLE INITIALLY {timing} FOR EACH ROW EXECUTE FUNCTION refuse();"
    );
    database.run(&sql).await;
}

async fn attempts(database: &TestDatabase) -> usize {
    database.number("SELECT last_value FROM attempts").await
}

async fn rows(database: &TestDatabase) -> usize {
    database.number("SELECT count(*) FROM item").await
}

async fn insert(session: &mut Session<String>) -> Result<u64, pipelined_postgres::Error> {
    session.execute(INSERT, &texts(&["one"])).await
}

#[test]
fn a_statement_that_is_a_transaction_by_itself_is_tried_again() {
    block_on(async {
        let database = TestDatabase::new().await;
        let mut session = databases().open(&database.address()).await.unwrap();
        for (number, at_end) in [(1, true), (2, false)] {
            refuse(&database, 3, at_end).await;
            assert_eq!(insert(&mut session).await.unwrap(), 1, "{at_end}");
            assert_eq!(attempts(&database).await, 4, "{at_end}");
            assert_eq!(rows(&database).await, number);
        }
    });
}

#[test]
fn a_conflict_that_does_not_end_is_told_after_a_second_at_most() {
    block_on(async {
        let database = TestDatabase::new().await;
        let mut session = databases().open(&database.address()).await.unwrap();
        refuse(&database, 1000, true).await;
        let began = Instant::now();
        assert_eq!(code(insert(&mut session).await), "40001");
        let took = began.elapsed();
        assert_eq!(attempts(&database).await, 9);
        assert_eq!(rows(&database).await, 0);
        // A second of pauses, and nine attempts.
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
}

#[test]
fn callers_at_the_same_time_have_each_their_own_outcome() {
    block_on(async {
        const CALLERS: usize = 20;
        let database = TestDatabase::new().await;
        let shared = databases();
        refuse(&database, 10, true).await;
        let address = database.address();
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (shared, address) = (shared.clone(), address.clone());
                tokio::spawn(async move {
                    let mut session = shared.open(&address).await.unwrap();
                    insert(&mut session).await.unwrap()
                })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), 1);
        }
        assert_eq!(rows(&database).await, CALLERS);
    });
}

/// What came before it in the transaction is rolled back, too, and only its caller knows it.
#[test]
fn a_statement_of_a_transaction_is_not_tried_again() {
    block_on(async {
        let database = TestDatabase::new().await;
        let mut session = databases().open(&database.address()).await.unwrap();
        refuse(&database, 1, false).await;
        session.execute("BEGIN", &[]).await.unwrap();
        assert_eq!(code(insert(&mut session).await), "40001");
        session.execute("ROLLBACK", &[]).await.unwrap();
        assert_eq!(attempts(&database).await, 1);
        assert_eq!(rows(&database).await, 0);
    });
}
