//! A slow, blocked or abandoned statement costs other requests nothing.

use super::support::{BORN, PATIENCE, SECOND, SLEEPS, wait_for_session};
use crate::support::{cluster_with_people, command, get, host_of_guest, host_on, operated_by, put};
use birthday_tests::contract::new_username;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use test_support::wait::wait_for;

#[test]
fn a_slow_statement_does_not_stall_others() {
    let cluster = cluster_with_people(&["fsync=off"]);
    cluster.run_sql(
        "people",
        "CREATE VIEW slow AS SELECT pg_sleep(3)::text AS nothing",
    );
    let variable = format!("database_url={}", cluster.address("people"));
    let service = host_of_guest(&["--variable", &variable, "--request-timeout", "2s"]);
    assert_eq!(get(&service, "/postgres-one").status, 200);
    thread::scope(|scope| {
        // On every thread, and cut off before they end.
        let slow: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| get(&service, "/postgres-sleep").status))
            .collect();
        wait_for_session(&cluster, SLEEPS);
        // A connection counts as stalled after 50 ms; statements that come before that wait behind the slow one.
        thread::sleep(Duration::from_millis(200));
        let until = Instant::now() + 3 * SECOND;
        while Instant::now() < until {
            let start = Instant::now();
            assert_eq!(get(&service, "/postgres-one").status, 200);
            let took = start.elapsed();
            assert!(took < SECOND / 2, "{took:?}");
            // A pause between requests: they are not meant as load.
            thread::sleep(Duration::from_millis(20));
        }
        for slow in slow {
            assert_eq!(slow.join().unwrap(), 504);
        }
    });
}

#[test]
fn a_locked_table_does_not_pile_up_connections() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &["--request-timeout", "300ms"]);
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    let connections = || {
        let count =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'birthday-host'";
        cluster.run_sql("postgres", count).parse::<usize>().unwrap()
    };
    let until = Instant::now() + 6 * SECOND;
    let most = thread::scope(|scope| {
        scope.spawn(|| {
            let lock = "BEGIN; LOCK TABLE people; SELECT pg_sleep(6)";
            cluster.run_sql("people", lock);
        });
        for _ in 0..16 {
            scope.spawn(|| {
                while Instant::now() < until {
                    put(&service, &new_username(), BORN);
                }
            });
        }
        let mut most = 0;
        while Instant::now() < until {
            most = most.max(connections());
            // How often the connections are counted.
            thread::sleep(SECOND / 10);
        }
        most
    });
    let threads = thread::available_parallelism().unwrap().get();
    // Four for each thread, as many that are being given up, and two for group commits.
    assert!(most <= (2 * 4 + 2) * threads, "{most} connections");
    wait_for(PATIENCE, "the end of the lock", || {
        put(&service, &new_username(), BORN).status == 204 && connections() <= (4 + 2) * threads
    });
}

#[test]
fn a_client_that_leaves_does_not_fail_the_requests_of_others() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let variable = format!("database_url={}", cluster.address("people"));
    let host = operated_by(command(&["--threads", "1", "--variable", &variable]));
    let service = &host.service;
    assert_eq!(put(service, &new_username(), BORN).status, 204);
    let wait_for_requests = |count: f64| {
        wait_for(PATIENCE, "requests in flight", || {
            host.metric("http_server_active_requests") == count
        });
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let lock = "BEGIN; LOCK TABLE people; SELECT pg_sleep(4)";
            cluster.run_sql("people", lock);
        });
        wait_for_session(&cluster, SLEEPS);
        let waiting = [(); 3].map(|()| scope.spawn(|| put(service, &new_username(), BORN)));
        wait_for_requests(3.0);
        let address = service.url.trim_start_matches("http://");
        let mut client = TcpStream::connect(address).unwrap();
        let body = format!(r#"{{"dateOfBirth":"{BORN}"}}"#);
        let length = body.len();
        let name = new_username();
        let request = format!(
            "PUT /hello/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        client.write_all(request.as_bytes()).unwrap();
        wait_for_requests(4.0);
        drop(client);
        for waiting in waiting {
            assert_eq!(waiting.join().unwrap().status, 204, "{}", service.log());
        }
    });
}
