//! What a guest does wrong hurts the request that it was for, and no other.

use crate::support::{get, guest_with_admin, host, host_of_guest};
use birthday_tests::client::{self, Answer};
use birthday_tests::service::Service;
use rustix::net::sockopt::set_tcp_quickack;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use test_support::wait::wait_for;

fn problem(answer: &Answer) -> (u16, Option<String>) {
    (answer.status, answer.problem())
}

#[track_caller]
fn check_problem(answer: &Answer, status: u16, name: &str) {
    assert_eq!(
        problem(answer),
        (status, Some(name.to_owned())),
        "{answer:?}"
    );
}

fn raw(service: &Service, request: &str) -> String {
    client::send_bytes(&service.url, request.as_bytes()).unwrap()
}

fn raw_get(service: &Service, path: &str) -> String {
    raw(
        service,
        &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    )
}

/// A connection on which a request has been sent.
fn connect(service: &Service, request: &str) -> TcpStream {
    let address = service.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// How many requests the instance had served before, for 20 requests one after the other.
fn counts(service: &Service) -> Vec<u64> {
    (0..20)
        .map(|_| get(service, "/count").body.parse().unwrap())
        .collect()
}

#[test]
fn instances_are_used_again() {
    let service = host_of_guest(&[]);
    assert!(counts(&service).into_iter().max() >= Some(9));
}

#[test]
fn a_panic_is_500_and_the_instance_is_not_used_again() {
    let service = host_of_guest(&[]);
    assert!(counts(&service).into_iter().max() >= Some(9));
    for _ in 0..8 {
        check_problem(&get(&service, "/panic"), 500, "internal");
    }
    // Eight panics in a row met every instance that was idle.
    assert_eq!(counts(&service).into_iter().min(), Some(0));
    service.wait_for_log("the guest panics on request");
    service.wait_for_log("wasm `unreachable` instruction executed");
}

#[test]
fn a_panic_after_the_answer_is_500_as_long_as_nothing_was_sent() {
    let service = host_of_guest(&[]);
    let answers: Vec<_> = (0..20)
        .map(|_| get(&service, "/answer-and-panic"))
        .collect();
    // On a busy machine the answer may be on its way before the guest comes to its panic.
    let (sent, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(sent.iter().all(|answer| answer.body == "too early"));
    assert!(!refused.is_empty());
    for answer in refused {
        check_problem(answer, 500, "internal");
    }
}

#[test]
fn a_guest_that_computes_forever_is_cut_off_and_others_go_on() {
    let service = host_of_guest(&["--request-timeout", "3s"]);
    thread::scope(|scope| {
        let loops: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| timed(|| get(&service, "/loop"))))
            .collect();
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let (answer, took) = timed(|| get(&service, "/count"));
            assert_eq!(answer.status, 200);
            slowest = slowest.max(took);
        }
        // Who had to wait for a loop would wait to its end.
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        for (answer, took) in loops.into_iter().map(|handle| handle.join().unwrap()) {
            check_problem(&answer, 504, "timeout");
            assert!(took < Duration::from_secs(6), "{took:?}");
        }
    });
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

#[test]
fn a_guest_that_waits_forever_is_cut_off() {
    let service = host_of_guest(&["--request-timeout", "300ms"]);
    check_problem(&get(&service, "/sleep"), 504, "timeout");
    assert_eq!(get(&service, "/count").body, "0");
}

#[test]
fn a_guest_that_allocates_forever_is_stopped_at_the_limit() {
    let service = host_of_guest(&["--memory-limit", "16MiB"]);
    check_problem(&get(&service, "/allocate"), 500, "internal");
    assert_eq!(get(&service, "/count").status, 200);
}

#[test]
fn a_guest_without_an_answer_is_500() {
    check_problem(&get(&host_of_guest(&[]), "/silent"), 500, "internal");
}

#[test]
fn a_body_streams_while_the_guest_writes_it() {
    let service = host_of_guest(&[]);
    let answer = get(&service, "/stream");
    assert_eq!(answer.body, "piece 0\npiece 1\npiece 2\n");
    assert_eq!(get(&service, "/large").body.len(), 3 * 1024 * 1024);
    // Both instances went back to their pool.
    assert!(counts(&service).into_iter().max() >= Some(2));
}

#[test]
fn no_piece_waits_for_a_delayed_acknowledgement() {
    let service = host_of_guest(&[]);
    // The guest pauses for 20 ms between two pieces, a delayed acknowledgement takes 40 ms.
    let from_request_to_second_piece = |_| {
        let start = Instant::now();
        let request = "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let mut stream = connect(&service, request);
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains("piece 1") {
            set_tcp_quickack(&stream, false).unwrap();
            let length = stream.read(&mut buffer).unwrap();
            text.push_str(str::from_utf8(&buffer[..length]).unwrap());
        }
        start.elapsed()
    };
    let shortest = (0..10).map(from_request_to_second_piece).min().unwrap();
    let pause = Duration::from_millis(20);
    assert!(
        (pause..pause + pause / 2).contains(&shortest),
        "{shortest:?}"
    );
}

#[test]
fn a_body_that_breaks_off_does_not_look_whole() {
    let service = host_of_guest(&["--request-timeout", "500ms"]);
    assert!(raw_get(&service, "/stream").ends_with("0\r\n\r\n"));
    for (path, piece) in [
        ("/stream-and-panic", "piece 2"),
        ("/stream-and-loop", "piece 2"),
        ("/unfinished", "a piece"),
    ] {
        let answer = raw_get(&service, path);
        assert!(answer.contains(piece), "{answer}");
        assert!(
            !answer.ends_with("0\r\n\r\n"),
            "{path} looks whole: {answer}"
        );
    }
    assert_eq!(
        get(&service, "/count").body,
        "0",
        "broken instances are not used again"
    );
}

#[test]
fn a_request_body_is_bounded_however_it_comes() {
    let service = host_of_guest(&["--max-body", "1KiB"]);
    let url = format!("{}/body", service.url);
    let post = |length: usize| client::send("POST", &url, &[], &vec![b'x'; length]).unwrap();
    assert_eq!(post(1024).body, "1024");
    check_problem(&post(1025), 413, "body-too-large");
    check_problem(&post(5_000_000), 413, "body-too-large");
    let chunked = |length: usize| {
        let body = "x".repeat(length);
        let head =
            "POST /body HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked";
        raw(
            &service,
            &format!("{head}\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
        )
    };
    assert!(chunked(1024).starts_with("HTTP/1.1 200 "));
    assert!(chunked(1025).starts_with("HTTP/1.1 413 "));
    assert!(chunked(100_000).starts_with("HTTP/1.1 413 "));
}

#[test]
fn too_many_requests_in_flight_are_refused_at_once() {
    let host = guest_with_admin(&["--max-in-flight", "2", "--request-timeout", "5s"]);
    let service = &host.service;
    thread::scope(|scope| {
        let sleepers = [(); 2].map(|()| scope.spawn(|| get(service, "/sleep")));
        host.wait_until_busy(2);
        let (answer, took) = timed(|| get(service, "/count"));
        check_problem(&answer, 503, "overloaded");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(took < Duration::from_millis(500), "{took:?}");
        for sleeper in sleepers {
            assert_eq!(sleeper.join().unwrap().status, 504);
        }
    });
    assert_eq!(get(service, "/count").status, 200);
}

#[test]
fn a_caller_that_goes_away_frees_its_place() {
    let host = guest_with_admin(&["--max-in-flight", "1"]);
    let request = "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n";
    let caller = connect(&host.service, request);
    host.wait_until_busy(1);
    drop(caller);
    // It looks like one that has only closed its half, and is answered for a second.
    wait_for(Duration::from_secs(4), "a free place", || {
        get(&host.service, "/count").status == 200
    });
}

#[test]
fn odd_requests_are_answered() {
    let service = host(&[]);
    for (request, status) in [
        ("GET /health HTTP/1.0\r\n\r\n", "200"),
        ("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", "400"),
        (
            "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
            "400",
        ),
        (
            "GET /health HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n",
            "200",
        ),
        (
            "GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
            "400",
        ),
        (
            "GET http://a/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "200",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "404",
        ),
        (
            "GET /hello/M\u{fc}ller HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "400",
        ),
        (
            "GET /hello/\u{1f382} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "400",
        ),
        (
            "BREW /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "405",
        ),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ] {
        let answer = raw(&service, request);
        let found = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(found, status, "{request:?}: {answer}");
    }
    assert_eq!(get(&service, "/health").status, 200);
}

#[test]
fn sigterm_lets_requests_under_way_finish() {
    let mut service = host_of_guest(&[]);
    let request = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut caller = connect(&service, request);
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("piece 0") {
        let length = caller.read(&mut buffer).unwrap();
        text.push_str(str::from_utf8(&buffer[..length]).unwrap());
    }
    service.signal(Signal::TERM);
    caller.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
    assert!(service.wait().success());
}
