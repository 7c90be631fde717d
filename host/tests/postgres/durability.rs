//! An acknowledged write survives the loss of connections.

use super::support::{BORN, SECOND};
use crate::support::{cluster_with_people, get, host_on, put, try_put};
use birthday_tests::contract::new_username;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_lost_connection_costs_no_acknowledged_write_and_no_answer_that_is_wrong() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    let until = Instant::now() + 2 * SECOND;
    let stored = thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut stored = Vec::new();
                    while Instant::now() < until {
                        let username = new_username();
                        let answer = try_put(&service.url, &username, BORN).unwrap();
                        match answer.status {
                            204 => stored.push((username, 200)),
                            503 if answer.body.contains("Nothing was changed") => {
                                stored.push((username, 404));
                            }
                            503 => assert!(answer.body.contains("It is not known"), "{answer:?}"),
                            other => panic!("{other}"),
                        }
                    }
                    stored
                })
            })
            .collect();
        while Instant::now() < until {
            cluster.run_sql(
                "people",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = 'birthday-host'",
            );
            // How often connections are lost.
            thread::sleep(Duration::from_millis(50));
        }
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(stored.len() > 100, "{}", stored.len());
    for (username, status) in stored {
        assert_eq!(
            get(&service, &format!("/hello/{username}")).status,
            status,
            "{username}"
        );
    }
}
