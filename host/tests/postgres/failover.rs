//! An address with several hosts.

use super::support::{BORN, PATIENCE};
use crate::support::{cluster_with_people, command, put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use test_support::cluster::Cluster;
use test_support::machine::free_port;
use test_support::wait::wait_for;

#[test]
fn of_several_hosts_the_one_that_can_be_written_is_used() {
    let (one, two) = (
        cluster_with_people(&["fsync=off"]),
        cluster_with_people(&["fsync=off"]),
    );
    let dead = free_port();
    two.run_sql(
        "people",
        "CREATE TABLE people (username text PRIMARY KEY, date_of_birth date NOT NULL)",
    );
    let variable = format!(
        "database_url=postgres://postgres@127.0.0.1:{dead},127.0.0.1:{},127.0.0.1:{}/people\
         ?target_session_attrs=read-write",
        one.port, two.port
    );
    let service = Service::start(&mut command(&["--variable", &variable]));
    let username = new_username();
    assert_eq!(put(&service, &username, BORN).status, 204);
    let people = |cluster: &Cluster| cluster.run_sql("people", "SELECT count(*) FROM people");
    assert_eq!(people(&one), "1");
    // The primary becomes read-only, without any connection being closed.
    one.run_sql(
        "postgres",
        "ALTER SYSTEM SET default_transaction_read_only = on",
    );
    one.reload();
    wait_for(PATIENCE, "writing to the other", || {
        assert_eq!(put(&service, &new_username(), BORN).status, 204);
        people(&two) != "0"
    });
    let (before_one, before_two) = (people(&one), people(&two));
    for _ in 0..10 {
        assert_eq!(put(&service, &new_username(), BORN).status, 204);
    }
    assert_eq!(people(&one), before_one);
    let number = |text: &str| text.parse::<u64>().unwrap();
    assert_eq!(number(&people(&two)), number(&before_two) + 10);
}
