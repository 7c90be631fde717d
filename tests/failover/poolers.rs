//! pgbouncer in transaction mode, or the database behind it, is killed and started again.

use super::{ROUNDS, check, host_at, measure, skipped};
use libtest_mimic::{Failed, Trial};
use std::thread::sleep;
use std::time::Duration;
use test_support::cluster::Cluster;
use test_support::machine::find_program;
use test_support::pooler::Pooler;

const SESSIONS: usize = 10;

/// How long what was killed is away: what a supervisor takes.
const AWAY: Duration = Duration::from_millis(300);

/// pgbouncer waits so many seconds until it connects again to a server that was away. Its default, 15, is added to every outage
/// of the server.
const SETTINGS: &str = "server_login_retry = 1";

pub fn trials() -> Vec<Trial> {
    if find_program("pgbouncer").is_none() {
        return vec![skipped("pgbouncer", "install the package pgbouncer")];
    }
    let mut trials = Vec::new();
    for statements in ["prepared", "unnamed"] {
        let name = |what: &str| format!("{what} killed, statements {statements}");
        let (pooler, server) = (name("pgbouncer"), name("PostgreSQL behind pgbouncer"));
        trials.push(Trial::test(pooler.clone(), move || {
            run(&pooler, statements, |pooler, _| {
                pooler.kill();
                sleep(AWAY);
                pooler.start_again();
            })
        }));
        trials.push(Trial::test(server.clone(), move || {
            run(&server, statements, |_, cluster| {
                cluster.kill();
                sleep(AWAY);
                cluster.start_server();
            })
        }));
    }
    trials
}

fn run(
    what: &str,
    statements: &str,
    replace: impl Fn(&mut Pooler, &mut Cluster),
) -> Result<(), Failed> {
    // What a process that is killed has written, the system still has.
    let mut cluster = Cluster::start(&["fsync=off"]);
    cluster.create_database("people");
    let mut pooler = Pooler::start_with(&cluster, SESSIONS, SETTINGS).unwrap();
    let service = host_at(
        &pooler.address("people"),
        &["--postgres-statements", statements],
    );
    for _ in 0..ROUNDS {
        let outcome = measure(what, &service, || replace(&mut pooler, &mut cluster));
        check(&outcome)?;
    }
    // The begin and the end of each outage, and that a pooler is there.
    let log = service.log();
    match log.lines().count() <= 3 * ROUNDS as usize + 1 {
        true => Ok(()),
        false => Err(log.into()),
    }
}
