//! Which requests fail while hosts are restarted.

use super::PATIENCE;
use super::backend::Backend;
use super::load::{Failed, Outcome, under_load};
use super::proxy::Proxy;
use birthday_tests::service::Service;
use rustix::process::Signal;
use std::ops::Range;
use std::time::Instant;
use tempfile::TempDir;
use test_support::machine::find_program;
use test_support::wait::wait_for;

const ROUNDS: u32 = 10;

/// So many requests at least end between a restart and the next one: what 200 per second are in 200 ms.
const REQUESTS_BETWEEN_RESTARTS: usize = 40;

/// What came of the requests, and when hosts were being stopped.
struct Run {
    failed: Vec<Failed>,
    requests: usize,
    stops: Vec<Range<Instant>>,
}

/// Restarts both hosts by `stop`, again and again, under load that comes over `connections`.
fn run(connections: &str, stop: impl Fn(&mut Service)) -> Option<Run> {
    let Some(haproxy) = find_program("haproxy") else {
        println!("skipped: there is no haproxy");
        return None;
    };
    let folder = TempDir::new().unwrap();
    let backends = Backend::pair(folder.path());
    let mut hosts = backends.each_ref().map(Backend::start);
    let proxy = Proxy::start(&haproxy, folder.path(), &backends, connections);
    wait_for(PATIENCE, "both hosts in use", || proxy.uses_both());
    let mut stops = Vec::new();
    let ((), Outcome { requests, failed }) = under_load(&proxy.url, |load| {
        for _ in 0..ROUNDS {
            for (host, backend) in hosts.iter_mut().zip(&backends) {
                let began = Instant::now();
                stop(host);
                stops.push(began..Instant::now());
                // The proxy does not notice a host that is killed and back before the next check.
                *host = backend.start();
                wait_for(PATIENCE, "both hosts in use", || proxy.uses_both());
                load.wait_for_requests(REQUESTS_BETWEEN_RESTARTS);
            }
        }
    });
    Some(Run {
        requests,
        failed,
        stops,
    })
}

#[test]
fn a_rolling_restart_fails_no_request() {
    let run = run("http-keep-alive", |host| {
        host.signal(Signal::TERM);
        assert!(host.wait().success());
    });
    if let Some(Run {
        failed, requests, ..
    }) = run
    {
        assert!(failed.is_empty(), "of {requests}: {failed:#?}");
        println!("{requests} requests");
    }
}

#[test]
fn kill_9_fails_only_requests_in_flight() {
    // A connection for each request: the proxy may not have noticed yet that the kill has closed one that it keeps.
    let run = run("http-server-close", Service::kill);
    if let Some(Run {
        failed,
        requests,
        stops,
    }) = run
    {
        println!("{} of {requests} requests failed", failed.len());
        for failed in &failed {
            let was_in_flight =
                |stop: &Range<Instant>| failed.began <= stop.end && stop.start <= failed.ended;
            let is_excused = stops.iter().any(was_in_flight);
            assert!(is_excused, "{failed:#?}, stops at {stops:?}");
        }
    }
}
