//! Callers that send too much, too slowly or too often.

use crate::calls::{block_on, connect, get_of, http2, read_to_end};
use crate::http2::{CONTINUATION, HEADERS, frame, preface};
use crate::support::{get, guest_with_admin, host, host_of_guest};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use test_support::wait::wait_for;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn heads_are_bounded() {
    let service = host(&[]);
    let with_headers = |count: usize, length: usize| {
        let value = "x".repeat(length);
        let headers: String = (0..count)
            .map(|number| format!("x-{number}: {value}\r\n"))
            .collect();
        let request =
            format!("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        let mut stream = connect(&service);
        // It may answer before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        let answer = read_to_end(&mut stream);
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(with_headers(90, 10), "200");
    assert_eq!(with_headers(101, 10), "431");
    assert_eq!(with_headers(1, 30_000), "200");
    assert_eq!(with_headers(1, 40_000), "431");
    let long_path = format!(
        "GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "x".repeat(70_000)
    );
    let mut stream = connect(&service);
    let _ = stream.write_all(long_path.as_bytes());
    let answer = read_to_end(&mut stream);
    assert!(
        answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"),
        "{answer}"
    );
    assert_eq!(get(&service, "/health").status, 200);
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let service = host(&["--header-timeout", "1s"]);
    let mut stream = connect(&service);
    let start = Instant::now();
    for byte in b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: "
        .iter()
        .chain(std::iter::repeat(&b'x'))
    {
        if stream.write_all(&[*byte]).is_err() {
            break;
        }
        assert!(start.elapsed() < 5 * SECOND, "it is still waited for");
        // A slow client.
        thread::sleep(SECOND / 20);
    }
    assert!(start.elapsed() > SECOND);
    assert_eq!(get(&service, "/health").status, 200);
}

#[test]
fn a_body_that_does_not_come_to_its_end_is_not_waited_for() {
    let service = host_of_guest(&["--body-timeout", "500ms"]);
    let mut stream = connect(&service);
    let head =
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut slow = stream.try_clone().unwrap();
    let trickle = thread::spawn(move || {
        while slow.write_all(b"x").is_ok() {
            // A slow client.
            thread::sleep(SECOND / 20);
        }
    });
    let start = Instant::now();
    let answer = read_to_end(&mut stream);
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("/problems/body-too-slow"),
        "{answer}"
    );
    assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
    trickle.join().unwrap();
}

#[test]
fn idle_connections_are_closed_and_used_ones_are_not() {
    let service = host(&["--idle-timeout", "2s", "--header-timeout", "500ms"]);
    let mut stream = connect(&service);
    let mut buffer = [0; 4096];
    for _ in 0..4 {
        // Pauses that are longer than the idle timeout together.
        thread::sleep(4 * SECOND / 5);
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        assert!(stream.read(&mut buffer).unwrap() > 0);
    }
    let start = Instant::now();
    // An answer may have come in two pieces.
    read_to_end(&mut stream);
    let took = start.elapsed();
    assert!((1900..7000).contains(&took.as_millis()), "{took:?}");
    // One that never asked for anything.
    let mut silent = connect(&service);
    assert_eq!(silent.read(&mut buffer).unwrap(), 0);
}

#[test]
fn a_caller_that_does_not_take_its_answer_is_let_go() {
    let service = host_of_guest(&[
        "--request-timeout",
        "1s",
        "--idle-timeout",
        "1s",
        "--max-in-flight",
        "1",
    ]);
    let mut stream = connect(&service);
    // More than fits into what the kernel keeps for both sides.
    stream
        .write_all(&b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4))
        .unwrap();
    wait_for(10 * SECOND, "a free place", || {
        get(&service, "/count").status == 200
    });
}

#[test]
fn the_longest_idle_connection_is_shed_for_a_new_one() {
    let service = host(&["--max-connections", "3"]);
    let ask = |stream: &mut TcpStream| {
        // Idle times are told apart by the millisecond.
        thread::sleep(SECOND / 100);
        // What was closed may show at the first or at the second step.
        let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut buffer = [0; 4096];
        stream.read(&mut buffer).unwrap_or_default() > 0
    };
    let mut streams: Vec<_> = (0..3).map(|_| connect(&service)).collect();
    assert!(streams.iter_mut().all(ask));
    let mut fourth = connect(&service);
    assert!(ask(&mut fourth));
    let open: Vec<_> = streams.iter_mut().map(ask).collect();
    assert_eq!(open, [false, true, true]);
    assert!(ask(&mut fourth));
}

#[test]
fn connections_are_refused_while_all_others_work() {
    let host = guest_with_admin(&["--max-connections", "2"]);
    let service = &host.service;
    let mut busy: Vec<_> = (0..2).map(|_| connect(service)).collect();
    for stream in &mut busy {
        stream
            .write_all(b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
    }
    host.wait_until_busy(2);
    let mut third = connect(service);
    let _ = third.write_all(b"GET /count HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(third.read(&mut [0; 64]).unwrap_or_default(), 0);
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection() {
    let service = host_of_guest(&["--max-in-flight", "8"]);
    let cut_off_after = block_on(async {
        let mut sender = http2(&service).await;
        for number in 0..20_000 {
            let Ok(ready) = sender.ready().await else {
                return Some(number);
            };
            sender = ready;
            match sender.send_request(get_of(&service, "/sleep"), true) {
                Ok((answer, mut stream)) => {
                    stream.send_reset(h2::Reason::CANCEL);
                    drop(answer);
                }
                Err(_) => return Some(number),
            }
            tokio::task::yield_now().await;
        }
        None
    });
    assert!(
        cut_off_after.is_some(),
        "20,000 streams were opened and reset"
    );
    assert_eq!(get(&service, "/count").status, 200);
}

#[test]
fn a_head_of_endless_continuations_is_not_collected() {
    let service = host(&[]);
    let mut stream = connect(&service);
    stream.write_all(&preface(&[])).unwrap();
    stream.write_all(&frame(HEADERS, 0, 1, b"\x82")).unwrap();
    // A literal header field with a new name, again and again.
    let field = [b"\x00\x03x-a\x7f\x81\x7f".as_slice(), &[b'x'; 256]].concat();
    let continuation = frame(CONTINUATION, 0, 1, &field.repeat(40));
    let sent = (0..10_000)
        .take_while(|_| stream.write_all(&continuation).is_ok())
        .count();
    assert!(
        sent < 10_000,
        "{} bytes were taken",
        sent * continuation.len()
    );
    assert_eq!(get(&service, "/health").status, 200);
}

#[test]
fn http2_connections_are_told_to_go() {
    let mut service = host_of_guest(&[]);
    block_on(async {
        let mut sender = http2(&service).await;
        let (answer, _) = sender
            .send_request(get_of(&service, "/stream"), true)
            .unwrap();
        let mut answer = answer.await.unwrap();
        assert!(answer.body_mut().data().await.unwrap().is_ok());
        service.signal(rustix::process::Signal::TERM);
        let mut rest = Vec::new();
        while let Some(data) = answer.body_mut().data().await {
            rest.extend(data.unwrap());
        }
        assert!(rest.ends_with(b"piece 2\n"), "{rest:?}");
    });
    assert!(service.wait().success());
}
