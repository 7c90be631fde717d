//! From the start of an instance to its end: what it is told, what it sends before it ends, and how long it takes.

use crate::answers::cluster;
use crate::events::{Kind, Request};
use crate::platform::Function;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use test_support::cluster::Cluster;

fn function_on(cluster: &Cluster, more: &[(&str, &str)]) -> Function {
    let address = cluster.address("people");
    let database = [("SPIN_VARIABLE_DATABASE_URL", address.as_str())];
    Function::start(&[&database, more].concat())
}

/// A receiver of traces: its URL, and what it receives.
fn receiver() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = channel();
    thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut bytes = vec![0; 65536];
                while let Ok(length @ 1..) = connection.read(&mut bytes) {
                    sender.send(bytes[..length].to_vec()).unwrap();
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    connection.write_all(answer).unwrap();
                }
            });
        }
    });
    (url, received)
}

#[test]
fn spans_are_sent_after_each_event_and_sigterm_ends_the_instance() {
    let cluster = cluster();
    let (url, received) = receiver();
    let traces = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        // Longer than the test takes: nothing is sent because it is time.
        ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
    ];
    let function = function_on(&cluster, &traces);
    assert_eq!(
        function.answer(&Request::new("GET", "/health").event(Kind::Http))["statusCode"],
        200
    );
    let first = received.recv_timeout(Duration::from_secs(10)).unwrap();
    let text = String::from_utf8_lossy(&first);
    assert!(text.starts_with("POST /v1/traces "), "{text}");
    function.wait_until_idle();
    assert_eq!(
        function.platform().extensions(),
        [("birthday-lambda".to_owned(), json!({ "events": [] }))]
    );
    function.terminate();
    let (status, log) = function.end();
    assert!(status.success(), "{status}: {log}");
    // The line of the request was written, with the name that Lambda gave it.
    assert!(
        log.contains("8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        "{log}"
    );
    assert!(log.contains("/health"), "{log}");
}

#[test]
fn one_instance_answers_one_event_after_another() {
    let cluster = cluster();
    let function = function_on(&cluster, &[]);
    let event = Request::new("GET", "/health").event(Kind::FunctionUrl);
    for _ in 0..100 {
        assert_eq!(function.answer(&event)["statusCode"], 200);
    }
    // One connection to the database, which the instance keeps.
    let connected =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'birthday-lambda'";
    assert_eq!(cluster.run_sql("people", connected), "1");
    let pid = function.pid();
    let log = function.kill();
    assert!(pid > 0 && !log.contains("\"level\":\"ERROR\""), "{log}");
}

/// The routes that this program streams are those that the component describes so. It is of this version.
#[test]
fn routes_are_those_of_the_description() {
    let cluster = cluster();
    let function = function_on(&cluster, &[]);
    let answer = function.answer(&Request::new("GET", "/openapi.json").event(Kind::Rest));
    let description: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let described: BTreeMap<String, bool> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, operations)| {
            let mut operations = operations.as_object().unwrap().values();
            (
                path.clone(),
                operations.any(|operation| operation["x-streaming"] == true),
            )
        })
        .collect();
    let source = include_str!("../src/function.rs");
    for (constant, streams) in [("const ROUTES", false), ("const STREAMING_ROUTES", true)] {
        let (_, rest) = source.split_once(constant).unwrap();
        let list = rest.split(';').nth(1).unwrap();
        let listed: Vec<_> = list.split('"').skip(1).step_by(2).collect();
        let mut expected: Vec<_> = described
            .iter()
            .filter(|route| *route.1 == streams)
            .map(|route| route.0.as_str())
            .collect();
        expected.sort_unstable();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
    }
}

/// How many starts, and how many events of one instance, are measured.
const STARTS: usize = 20;
const EVENTS: usize = 1000;

/// Prints what a start and an event take. It fails only where a start takes as long as Lambda gives it.
#[test]
fn starts_and_events_are_fast() {
    let cluster = cluster();
    let event = Request::new("GET", "/hello/nobody").event(Kind::Http);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let function = function_on(&cluster, &[]);
        assert_eq!(function.answer(&event)["statusCode"], 404);
        starts.push(function.started.elapsed());
    }
    let function = function_on(&cluster, &[]);
    let mut events = Vec::new();
    for _ in 0..EVENTS {
        let before = Instant::now();
        assert_eq!(function.answer(&event)["statusCode"], 404);
        events.push(before.elapsed());
    }
    starts.sort_unstable();
    events.sort_unstable();
    println!(
        "start to the first answer, {STARTS} times: median {:?}, longest {:?}; an event, {EVENTS} times: median {:?}, 99% {:?}",
        starts[STARTS / 2],
        starts[STARTS - 1],
        events[EVENTS / 2],
        events[EVENTS * 99 / 100]
    );
    assert!(starts[STARTS / 2] < Duration::from_secs(10), "{starts:?}");
}
