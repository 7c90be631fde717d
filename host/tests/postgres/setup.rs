//! What the database needs beforehand: the table, a role and its password.

use super::support::{BORN, check_unavailable, health};
use crate::support::{cluster_with_people, command, get, host_on, put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use std::thread;

#[test]
fn the_table_is_made_once_however_many_ask_first() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert_eq!(put(&service, &new_username(), BORN).status, 204));
        }
    });
    let refused = "INSERT INTO people VALUES ('b0b', '2000-01-01')";
    let checks = cluster.run_sql(
        "people",
        &format!("DO $$ BEGIN {refused}; EXCEPTION WHEN check_violation THEN NULL; END $$; SELECT count(*) FROM people"),
    );
    assert_eq!(checks, "32");
    assert_eq!(service.log(), "");
}

#[test]
fn a_role_that_may_only_use_the_table_is_enough() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let owner = host_on(&cluster, &[]);
    assert_eq!(put(&owner, &new_username(), BORN).status, 204);
    cluster.run_sql(
        "people",
        "CREATE ROLE api LOGIN; GRANT SELECT, INSERT, UPDATE ON people TO api; CREATE ROLE reader LOGIN",
    );
    let host_as = |role: &str| {
        let address = cluster
            .address("people")
            .replace("postgres@", &format!("{role}@"));
        let variable = format!("database_url={address}");
        Service::start(&mut command(&["--variable", &variable]))
    };
    let username = new_username();
    let service = host_as("api");
    assert_eq!(put(&service, &username, BORN).status, 204);
    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
    // One that may not: said in the log, and not to the caller.
    let service = host_as("reader");
    let answer = put(&service, &username, BORN);
    assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
    assert!(!answer.body.contains("permission"));
    service.wait_for_log("permission denied for table people (ERROR 42501)");
}

#[test]
fn a_date_by_another_hand_is_no_outage() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    let username = new_username();
    assert_eq!(put(&service, &username, BORN).status, 204);
    for date in ["infinity", "20000-01-01"] {
        cluster.run_sql(
            "people",
            &format!("UPDATE people SET date_of_birth = '{date}'"),
        );
        let answer = get(&service, &format!("/hello/{username}"));
        assert_eq!(answer.status, 500, "{date}: {answer:?}");
        assert_eq!(answer.problem().as_deref(), Some("internal"));
        assert_eq!(answer.header("retry-after"), None);
    }
}

#[test]
fn a_password_may_have_any_characters() {
    let cluster = cluster_with_people(&["fsync=off", "password_encryption=scram-sha-256"]);
    let password = "p@ss/w:o?r%d#[ü]&=";
    cluster.run_sql(
        "people",
        &format!("CREATE ROLE api LOGIN SUPERUSER PASSWORD '{password}'"),
    );
    cluster.write(
        "pg_hba.conf",
        "host all api all scram-sha-256\nhost all all all trust\n",
    );
    cluster.reload();
    let address = cluster.address("people").replace("postgres@", "api@");
    let host_with = |password: &str| {
        let mut command = command(&["--variable", &format!("database_url={address}")]);
        Service::start(command.env("SPIN_VARIABLE_DATABASE_PASSWORD", password))
    };
    assert_eq!(health(&host_with(password)), 200);
    let service = host_with("wrong&secret");
    check_unavailable(&service);
    let log = service.wait_for_log("password authentication failed");
    assert!(!log.contains("secret"), "{log}");
}
