//! The database is down, crashes, restarts, or never answers.

use super::support::{BORN, PATIENCE, SECOND, check_unavailable, health};
use crate::support::{cluster_with_people, command, host_on, put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use test_support::wait::wait_for;

#[test]
fn a_database_that_is_down_at_start_is_waited_for_and_logged_once() {
    let mut cluster = cluster_with_people(&["fsync=off"]);
    cluster.shut_down();
    let service = host_on(&cluster, &[]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    check_unavailable(&service);
                    let answer = put(&service, &new_username(), BORN);
                    assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
                }
            });
        }
    });
    cluster.start_server();
    let took = wait_for(PATIENCE, "recovery", || health(&service) == 200);
    assert!(took < SECOND, "{took:?} after the database was back");
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    let log = service.wait_for_log(": back");
    assert_eq!(log.matches("out of reach").count(), 1, "{log}");
    assert_eq!(log.matches(": back").count(), 1, "{log}");
    assert_eq!(log.lines().count(), 2, "{log}");
}

#[test]
fn a_crash_under_load_is_503_at_worst_and_over_within_a_second() {
    let mut cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    let until = Instant::now() + 3 * SECOND;
    let stored = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while Instant::now() < until {
                        let start = Instant::now();
                        let status = put(&service, &new_username(), BORN).status;
                        stored.fetch_add(usize::from(status == 204), Ordering::Relaxed);
                        answers.push((status, start.elapsed()));
                    }
                    answers
                })
            })
            .collect();
        wait_for(PATIENCE, "load", || stored.load(Ordering::Relaxed) > 100);
        cluster.crash();
        // How long the server is away.
        thread::sleep(SECOND / 2);
        cluster.start_server();
        let took = wait_for(PATIENCE, "recovery", || health(&service) == 200);
        assert!(took < SECOND, "{took:?} after the database was back");
        let answers: Vec<_> = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect();
        assert!(answers.iter().any(|(status, _)| *status == 503));
        for (status, took) in answers {
            assert!(matches!(status, 204 | 503), "{status}");
            assert!(took < 5 * SECOND, "{took:?}");
        }
    });
    let log = service.log();
    assert!(log.matches("out of reach").count() <= 1, "{log}");
    assert!(log.lines().count() <= 2, "{log}");
}

#[test]
fn a_restart_between_requests_is_not_noticed() {
    let mut cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    for _ in 0..3 {
        // Enough to have used every thread's connection and several instances.
        for _ in 0..10 {
            assert_eq!(put(&service, &new_username(), BORN).status, 204);
        }
        cluster.shut_down();
        cluster.start_server();
    }
    assert_eq!(service.log(), "");
}

#[test]
fn a_server_that_accepts_but_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let variable = format!("database_url=postgres://u@127.0.0.1:{port}/db");
    let service = Service::start(&mut command(&["--variable", &variable]));
    let start = Instant::now();
    check_unavailable(&service);
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}
