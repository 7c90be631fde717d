//! The server crashes, is down, or never answers.

use crate::composition::{Composition, cluster};
use birthday_tests::client::Answer;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};
use test_support::cluster::Cluster;
use test_support::machine::free_port;

/// So many requests are sent one after the other. wasmtime takes another instance where the last one is not idle yet.
const REQUESTS: usize = 20;

pub fn a_connection_is_kept_until_the_server_crashes(composition: &Composition) {
    let mut cluster = cluster(&[]);
    let address = cluster.address("people");
    let application = composition.serve(&[]);
    let answers = || (0..REQUESTS).map(|_| application.ask("/postgres-kept", &address));
    let sessions = |answers: &[Answer]| {
        let answered = answers.iter().filter(|answer| answer.status == 200);
        answered
            .map(|answer| answer.body.clone())
            .collect::<BTreeSet<_>>()
    };
    let before: Vec<_> = answers().collect();
    assert!(
        before.iter().all(|answer| answer.status == 200),
        "{before:?}"
    );
    assert!(sessions(&before).len() < REQUESTS / 2, "{before:?}");

    cluster.crash();
    // Each instance knows that its statement was not run, and then that there is no server.
    for answer in answers() {
        let body = &answer.body;
        let reasons = ["the connection was lost", "connection-refused"];
        let is_told = body.contains("Error::ConnectionFailed")
            && reasons.iter().any(|reason| body.contains(reason));
        assert!(is_told, "{answer:?}");
    }
    cluster.start_server();
    let after: Vec<_> = answers().collect();
    let (before, sessions) = (sessions(&before), sessions(&after));
    assert!(
        !sessions.is_empty() && sessions.is_disjoint(&before),
        "{after:?}"
    );
    let failed = after.iter().filter(|answer| answer.status != 200).count();
    assert!(
        failed <= before.len(),
        "only a session of before is lost: {after:?}"
    );
}

pub fn a_silent_server_is_given_up(composition: &Composition) {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = silent.local_addr().unwrap();
    let application = composition.serve(&[]);
    let start = Instant::now();
    let address = format!("postgres://u@{server}/d?connect_timeout=1");
    application.check_failed("/postgres-connect", &address, "no session within 1s");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

pub fn the_next_host_is_tried(composition: &Composition) {
    let cluster = cluster(&[]);
    let read_only = Cluster::start(&["fsync=off", "default_transaction_read_only=on"]);
    let application = composition.serve(&[]);
    let hosts = format!(
        "127.0.0.1:{},127.0.0.1:{},127.0.0.1:{}",
        free_port(),
        read_only.port,
        cluster.port
    );
    let one = "[[DbValue::Int32(1)]]";
    for (attributes, database) in [("any", "postgres"), ("read-write", "people")] {
        let address =
            format!("postgres://postgres@{hosts}/{database}?target_session_attrs={attributes}");
        application.check("/postgres-one", &address, one);
    }
}
