//! Many people at a time: bodies of any length, in both directions, with little memory.

use crate::support::{cluster_with_people, command, get, host};
use birthday_tests::client;
use birthday_tests::service::Service;
use birthday_tests::upstream::{Behavior, Upstream};
use procfs::process::Process;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use test_support::wait::wait_for;

const MIB: u64 = 1024 * 1024;

/// What every request of the operator has.
const AUTHORIZATION: (&str, &str) = ("authorization", "Bearer t0ken");

fn operated(arguments: &[&str]) -> Service {
    host(&[&["--variable", "api_token=t0ken"], arguments].concat())
}

fn populate(service: &Service, lines: &str) -> String {
    let headers = [AUTHORIZATION, ("content-type", "application/x-ndjson")];
    let url = format!("{}/populate", service.url);
    client::send("POST", &url, &headers, lines.as_bytes())
        .unwrap()
        .body
}

fn export(service: &Service) -> String {
    let url = format!("{}/export", service.url);
    client::send("GET", &url, &[AUTHORIZATION], b"")
        .unwrap()
        .body
}

fn delete(service: &Service) {
    let url = format!("{}/delete", service.url);
    let answer = client::send("DELETE", &url, &[AUTHORIZATION], b"").unwrap();
    assert_eq!(answer.status, 204);
}

/// So many people as lines, in the order of their names.
fn people(count: usize) -> String {
    let mut lines = String::new();
    for number in 0..count {
        let digits = [456_976, 17_576, 676, 26, 1].map(|place| number / place % 26);
        let name: String = digits
            .map(|digit| char::from(b'a' + digit as u8))
            .iter()
            .collect();
        let day = 1 + number % 28;
        writeln!(
            lines,
            r#"{{"username":"{name}","dateOfBirth":"1990-12-{day:02}"}}"#
        )
        .unwrap();
    }
    lines
}

fn connect(service: &Service) -> TcpStream {
    let stream = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

fn head(method: &str, path: &str, headers: &str) -> String {
    let (name, value) = AUTHORIZATION;
    format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n{headers}Connection: close\r\n\r\n"
    )
}

/// The most memory that it has taken, in bytes.
fn peak(service: &Service) -> u64 {
    let status = Process::new(service.pid() as i32).and_then(|process| process.status());
    status.unwrap().vmhwm.unwrap() * 1024
}

/// Stores so many people, exports, removes and restores them; each export is the same. Returns how far the memory has grown from
/// when there were few.
fn restored(service: &Service, count: usize) -> u64 {
    let few = people(2000);
    populate(service, &few);
    assert_eq!(export(service), few);
    let before = peak(service);
    let (all, stored) = (
        people(count),
        format!(r#"{{"stored":{count},"skipped":0}}"#),
    );
    assert_eq!(populate(service, &all), stored);
    assert!(export(service) == all, "the export is what was stored");
    delete(service);
    assert_eq!(export(service), "");
    assert_eq!(populate(service, &all), stored);
    assert!(export(service) == all, "the second export is the first");
    // The kernel counts it not quite exactly.
    let grown = peak(service).saturating_sub(before);
    println!("{count} people: {} MiB more", grown / MIB);
    grown
}

#[test]
fn a_million_people_over_postgres_take_no_more_memory_than_two_thousand() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let variable = format!("database_url={}", cluster.address("people"));
    let service = operated(&["--variable", &variable]);
    let grown = restored(&service, 1_000_000);
    assert!(grown < 16 * MIB, "{grown}");
}

#[test]
fn a_hundred_thousand_people_in_a_file_need_memory_for_their_names_only() {
    let folder = TempDir::new().unwrap();
    let store = format!("sqlite:{}", folder.path().join("people.db").display());
    let grown = restored(&operated(&["--key-value", &store]), 100_000);
    // Beside the names, SQLite has caches: 16 MiB for each thread, and its log.
    assert!(grown < 96 * MIB, "{grown}");
}

#[test]
fn a_stream_has_neither_the_time_nor_the_length_of_other_requests() {
    let service = operated(&[
        "--request-timeout",
        "1s",
        "--body-timeout",
        "1s",
        "--max-body",
        "64KiB",
    ]);
    let lines = people(10_000);
    let mut stream = connect(&service);
    let length = lines.len();
    let headers = format!("Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\n");
    stream
        .write_all(head("POST", "/populate", &headers).as_bytes())
        .unwrap();
    for part in lines.as_bytes().chunks(length / 5) {
        stream.write_all(part).unwrap();
        sleep(Duration::from_millis(600));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains(r#"{"stored":10000,"skipped":0}"#),
        "{answer}"
    );
    // Others have both.
    let large = "x".repeat(100_000);
    let url = format!("{}/hello/bob", service.url);
    let refused = client::send("PUT", &url, &[AUTHORIZATION], large.as_bytes()).unwrap();
    assert_eq!(refused.problem().as_deref(), Some("body-too-large"));
}

#[test]
fn the_beginning_of_a_stream_has_no_more_time_than_other_bodies() {
    let service = operated(&["--body-timeout", "1s"]);
    let mut stream = connect(&service);
    let headers = "Content-Type: application/x-ndjson\r\nContent-Length: 1000000\r\n";
    stream
        .write_all(head("POST", "/populate", headers).as_bytes())
        .unwrap();
    let began = Instant::now();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn of_a_body_that_breaks_off_the_log_says_how_many_were_stored() {
    let service = operated(&[]);
    let lines = people(5000);
    for headers in [
        "Content-Length: 10000000\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        delete(&service);
        let mut stream = connect(&service);
        let headers = format!("Content-Type: application/x-ndjson\r\n{headers}");
        stream
            .write_all(head("POST", "/populate", &headers).as_bytes())
            .unwrap();
        if headers.contains("chunked") {
            write!(stream, "{:x}\r\n", lines.len()).unwrap();
        }
        stream.write_all(lines.as_bytes()).unwrap();
        // What has been sent is stored; the rest never comes.
        wait_for(Duration::from_secs(5), "the first people", || {
            export(&service).lines().count() == 4000
        });
        drop(stream);
        service.wait_for_log("the request body broke off: 4000 were stored and 0 skipped before");
        assert_eq!(export(&service).lines().count(), 4000);
    }
}

#[test]
fn a_store_that_fails_in_between_breaks_the_export_off() {
    let mut cluster = cluster_with_people(&["fsync=off"]);
    let variable = format!("database_url={}", cluster.address("people"));
    let service = operated(&["--variable", &variable]);
    populate(&service, &people(300_000));
    let mut stream = connect(&service);
    stream
        .write_all(head("GET", "/export", "").as_bytes())
        .unwrap();
    let mut received = vec![0; 100_000];
    stream.read_exact(&mut received).unwrap();
    cluster.crash();
    // It may end with an error of the connection.
    let _ = stream.read_to_end(&mut received);
    let text = String::from_utf8_lossy(&received);
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text:.200}");
    assert!(
        !text.ends_with("\r\n0\r\n\r\n"),
        "the export claims to be complete"
    );
    assert!(received.len() < 300_000 * 40);
}

#[test]
fn a_reader_that_stops_is_cut_off_and_holds_little() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let variable = format!("database_url={}", cluster.address("people"));
    let timeouts = ["--request-timeout", "1s", "--idle-timeout", "1s"];
    let service = operated(&[&timeouts[..], &["--variable", &variable]].concat());
    // More than the buffers of the system take.
    populate(&service, &people(400_000));
    let before = peak(&service);
    let streams: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = connect(&service);
            stream
                .write_all(head("GET", "/export", "").as_bytes())
                .unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    // Others are served meanwhile.
    while began.elapsed() < Duration::from_secs(6) {
        assert_eq!(get(&service, "/health").status, 200);
        sleep(Duration::from_millis(50));
    }
    for mut stream in streams {
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received);
        assert!(received.len() < 15_000_000, "{}", received.len());
    }
    let grown = peak(&service).saturating_sub(before);
    assert!(grown < 32 * MIB, "{grown}");
}

#[test]
fn a_redirection_of_the_source_leads_only_to_where_the_host_may_connect() {
    let (upstream, elsewhere) = (Upstream::start(), Upstream::start());
    let source = format!("populate_url={}", upstream.url);
    let service = operated(&["--variable", &source, "--variable", "populate_key=k3y"]);
    let url = format!("{}/populate", service.url);
    let fetch =
        |service_url: &str| client::send("POST", service_url, &[AUTHORIZATION], b"").unwrap();
    assert_eq!(fetch(&url).body, r#"{"stored":0,"skipped":0}"#);
    let redirect = |to: &str| {
        let head = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\n");
        upstream.set(Behavior::Raw(format!(
            "{head}Content-Length: 0\r\nConnection: close\r\n\r\n"
        )));
    };
    redirect(&elsewhere.url);
    assert_eq!(fetch(&url).status, 502);
    assert!(elsewhere.requests().is_empty());
    let log = service.wait_for_log("populate_url: the runtime does not allow to connect there");
    assert!(!log.contains("k3y"), "{log}");
    // Where it may connect, the key is not sent.
    let rule = elsewhere.url.split("/people").next().unwrap().to_owned();
    let arguments = [
        "--variable",
        &source,
        "--variable",
        "populate_key=k3y",
        "--allow-outbound",
        &rule,
    ];
    let allowed = operated(&arguments);
    assert_eq!(fetch(&format!("{}/populate", allowed.url)).status, 200);
    let seen = elsewhere.requests();
    assert!(seen.len() == 1 && !seen[0].contains("k3y"), "{seen:?}");
}

#[test]
fn a_source_with_a_head_that_is_too_long_has_failed() {
    let upstream = Upstream::start();
    let source = format!("populate_url={}", upstream.url);
    let service = operated(&["--variable", &source]);
    let long = "x".repeat(500_000);
    upstream.set(Behavior::Raw(format!(
        "HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n[]"
    )));
    let url = format!("{}/populate", service.url);
    let answer = client::send("POST", &url, &[AUTHORIZATION], b"").unwrap();
    assert_eq!(answer.status, 502);
}

#[test]
fn a_source_that_is_nonsense_ends_the_start() {
    for (variable, name) in [
        ("populate_url=ftp://example.com/", "populate_url"),
        (
            "populate_url=https://user:secret@example.com/",
            "populate_url",
        ),
        ("populate_key=a b", ""),
    ] {
        let mut command = command(&["--variable", variable, "--variable", "api_token=t"]);
        if name.is_empty() {
            command.args(["--variable", "populate_url=https://example.com/"]);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{variable}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("populate_") && !said.contains("secret"),
            "{said}"
        );
    }
}
