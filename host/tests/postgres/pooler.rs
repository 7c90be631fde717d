//! pgbouncer in transaction mode, which does not follow prepared statements before version 1.21.

use super::support::PATIENCE;
use crate::support::{cluster_with_people, command, get, put};
use birthday_tests::contract::new_username;
use birthday_tests::load::{Load, RATE, under_load};
use birthday_tests::service::Service;
use std::thread;
use std::time::Duration;
use test_support::pooler::Pooler;
use test_support::wait::wait_for;

const HOSTS: usize = 3;
const CALLERS: usize = 8;
const REQUESTS: usize = 50;

/// Several hosts, whose statements have the same names, share few sessions.
#[track_caller]
fn check(arguments: &[&str], is_noticed: bool) {
    let cluster = cluster_with_people(&["fsync=off"]);
    let Some(pooler) = Pooler::start(&cluster, 4) else {
        println!("skipped: install the package pgbouncer to run this");
        return;
    };
    let variable = format!("database_url={}", pooler.address("people"));
    let hosts: Vec<_> = (0..HOSTS)
        .map(|_| Service::start(command(arguments).args(["--variable", &variable])))
        .collect();
    thread::scope(|scope| {
        for number in 0..HOSTS * CALLERS {
            let host = &hosts[number % HOSTS];
            scope.spawn(move || {
                for _ in 0..REQUESTS {
                    let name = new_username();
                    let answer = put(host, &name, "2000-10-01");
                    assert_eq!(answer.status, 204, "{answer:?}: {}", host.log());
                    let answer = get(host, &format!("/hello/{name}"));
                    assert_eq!(answer.status, 200, "{answer:?}: {}", host.log());
                    assert!(answer.body.contains(&name), "{answer:?}");
                }
            });
        }
    });
    let saved = cluster.run_sql("people", "SELECT count(*) FROM people");
    assert_eq!(saved, (HOSTS * CALLERS * REQUESTS).to_string());
    let notices = hosts
        .iter()
        .map(|host| host.log().matches("behind a pooler").count());
    let most = notices.max();
    assert_eq!(most, Some(usize::from(is_noticed)), "it is said once");
}

#[test]
fn a_pooler_is_noticed() {
    check(&[], true);
}

#[test]
fn a_pooler_that_is_told_gets_no_names() {
    check(&["--postgres-statements", "unnamed"], false);
}

/// The pooler takes connections while its server refuses it.
#[test]
fn a_database_that_is_away_behind_a_pooler_is_logged_once() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let Some(pooler) = Pooler::start_with(&cluster, 4, "server_login_retry = 1") else {
        println!("skipped: install the package pgbouncer to run this");
        return;
    };
    let variable = format!("database_url={}", pooler.address("people"));
    let mut command = command(&["--postgres-statements", "unnamed"]);
    command.args(["--request-timeout", "1s", "--variable", &variable]);
    let service = Service::start(&mut command);
    let put_one = || put(&service, &new_username(), "2000-10-01").status;
    assert_eq!(put_one(), 204);
    let allow = |value: &str| {
        let sql = format!("ALTER DATABASE people ALLOW_CONNECTIONS {value}");
        cluster.run_sql("postgres", &sql);
    };
    allow("false");
    cluster.run_sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'people'",
    );
    // The statement that the pooler has when it is refused waits there.
    wait_for(PATIENCE, "the outage", || put_one() == 503);
    for _ in 0..50 {
        assert!(matches!(put_one(), 503 | 504));
    }
    allow("true");
    wait_for(PATIENCE, "the end of the outage", || {
        put_one() == 204 && service.log().contains(": back")
    });
    let log = service.log();
    assert_eq!(log.matches("out of reach").count(), 1, "{log}");
    assert_eq!(log.matches(": back").count(), 1, "{log}");
    assert!(!log.contains("server_login_retry) (FATAL"), "{log}");
}

/// What waits for the pooler is answered when it is back; only what it had taken is lost with it.
#[test]
fn a_pooler_that_is_killed_fails_only_requests_in_flight() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let Some(mut pooler) = Pooler::start(&cluster, 4) else {
        println!("skipped: install the package pgbouncer to run this");
        return;
    };
    let variable = format!("database_url={}", pooler.address("people"));
    let service = Service::start(command(&[]).args(["--variable", &variable]));
    let wait_for_answers = |load: &Load<'_>| {
        let enough = load.good() + 200;
        wait_for(PATIENCE, "good answers", || load.good() >= enough);
    };
    let away = Duration::from_millis(500);
    let ((), outcome) = under_load(&service.url, |load| {
        wait_for_answers(load);
        pooler.kill();
        thread::sleep(away);
        pooler.start_again();
        wait_for_answers(load);
    });
    println!("{outcome}");
    assert!(outcome.gap >= away, "{outcome:#?}");
    // Half of what failed if none waited.
    let most = (away * RATE / 2).as_secs_f64();
    assert!((outcome.failures() as f64) < most, "{outcome:#?}");
    assert_eq!((outcome.lost, outcome.phantoms), (0, 0), "{outcome:#?}");
}
