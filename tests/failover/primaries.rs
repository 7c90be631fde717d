//! The primary of three servers that Patroni keeps is killed, or hands over to a standby.

use super::proxy::Proxy;
use super::{PATIENCE, ROUNDS, check, host_at, measure, skipped};
use birthday_tests::client;
use birthday_tests::service::{Service, root};
use libtest_mimic::{Failed, Trial};
use std::path::Path;
use test_support::machine::find_program;
use test_support::patroni::Patroni;
use test_support::wait::wait_for;

const SERVERS: usize = 3;

/// By what the host finds the primary.
#[derive(Clone, Copy)]
enum Route {
    /// All servers are in the address, with `target_session_attrs=read-write`.
    Address,
    /// haproxy asks Patroni.
    Proxy,
}

pub fn trials() -> Vec<Trial> {
    let programs = root().join("target/tools/patroni/bin");
    if !programs.join("patroni").exists() || find_program("etcd").is_none() {
        return vec![skipped("Patroni", "run scripts/install-patroni")];
    }
    let mut trials = Vec::new();
    for (route, by) in [
        (Route::Address, "several hosts in the address"),
        (Route::Proxy, "haproxy"),
    ] {
        if matches!(route, Route::Proxy) && find_program("haproxy").is_none() {
            trials.push(skipped(
                "Patroni behind haproxy",
                "install the package haproxy",
            ));
            continue;
        }
        let programs = programs.clone();
        trials.push(Trial::test(format!("Patroni, {by}"), move || {
            run(&programs, route, by)
        }));
    }
    trials
}

fn run(programs: &Path, route: Route, by: &str) -> Result<(), Failed> {
    let mut patroni = Patroni::start(programs, SERVERS)?;
    patroni.create_database("people");
    let proxy = match route {
        Route::Address => None,
        Route::Proxy => {
            find_program("haproxy").map(|haproxy| Proxy::start(&haproxy, &patroni.ports()))
        }
    };
    let address = match &proxy {
        Some(proxy) => proxy.address("people"),
        None => patroni.address("people"),
    };
    let service = host_at(&address, &[]);
    for _ in 0..ROUNDS {
        wait_until_ready(&patroni, &service);
        let outcome = measure(&format!("switchover, {by}"), &service, || {
            let primary = patroni.primary().unwrap();
            patroni.switch_over(primary, patroni.synchronous_standby().unwrap());
        });
        check(&outcome)?;
    }
    for _ in 0..ROUNDS {
        wait_until_ready(&patroni, &service);
        let primary = patroni.primary().unwrap();
        let outcome = measure(&format!("primary killed, {by}"), &service, || {
            patroni.kill_node(primary);
        });
        check(&outcome)?;
        patroni.start_node(primary);
    }
    println!("{} lines in the log", service.log().lines().count());
    Ok(())
}

fn wait_until_ready(patroni: &Patroni, service: &Service) {
    patroni.wait_until_whole();
    wait_for(PATIENCE, "the host is healthy", || {
        client::get(&format!("{}/health", service.url)).is_ok_and(|answer| answer.status == 200)
    });
}
