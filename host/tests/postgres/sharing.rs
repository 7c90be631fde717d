//! How many connections there are: shared and dedicated ones, also where the server takes few.

use super::support::{BORN, PATIENCE, health};
use crate::support::{cluster_with_people, command, get, host_on, put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use std::thread;
use test_support::wait::wait_for;

#[test]
fn connections_are_few_and_pipelined() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    // Makes the table: who waits for that would be taken for stalled.
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let username = new_username();
                    assert_eq!(put(&service, &username, BORN).status, 204);
                    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
                }
            });
        }
    });
    let count = cluster.run_sql(
        "people",
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'birthday-host'",
    );
    let threads = thread::available_parallelism().unwrap().get();
    // A shared one for each thread that had anything to do, and one for group commits; more only where one was stalled.
    assert!(count.parse::<usize>().unwrap() <= 3 * threads, "{count}");
}

#[test]
fn requests_wait_for_a_dedicated_connection() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(
        &cluster,
        &["--threads", "1", "--postgres-sharing", "exclusive"],
    );
    let username = new_username();
    assert_eq!(put(&service, &username, BORN).status, 204);
    for _ in 0..2 {
        thread::scope(|scope| {
            for _ in 0..48 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let answer = get(&service, &format!("/hello/{username}"));
                        assert_eq!(answer.status, 200, "{}", service.log());
                    }
                });
            }
        });
    }
}

#[test]
fn a_server_that_takes_few_connections_is_enough() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let owner = host_on(&cluster, &[]);
    let username = new_username();
    assert_eq!(put(&owner, &username, BORN).status, 204);
    drop(owner);
    cluster.run_sql(
        "people",
        "CREATE ROLE few LOGIN CONNECTION LIMIT 2; GRANT ALL ON people TO few",
    );
    let address = cluster.address("people").replace("postgres@", "few@");
    let variable = format!("database_url={address}");
    for (sharing, threads) in [("pipelined", "4"), ("exclusive", "1")] {
        let arguments = ["--threads", threads, "--postgres-sharing", sharing];
        let service = Service::start(command(&arguments).args(["--variable", &variable]));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let status = get(&service, &format!("/hello/{username}")).status;
                        // Two connections are not enough for sixteen at a time.
                        assert!(status == 200 || (status == 503 && sharing == "exclusive"));
                        if sharing == "pipelined" {
                            assert_eq!(put(&service, &username, BORN).status, 204);
                        }
                    }
                });
            }
        });
        // They are for one after the other.
        let mut in_a_row = 0;
        wait_for(PATIENCE, sharing, || {
            let healthy = health(&service) == 200;
            in_a_row = if healthy { in_a_row + 1 } else { 0 };
            in_a_row == 20
        });
    }
}
