//! What a server owes to any client: versions, framing, expectations, answers without content.

use crate::calls::{block_on, connect, get_of, http2, read_to_end};
use crate::support::{host, host_of_guest};
use birthday_tests::client;
use birthday_tests::service::Service;
use http::header::CONTENT_LENGTH;
use rustix::net::sockopt::set_tcp_cork;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

#[test]
fn http2_is_spoken() {
    let service = host(&[]);
    block_on(async {
        let mut sender = http2(&service).await;
        let mut answers = Vec::new();
        for _ in 0..50 {
            sender = sender.ready().await.unwrap();
            let (answer, _) = sender
                .send_request(get_of(&service, "/health"), true)
                .unwrap();
            answers.push(answer);
        }
        for answer in answers {
            let mut answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200);
            let body = answer.body_mut().data().await.unwrap().unwrap();
            assert_eq!(body, r#"{"status":"ok"}"#);
        }
        let (answer, _) = sender
            .send_request(get_of(&service, "/hello/b0b"), true)
            .unwrap();
        assert_eq!(answer.await.unwrap().status(), 400);
    });
}

#[test]
fn a_caller_that_has_closed_its_half_gets_its_answer() {
    let service = host(&[]);
    for round in 0..50 {
        let answer = put_and_close_half(&service, BODY, false);
        assert_eq!(answer.split(' ').nth(1), Some("204"), "{round}: {answer}");
        let mut stream = connect(&service);
        stream
            .write_all(b"GET /hello/bob HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = read_to_end(&mut stream);
        assert_eq!(answer.split(' ').nth(1), Some("200"), "{round}: {answer}");
    }
    let answer = put_and_close_half(&service, BODY, true);
    assert_eq!(answer.split(' ').nth(1), Some("204"), "{answer}");
}

#[test]
fn a_body_that_is_cut_off_is_answered_at_once() {
    let service = host(&[]);
    for asked in [false, true] {
        let began = Instant::now();
        let answer = put_and_close_half(&service, &BODY[..8], asked);
        assert_eq!(answer.split(' ').nth(1), Some("400"), "{answer}");
        // Not when the time for an answer is over, which is a second.
        let took = began.elapsed();
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
}

const BODY: &str = r#"{"dateOfBirth":"2000-10-01"}"#;

/// Sends as much of [`BODY`] as `content`, and then no more: with the head, or, if the host is to have `asked` for it, afterwards
/// in one segment with the end. Returns the answer.
fn put_and_close_half(service: &Service, content: &str, asked: bool) -> String {
    let length = BODY.len();
    let head = format!("PUT /hello/bob HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n");
    let mut stream = connect(service);
    if asked {
        let head = format!("{head}Expect: 100-continue\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut told = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut told).unwrap();
        set_tcp_cork(&stream, true).unwrap();
        stream.write_all(content.as_bytes()).unwrap();
    } else {
        let request = format!("{head}\r\n{content}");
        stream.write_all(request.as_bytes()).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    read_to_end(&mut stream)
}

#[test]
fn a_refused_expectation_says_that_the_connection_ends() {
    let service = host(&["--max-body", "1KiB"]);
    for (path, length, status) in [
        ("/hello/b0b", 28, "400"),
        ("/nowhere", 28, "404"),
        ("/hello/bob", 5000, "413"),
    ] {
        let mut stream = connect(&service);
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read_to_end(&mut stream).to_lowercase();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{path}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[test]
fn a_broken_preface_of_http2_is_not_answered_in_http1() {
    let service = host(&[]);
    let mut stream = connect(&service);
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        .unwrap();
    assert_eq!(read_to_end(&mut stream), "");
}

#[test]
fn a_transfer_coding_other_than_chunked_is_refused() {
    let service = host(&[]);
    let put = "PUT /hello/bob HTTP/1.1\r\nConnection: close";
    let chunked = "1c\r\n{\"dateOfBirth\":\"2000-10-01\"}\r\n0\r\n\r\n";
    for (request, status) in [
        (
            format!("{put}\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n{chunked}"),
            "204",
        ),
        (
            format!("{put}\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{chunked}"),
            "501",
        ),
        (
            format!(
                "{put}\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"
            ),
            "501",
        ),
    ] {
        let answer = client::send_bytes(&service.url, request.as_bytes()).unwrap();
        assert_eq!(
            answer.split(' ').nth(1),
            Some(status),
            "{request}: {answer}"
        );
    }
}

/// By both versions of HTTP: method, path, status, and whether the answer names the length of the content that it does not have.
#[test]
fn an_answer_that_has_no_content_is_sent_without() {
    let service = host_of_guest(&[]);
    for (method, path, status, has_length) in [
        ("HEAD", "/count", 200, true),
        ("HEAD", "/stream", 200, false),
        ("HEAD", "/nothing", 500, true),
        ("GET", "/no-content", 204, false),
        ("GET", "/not-modified", 304, false),
    ] {
        let raw = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = client::send_bytes(&service.url, raw.as_bytes()).unwrap();
        let (head, content) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert_eq!(content, "", "{method} {path}");
        let length = head.to_lowercase().contains("\r\ncontent-length: ");
        assert_eq!(length, has_length, "{method} {path}: {head}");
        block_on(async {
            let mut sender = http2(&service).await;
            let mut request = get_of(&service, path);
            *request.method_mut() = method.parse().unwrap();
            let (answer, _) = sender.send_request(request, true).unwrap();
            let mut answer = answer.await.unwrap();
            assert_eq!(answer.status(), status, "{method} {path}");
            let length = answer.headers().contains_key(CONTENT_LENGTH);
            assert_eq!(length, has_length, "{method} {path} over HTTP/2");
            let content = answer.body_mut().data().await;
            assert!(content.is_none(), "{method} {path}: {content:?}");
        });
    }
}

#[test]
fn an_answer_that_is_not_as_long_as_it_says_is_not_whole() {
    let service = host_of_guest(&[]);
    for path in ["/too-short", "/too-long"] {
        let mut stream = connect(&service);
        let get = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(get.as_bytes()).unwrap();
        let answer = read_to_end(&mut stream);
        let content = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        assert!(content.len() < 10, "{answer}");

        let ended = block_on(async {
            let mut sender = http2(&service).await;
            let (answer, _) = sender.send_request(get_of(&service, path), true).unwrap();
            let mut content = answer.await?.into_body();
            while let Some(piece) = content.data().await {
                piece?;
            }
            Ok::<_, h2::Error>(())
        });
        assert!(ended.is_err(), "{path}");
    }
}
