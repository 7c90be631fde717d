//! Key-value stores over the network, as they fail.

mod dynamodb;
mod fake;
mod people;
mod redis;

use crate::support::{command, get, put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use std::process::Command;
use std::time::{Duration, Instant};
use test_support::wait::wait_for;

const BORN: &str = "2000-10-01";
const PATIENCE: Duration = Duration::from_secs(20);

/// The host with this store, which may take two seconds for each operation: on a busy machine half a second was too short.
fn host_on(store: &str) -> Command {
    let mut command = patient_host_on(store);
    command.args(["--request-timeout", "4s"]);
    command
}

/// The host with this store, which may take as long as it does by default.
fn patient_host_on(store: &str) -> Command {
    command(&["--key-value", store])
}

/// Reads and writes are refused as the contract says.
#[track_caller]
fn check_unavailable(service: &Service) {
    let username = new_username();
    for answer in [
        get(service, "/health"),
        get(service, &format!("/hello/{username}")),
        put(service, &username, BORN),
    ] {
        let said = (answer.status, answer.problem());
        assert_eq!(
            said,
            (503, Some("store-unavailable".to_owned())),
            "{answer:?}, {}",
            service.log()
        );
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
}

/// A store that is silent is given up before the request's time is over.
#[track_caller]
fn check_given_up(service: &Service) {
    let start = Instant::now();
    let answer = get(service, "/hello/bob");
    assert_eq!(
        answer.problem().as_deref(),
        Some("store-unavailable"),
        "{answer:?}"
    );
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
}

/// A write succeeds, and is there.
#[track_caller]
fn check_works(service: &Service) {
    let username = new_username();
    let answer = put(service, &username, BORN);
    assert_eq!(answer.status, 204, "{answer:?}, {}", service.log());
    let answer = get(service, &format!("/hello/{username}"));
    assert_eq!(answer.status, 200, "{answer:?}, {}", service.log());
}

/// Waits until the store is back, for reads and writes, and the log says so; returns the log.
#[track_caller]
fn wait_until_back(service: &Service) -> String {
    wait_for(PATIENCE, "the end of the outage", || {
        get(service, "/health").status == 200 && service.log().contains(": back")
    });
    check_works(service);
    service.log()
}

/// The log has these lines, in this order, and no other; returns it. Lines arrive through a pipe, a little later.
#[track_caller]
fn check_log(service: &Service, lines: &[&str]) -> String {
    wait_for(PATIENCE, "the lines of the log", || {
        service.log().lines().count() >= lines.len()
    });
    let log = service.log();
    let has = |(line, part): (&str, &&str)| line.contains(part);
    let is_right = log.lines().count() == lines.len() && log.lines().zip(lines).all(has);
    assert!(is_right, "{lines:?} were expected: {log}");
    log
}
