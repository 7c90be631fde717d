//! What the kind of a statement does to its session, and what is said of statements that are wrong.

use crate::support::{cluster, counts, databases, run, value};
use pipelined_postgres::Error;

#[test]
fn a_session_is_dedicated_from_its_first_statement_that_leaves_a_trace() {
    let cluster = cluster();
    run(async {
        let databases = databases();
        let open = databases.connection_counts();
        let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
        assert_eq!(value(&mut session, "SELECT 1::bigint").await.unwrap(), 1);
        assert_eq!(counts(&open), [1, 0, 0]);
        session.execute("SET work_mem = '1MB'", &[]).await.unwrap();
        assert_eq!(counts(&open), [1, 1, 0]);
        let work_mem = "SELECT pg_size_bytes(current_setting('work_mem'))";
        assert_eq!(value(&mut session, work_mem).await.unwrap(), 1 << 20);
    });
}

#[test]
fn errors_say_what_was_wrong() {
    let cluster = cluster();
    run(async {
        let databases = databases();
        let bad = databases.open("postgres://h:port/d").await.err().unwrap();
        assert!(matches!(bad, Error::BadAddress(_)), "{bad}");
        let mut session = databases.open(&cluster.address("postgres")).await.unwrap();
        let few = session.query("SELECT $1::int", &[]).await.err().unwrap();
        let expected = "0 parameters were given where the statement has 1";
        assert!(
            matches!(&few, Error::BadParameter(text) if text == expected),
            "{few}"
        );
        let refused = session.query("SELECT 1 / 0", &[]).await.err().unwrap();
        let Error::Database(refused) = refused else {
            panic!("{refused}");
        };
        assert_eq!(refused.code().code(), "22012");
        // The connection is as good as before.
        assert_eq!(value(&mut session, "SELECT 2::bigint").await.unwrap(), 2);
    });
}
