//! The interface: every value, error and session; its bounds.

use crate::composition::{Composition, cluster};
use std::time::{Duration, Instant};
use test_support::wait::wait_for;

/// The time that the adapter gives a statement, and a little more, of which the client of these tests waits for 30 s.
const STATEMENT_TIME: std::ops::Range<Duration> = Duration::from_secs(20)..Duration::from_secs(25);

pub fn is_whole(composition: &Composition) {
    let cluster = cluster(&[]);
    let address = cluster.address("people");
    let application = composition.serve(&[]);
    for _ in 0..3 {
        for path in ["/postgres", "/postgres-errors", "/postgres-sessions"] {
            application.check(path, &address, "ok");
        }
    }
}

pub fn types_are_bounded(composition: &Composition) {
    let cluster = cluster(&[]);
    let address = cluster.address("people");
    let types: String = (1..=2000)
        .map(|depth| {
            format!(
                "CREATE TYPE nested_{depth} AS (field nested_{}); ",
                depth - 1
            )
        })
        .collect();
    let sql = format!("CREATE TYPE nested_0 AS (field int); {types} CREATE TABLE nested ()");
    cluster.run_sql("people", &sql);
    let application = composition.serve(&[]);
    cluster.run_sql("people", "ALTER TABLE nested ADD field nested_200");
    application.check("/postgres-nested", &address, "1");
    cluster.run_sql("people", "ALTER TABLE nested ADD another nested_2000");
    application.check_failed("/postgres-nested", &address, "too many types");
    application.check("/postgres-one", &address, "[[DbValue::Int32(1)]]");
}

pub fn open_connections_are_bounded(composition: &Composition) {
    let cluster = cluster(&[]);
    let address = cluster.address("people");
    let application = composition.serve(&[]);
    for _ in 0..3 {
        application.check("/postgres-many", &address, "16");
    }
    application.check("/postgres-one", &address, "[[DbValue::Int32(1)]]");
}

pub fn a_statement_without_end_is_given_up_and_cancelled(composition: &Composition) {
    let cluster = cluster(&[]);
    let view = "CREATE VIEW slow AS SELECT pg_sleep(3600)::text AS nothing";
    cluster.run_sql("people", view);
    let address = cluster.address("people");
    let application = composition.serve(&[]);
    let start = Instant::now();
    application.check_failed("/postgres-sleep", &address, "no answer within 20s");
    let took = start.elapsed();
    assert!(STATEMENT_TIME.contains(&took), "{took:?}");
    wait_for(Duration::from_secs(5), "the cancellation", || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FROM slow%' \
            AND pid <> pg_backend_pid()";
        cluster.run_sql("people", running) == "0"
    });
    application.check("/postgres-one", &address, "[[DbValue::Int32(1)]]");
}

pub fn addresses_that_cannot_be_are_bad_parameters(composition: &Composition) {
    let application = composition.serve(&[]);
    for address in [
        "nothing",
        "postgres://",
        "postgres://127.0.0.1/people",
        "postgres://u@h:port/d",
        "postgres://u@h/d?sslmode=sometimes",
        "postgres://u@h/d?no_such_parameter=1",
        "postgres://u@/d?host=/run/postgresql",
    ] {
        application.check_failed("/postgres-connect", address, "Error::BadParameter");
    }
}

pub fn a_connection_that_is_not_permitted_says_so(composition: &Composition) {
    let application = composition.serve_without_network();
    for host in ["127.0.0.1", "[::1]"] {
        let address = format!("postgres://u@{host}/d");
        // The words by which the component tells a wrong setting from an outage.
        application.check_failed("/postgres-connect", &address, "is not permitted");
    }
    application.check_failed(
        "/postgres-connect",
        "postgres://u@localhost/d",
        "perhaps the runtime does not permit it",
    );
}
