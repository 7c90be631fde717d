//! What the tests of the database share.

use crate::support::get;
use birthday_tests::service::Service;
use std::time::Duration;
use test_support::cluster::Cluster;
use test_support::wait::wait_for;

pub const BORN: &str = "2000-10-01";
pub const SECOND: Duration = Duration::from_secs(1);
/// More than any test waits for a state that has to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn health(service: &Service) -> u16 {
    get(service, "/health").status
}

#[track_caller]
pub fn check_unavailable(service: &Service) {
    let answer = get(service, "/health");
    assert_eq!(
        (answer.status, answer.problem().as_deref()),
        (503, Some("store-unavailable"))
    );
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

/// Waits until the server runs a session that `condition` is true of, in terms of `pg_stat_activity`.
#[track_caller]
pub fn wait_for_session(cluster: &Cluster, condition: &str) {
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {condition}");
    wait_for(PATIENCE, condition, || {
        cluster.run_sql("postgres", &count) != "0"
    });
}

/// A session that holds a lock sleeps then, which can be waited for.
pub const SLEEPS: &str = "wait_event = 'PgSleep'";
