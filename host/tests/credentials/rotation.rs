//! The password of the database changes, in the database and in its file, under 200 requests a second.

use super::replace;
use crate::rolling::load::{Outcome, under_load};
use crate::support::{cluster_with_people, command};
use birthday_tests::service::Service;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;
use test_support::cluster::Cluster;
use test_support::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(20);

/// So many requests end between two steps: what 200 per second are in two seconds.
const REQUESTS: usize = 400;

fn set_password(cluster: &Cluster, password: &str) {
    let sql = format!("ALTER ROLE api PASSWORD '{password}'");
    cluster.run_sql("postgres", &sql);
}

/// What the service was doing when its sessions were opened: at what time the oldest began, in seconds since 1970.
fn oldest_session(cluster: &Cluster) -> f64 {
    let sql = "SELECT coalesce(min(extract(epoch FROM backend_start)), 0) FROM pg_stat_activity WHERE usename = 'api'";
    cluster.run_sql("postgres", sql).parse().unwrap()
}

#[test]
fn a_new_password_fails_no_request_whoever_has_it_first() {
    let cluster = cluster_with_people(&["fsync=off", "password_encryption=scram-sha-256"]);
    cluster.run_sql("people", "CREATE ROLE api LOGIN PASSWORD 'password-0'");
    cluster.run_sql("people", "GRANT ALL ON SCHEMA public TO api");
    cluster.write(
        "pg_hba.conf",
        "host all api all scram-sha-256\nhost all all all trust\n",
    );
    cluster.reload();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "password-0").unwrap();
    let address = cluster.address("people").replace("postgres@", "api@");
    let service = Service::start(command(&[]).args([
        "--variable",
        &format!("database_url={address}"),
        "--variable-file",
        &format!("database_password={}", file.display()),
    ]));
    let ((), Outcome { requests, failed }) = under_load(&service.url, |load| {
        load.wait_for_requests(REQUESTS);
        for (number, database_first) in [(1, true), (2, false), (3, true), (4, false)] {
            let before = oldest_session(&cluster);
            let password = format!("password-{number}");
            match database_first {
                true => set_password(&cluster, &password),
                false => replace(&file, &password),
            }
            // Some time apart.
            load.wait_for_requests(REQUESTS);
            match database_first {
                true => replace(&file, &password),
                false => set_password(&cluster, &password),
            }
            wait_for(PATIENCE, "the new password in use", || {
                service
                    .log()
                    .matches("read again: database_password")
                    .count()
                    == number
            });
            wait_for(PATIENCE, "the end of the sessions of the old one", || {
                oldest_session(&cluster) > before
            });
            load.wait_for_requests(REQUESTS);
        }
    });
    println!("{requests} requests, {} failed", failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
    let log = service.log();
    for number in 0..=4 {
        assert!(!log.contains(&format!("password-{number}")), "{log}");
    }
}
