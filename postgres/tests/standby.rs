//! Servers that become read-only under an address that asks for one that can be written.

use crate::support::{
    Observer, TestDatabase, block_on, code, databases, own_cluster, shared_pid, texts, wait_until,
};
use futures_util::future::join_all;
use pipelined_postgres::Error;

const INSERT: &str = "INSERT INTO item (name) VALUES ($1)";

#[test]
fn a_primary_that_becomes_read_only_is_left_for_another_host() {
    block_on(async {
        let (one, two) = (own_cluster(), own_cluster());
        let address = format!(
            "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
            one.port, two.port
        );
        let databases = databases();
        let mut sessions = Vec::new();
        for _ in 0..10 {
            sessions.push(databases.open(&address).await.unwrap());
        }
        let name = texts(&["a"]);
        let mut insert_all = async || {
            let changes = sessions
                .iter_mut()
                .map(|session| session.execute(INSERT, &name));
            for result in join_all(changes).await {
                assert_eq!(result.unwrap(), 1);
            }
        };
        insert_all().await;
        let counts = databases.connection_counts();
        wait_until("a connection for groups", async || counts.idle() == 1).await;
        let of_one = Observer::connect(&one.address("postgres")).await;
        let of_two = Observer::connect(&two.address("postgres")).await;
        let count = "SELECT count(*) FROM item";
        assert_eq!(of_one.number(count).await, 10);

        // No connection is closed: those that are open become read-only.
        one.run_sql(
            "postgres",
            "ALTER SYSTEM SET default_transaction_read_only = on",
        );
        one.reload();
        wait_until("it is read-only", async || {
            of_one.text("SHOW transaction_read_only").await == "on"
        })
        .await;
        let before = of_one.number(count).await;
        insert_all().await;
        insert_all().await;
        // A server process may read the new settings a little later.
        let (after, others) = (of_one.number(count).await, of_two.number(count).await);
        assert_eq!(after + others, before + 20);
        wait_until("all go to the other", async || {
            let before = of_one.number(count).await;
            insert_all().await;
            of_one.number(count).await == before
        })
        .await;
    });
}

/// Has the server answer every insert of the row `moved` as a standby would.
async fn refuse_as_standby(database: &TestDatabase) {
    database
        .run(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN RAISE EXCEPTION 'cannot execute INSERT' USING ERRCODE = '25006'; END$$;
             CREATE TRIGGER refuse BEFORE INSERT ON item FOR EACH ROW
             WHEN (NEW.name = 'moved') EXECUTE FUNCTION refuse()",
        )
        .await;
}

#[test]
fn a_server_that_stays_read_only_is_tried_twice_and_the_statement_not_run() {
    block_on(async {
        let database = TestDatabase::new().await;
        refuse_as_standby(&database).await;
        let address = format!("{}?target_session_attrs=read-write", database.address());
        let databases = databases();
        let mut session = databases.open(&address).await.unwrap();
        let pid = shared_pid(&mut session).await;
        let result = session.execute(INSERT, &texts(&["moved"])).await;
        assert!(matches!(result, Err(Error::NotRun(_))), "{result:?}");
        // The connection is retired, and so is the one of the second attempt.
        assert_ne!(shared_pid(&mut session).await, pid);
        wait_until("their end", async || database.backends().await == 1).await;
        assert_eq!(session.execute(INSERT, &texts(&["a"])).await.unwrap(), 1);
        assert_eq!(database.number("SELECT count(*) FROM item").await, 1);
    });
}

#[test]
fn an_address_that_asks_for_any_server_gets_the_error_of_a_standby() {
    block_on(async {
        let database = TestDatabase::new().await;
        refuse_as_standby(&database).await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let pid = shared_pid(&mut session).await;
        let result = session.execute(INSERT, &texts(&["moved"])).await;
        assert_eq!(code(result), "25006");
        assert_eq!(shared_pid(&mut session).await, pid);
    });
}

#[test]
fn a_session_that_began_read_only_is_replaced_when_new_ones_may_write() {
    block_on(async {
        let database = TestDatabase::new().await;
        let set = async |value: &str| {
            let name = &database.name;
            let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
            database.run(&sql).await;
        };
        set("on").await;
        let databases = databases();
        let mut session = databases.open(&database.address()).await.unwrap();
        let name = texts(&["a"]);
        assert_eq!(code(session.execute(INSERT, &name).await), "25006");
        set("off").await;
        wait_until("it may write", async || {
            session.execute(INSERT, &name).await.is_ok()
        })
        .await;
        // While it is read-only, it is not connected to with each statement.
        set("on").await;
        database.terminate().await;
        let mut pids = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let result = session.execute(INSERT, &name).await;
            assert!(result.is_err());
            pids.insert(shared_pid(&mut session).await);
        }
        assert!(pids.len() <= 3, "{pids:?}");
    });
}
