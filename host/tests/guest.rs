//! An application that is not ours finds all of the interfaces that it imports.

use crate::support::{cluster_with_people, get, host, host_of_guest};
use birthday_tests::service::Service;
use std::net::TcpListener;
use tempfile::TempDir;
use test_support::cluster::Cluster;

#[track_caller]
fn check(service: &Service, path: &str, expected: &str) {
    let answer = get(service, path);
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, expected),
        "{path}: {}",
        service.log()
    );
}

#[test]
fn variables_are_those_given() {
    let service = host_of_guest(&["--variable", "greeting=hello = world"]);
    check(&service, "/variables", "hello = world");
}

#[test]
fn key_value_is_whole_in_memory_and_in_a_file() {
    check(&host_of_guest(&[]), "/key-value", "ok");
    let folder = TempDir::new().unwrap();
    let store = format!("sqlite:{}", folder.path().join("guest.db").display());
    check(&host_of_guest(&["--key-value", &store]), "/key-value", "ok");
}

fn cluster() -> Cluster {
    let cluster = cluster_with_people(&["fsync=off"]);
    let tables = "CREATE TABLE counted (a int); CREATE TABLE checked (a int CHECK (a > 0)); \
        CREATE TYPE mood_one AS ENUM ('a'); CREATE TYPE mood_two AS ENUM ('b'); \
        CREATE TYPE mood_three AS ENUM ('c')";
    cluster.run_sql("people", tables);
    cluster
}

#[test]
fn postgres_is_whole_whether_connections_are_shared_or_not() {
    let cluster = cluster();
    let address = format!("database_url={}", cluster.address("people"));
    for sharing in ["pipelined", "exclusive"] {
        let arguments = ["--postgres-sharing", sharing, "--variable", &address];
        let service = host_of_guest(&arguments);
        for _ in 0..3 {
            check(&service, "/postgres", "ok");
            check(&service, "/postgres-errors", "ok");
            check(&service, "/postgres-sessions", "ok");
        }
    }
}

#[test]
fn outgoing_requests_are_sent() {
    let upstream = host(&[]);
    let service = host_of_guest(&["--allow-outbound", &upstream.url]);
    let path = format!("/fetch?{}/health", upstream.url);
    check(&service, &path, "200 15");
}

#[test]
fn outgoing_requests_leave_file_descriptors_to_others() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = silent.local_addr().unwrap().to_string();
    let (variable, rule) = (format!("upstream={upstream}"), format!("http://{upstream}"));
    let service = host_of_guest(&["--variable", &variable, "--allow-outbound", &rule]);
    check(&service, "/fetch-many", "44");
    // Those of the first request are given back, a moment after its answer.
    let is_the_same = |_| get(&service, "/fetch-many").body == "44";
    assert!((0..10).any(is_the_same));
}

#[test]
fn output_of_the_guest_is_logged_and_kept_from_standard_output() {
    let service = host_of_guest(&[]);
    get(&service, "/log");
    service.wait_for_log("guest: one line from the guest request_id=");
    service.wait_for_log("guest: and one to standard output request_id=");
    let log = service.log();
    assert!(!log.contains("stdout: "), "{log}");
}

#[test]
fn types_that_are_nested_too_deeply_are_refused() {
    let cluster = cluster();
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
    let variable = format!("database_url={}", cluster.address("people"));
    let service = host_of_guest(&["--variable", &variable]);
    cluster.run_sql("people", "ALTER TABLE nested ADD field nested_200");
    check(&service, "/postgres-nested", "1");
    cluster.run_sql("people", "ALTER TABLE nested ADD another nested_2000");
    let answer = get(&service, "/postgres-nested");
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("too many types"), "{}", answer.body);
    check(&service, "/postgres-one", "[[DbValue::Int32(1)]]");
}
