//! pgbouncer in transaction mode, which does not follow prepared statements before version 1.21.

use crate::support::{cluster_with_people, command, get, put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use std::thread;
use test_support::pooler::Pooler;

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
