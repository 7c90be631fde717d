//! Callers that send too much, too slowly or too often, and those that want TLS or HTTP/2.

use crate::http2::{CONTINUATION, HEADERS, frame, preface};
use crate::support::{command, get, guest_with_admin, host, host_of_guest};
use birthday_tests::client;
use birthday_tests::service::Service;
use h2::client as h2_client;
use http::header::CONTENT_LENGTH;
use http::{Request, Version};
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use test_support::wait::wait_for;
use tokio_rustls::TlsConnector;

const SECOND: Duration = Duration::from_secs(1);

fn connect(service: &Service) -> TcpStream {
    let stream = TcpStream::connect(address(service)).unwrap();
    stream.set_read_timeout(Some(10 * SECOND)).unwrap();
    stream
}

fn address(service: &Service) -> &str {
    let url = service.url.split_once("://").unwrap();
    url.1
}

/// Waits until the other side closes `stream`, and returns what it said.
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    String::from_utf8_lossy(&said).into_owned()
}

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

/// Runs `work` on a thread of asynchronous tasks.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

/// An HTTP/2 connection, as if both had agreed on it before.
async fn http2(service: &Service) -> h2_client::SendRequest<bytes::Bytes> {
    let stream = tokio::net::TcpStream::connect(address(service))
        .await
        .unwrap();
    let (sender, connection) = h2_client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender.ready().await.unwrap()
}

fn get_of(service: &Service, path: &str) -> Request<()> {
    let request = Request::get(format!("http://{}{path}", address(service)));
    request.version(Version::HTTP_2).body(()).unwrap()
}

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
    let body = r#"{"dateOfBirth":"2000-10-01"}"#;
    let length = body.len();
    let put =
        format!("PUT /hello/bob HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    let get = "GET /hello/bob HTTP/1.1\r\nHost: a\r\n\r\n";
    for round in 0..50 {
        for (request, status) in [(put.as_str(), "204"), (get, "200")] {
            let mut stream = connect(&service);
            stream.write_all(request.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let answer = read_to_end(&mut stream);
            assert_eq!(answer.split(' ').nth(1), Some(status), "{round}: {answer}");
        }
    }
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

/// Writes a certificate for `localhost` and its key into `folder`, and returns it.
fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    certificate.der().clone()
}

/// What the service shows, to somebody who trusts `authority`; and what both speak, of what is `offered`.
async fn handshake(
    service: &Service,
    authority: &CertificateDer<'static>,
    offered: &[&[u8]],
) -> std::io::Result<(CertificateDer<'static>, Option<Vec<u8>>)> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let mut config = config
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(address(service)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((shown, session.alpn_protocol().map(<[u8]>::to_vec)))
}

#[test]
fn a_certificate_is_shown_and_read_again_when_it_changes() {
    let folder = TempDir::new().unwrap();
    let first = write_certificate(folder.path());
    let file = |name| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    let mut command = command(&["--tls-cert", &certificate, "--tls-key", &key]);
    let service = Service::start(&mut command);
    assert!(service.url.starts_with("https://"), "{}", service.url);
    block_on(async {
        let (shown, protocol) = handshake(&service, &first, &[b"h2", b"http/1.1"])
            .await
            .unwrap();
        assert_eq!(
            (shown, protocol.as_deref()),
            (first.clone(), Some(b"h2".as_slice()))
        );
        let (_, protocol) = handshake(&service, &first, &[b"http/1.1"]).await.unwrap();
        assert_eq!(protocol.as_deref(), Some(b"http/1.1".as_slice()));
    });
    let plain = client::send_bytes(
        &service.url.replace("https", "http"),
        b"GET / HTTP/1.1\r\n\r\n",
    );
    assert!(!plain.unwrap_or_default().starts_with("HTTP/1.1 2"));
    // A new key without its certificate is not used.
    fs::write(&key, "no key").unwrap();
    service.wait_for_log("tls.key has no private key");
    assert_eq!(block_on(handshake(&service, &first, &[])).unwrap().0, first);
    let second = write_certificate(folder.path());
    wait_for(10 * SECOND, "the new certificate", || {
        block_on(handshake(&service, &second, &[])).is_ok_and(|(shown, _)| shown == second)
    });
}
