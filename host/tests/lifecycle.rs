//! How the host goes.

use crate::support::{guest_with_admin, host_of_guest, operated};
use birthday_tests::client;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use test_support::wait::wait_for;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn readiness_fails_first_and_then_the_listener() {
    let mut host = operated(&["--drain-delay", "4s"]);
    assert_eq!(host.probe("/readyz"), 200);
    let told = Instant::now();
    host.service.signal(Signal::TERM);
    wait_for(3 * SECOND, "a drain", || host.probe("/readyz") == 503);
    assert_eq!(host.probe("/livez"), 200);
    assert_eq!(host.metric("birthday_host_ready"), 0.0);
    // Somebody who has not heard of it is served all the same, over a new connection.
    let raw = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = client::send_bytes(&host.service.url, raw.as_bytes()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        told.elapsed() < Duration::from_millis(3800),
        "too slow to be a test"
    );
    assert!(host.service.wait().success());
    let took = told.elapsed();
    assert!((4000..8000).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn keep_alive_connections_are_told_to_close() {
    let mut service = host_of_guest(&[]);
    let address = service.url.trim_start_matches("http://").to_owned();
    // One is idle, one has sent half a head, and one is being served.
    let mut idle = TcpStream::connect(&address).unwrap();
    idle.write_all(b"GET /count HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).unwrap() > 0);
    let mut half = TcpStream::connect(&address).unwrap();
    half.write_all(b"GET /count HTTP/1.1\r\nHo").unwrap();
    let mut busy = TcpStream::connect(&address).unwrap();
    busy.write_all(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert!(busy.read(&mut buffer).unwrap() > 0);
    let told = Instant::now();
    service.signal(Signal::TERM);
    let mut rest = String::new();
    busy.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    // Its answer may have come in two pieces.
    idle.read_to_end(&mut Vec::new()).unwrap();
    // The other half may still come, for a while.
    assert_eq!(half.read(&mut buffer).unwrap_or_default(), 0);
    assert!(service.wait().success());
    assert!(told.elapsed() < 5 * SECOND, "{:?}", told.elapsed());
}

#[test]
fn a_caller_between_two_requests_is_told_to_close() {
    for round in 0..5 {
        let mut service = host_of_guest(&[]);
        let address = service.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        let mut buffer = [0; 1024];
        let mut ask = || {
            stream
                .write_all(b"GET /count HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            let length = stream.read(&mut buffer).unwrap();
            let answer = String::from_utf8_lossy(&buffer[..length]).to_lowercase();
            assert!(answer.starts_with("http/1.1 200"), "{round}: {answer:?}");
            answer.contains("\r\nconnection: close\r\n")
        };
        assert!(!ask());
        service.signal(Signal::TERM);
        wait_for(3 * SECOND, "the request to close", || {
            std::thread::sleep(SECOND / 500);
            ask()
        });
        assert!(service.wait().success());
    }
}

#[test]
fn what_is_not_done_in_the_grace_is_cut_off() {
    let mut host = guest_with_admin(&["--shutdown-grace", "500ms"]);
    let request = b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut caller = TcpStream::connect(host.service.url.trim_start_matches("http://")).unwrap();
    caller.write_all(request).unwrap();
    host.wait_until_busy(1);
    let service = &mut host.service;
    let told = Instant::now();
    service.signal(Signal::TERM);
    assert!(service.wait().success());
    let took = told.elapsed();
    assert!((500..5000).contains(&took.as_millis()), "{took:?}");
    service.wait_for_log("were cut off");
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut service = host_of_guest(&["--drain-delay", "20s"]);
        service.signal(Signal::INT);
        service.wait_for_log("draining");
        let told = Instant::now();
        service.signal(signal);
        assert_eq!(service.wait().code(), Some(code));
        assert!(told.elapsed() < 5 * SECOND, "{:?}", told.elapsed());
    }
}
