//! What is in the log, and what is not.

use crate::support::{cluster_with_people, command, get, guest_command, host, host_of_guest, put};
use birthday_tests::client;
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};
use test_support::wait::wait_for;

const BORN: &str = "1988-02-29";
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_access_line_names_the_template_and_the_id_and_nothing_that_is_secret() {
    for format in ["json", "text"] {
        let mut command = command(&["--log-format", format, "--variable", "api_token=s3cret"]);
        let service = Service::start(command.env("RUST_LOG", "info,hyper=debug,h2=debug"));
        let username = new_username();
        let send = |headers: &[(&str, &str)]| {
            let url = format!("{}/hello/{username}?x=s3cret", service.url);
            let body = format!(r#"{{"dateOfBirth":"{BORN}"}}"#);
            client::send("PUT", &url, headers, body.as_bytes()).unwrap()
        };
        let token = ("authorization", "Bearer s3cret");
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let given = send(&[
            token,
            ("x-request-id", "from-the.Proxy_1"),
            ("traceparent", &parent),
        ]);
        assert_eq!(
            (given.status, given.header("x-request-id")),
            (204, Some("from-the.Proxy_1"))
        );
        let made = send(&[("x-request-id", "no id, but a sentence")]);
        let id = made.header("x-request-id").unwrap();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
        let log = service.wait_for_log(id);
        let line = |id: &str| {
            log.lines()
                .find(|line| line.contains(id))
                .unwrap()
                .to_owned()
        };
        let (first, second) = (line("from-the.Proxy_1"), line(id));
        if format == "json" {
            let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
            let (first, second) = (read(&first), read(&second));
            assert_eq!(first["target"], "access");
            assert_eq!(first["method"], "PUT");
            assert_eq!(first["route"], "/hello/{username}");
            assert_eq!(first["status"], 204);
            assert_eq!(first["trace_id"], trace);
            assert!(first["duration_ms"].as_f64().unwrap() > 0.0);
            assert_eq!(
                (&second["status"], &second["trace_id"]),
                (&401.into(), &serde_json::Value::Null)
            );
        } else {
            assert!(
                first.contains(" INFO access: PUT /hello/{username} 204 "),
                "{first}"
            );
            assert!(
                first.contains(trace) && second.contains(" 401 "),
                "{first} {second}"
            );
        }
        for secret in [username.as_str(), BORN, "s3cret", "no id"] {
            assert!(!log.contains(secret), "{secret} is in {log}");
        }
    }
}

#[test]
fn a_filter_that_makes_no_sense_is_named() {
    let output = command(&[])
        .env("RUST_LOG", "access=loud")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("RUST_LOG"), "{said}");
}

#[test]
fn lines_of_the_guest_name_the_request() {
    let mut command = guest_command(&["--log-format", "json"]);
    let service = Service::start(&mut command);
    let url = format!("{}/log", service.url);
    client::send("GET", &url, &[("x-request-id", "abc-1")], b"").unwrap();
    client::send("GET", &url, &[("x-request-id", "abc-2")], b"").unwrap();
    // The last line: each is written by itself.
    let log = service.wait_for_log(r#"standard output","request_id":"abc-2""#);
    for id in ["abc-1", "abc-2"] {
        let lines = log.lines().filter(|line| line.contains(id));
        let lines: Vec<serde_json::Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert_eq!(lines[0]["message"], "one line from the guest");
        assert_eq!(lines[0]["request_id"], id);
    }
}

#[test]
fn a_caller_does_not_fill_the_log() {
    let service = host(&[]);
    let address = service.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    // The preface and SETTINGS of HTTP/2, then acknowledgements of pings that nobody has sent (RFC 9113, 6.7), each of
    // which is a line of a library.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let acknowledgement = b"\0\0\x08\x06\x01\0\0\0\0notyours";
    // So many that the connection is not closed as a flood.
    for _ in 0..100 {
        stream.write_all(&acknowledgement.repeat(100)).unwrap();
    }
    assert_eq!(get(&service, "/health").status, 200);
    // After some seconds the next line of its kind says how many were left out.
    wait_for(10 * SECOND, "a line that counts", || {
        stream.write_all(acknowledgement).unwrap();
        service
            .log()
            .contains("lines like the next one were left out")
    });
    let log = service.log();
    assert!(log.len() < 64 * 1024, "{} bytes", log.len());
}

#[test]
fn a_guest_does_not_fill_the_log() {
    let service = host_of_guest(&[]);
    assert_eq!(get(&service, "/log-much").status, 200);
    let log = service.wait_for_log("the rest of the output of this request is left out");
    assert!(log.len() < 128 * 1024, "{} bytes", log.len());
}

#[test]
fn a_log_that_is_not_read_does_not_stall_requests() {
    let mut child = command(&["--log-format", "json"])
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        // A pipe that is never read, and holds 64 KiB.
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let url = line.trim().trim_start_matches("listening on ").to_owned();
    let start = Instant::now();
    let id = "x".repeat(64);
    for _ in 0..10_000 {
        let answer = client::send(
            "GET",
            &format!("{url}/hello/b0b"),
            &[("x-request-id", &id)],
            b"",
        );
        assert_eq!(answer.unwrap().status, 400);
    }
    assert!(start.elapsed() < 20 * SECOND, "{:?}", start.elapsed());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn not_even_the_most_talkative_log_has_names_dates_or_secrets() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let variable = format!("database_url={}", cluster.address("people"));
    let mut command = command(&["--variable", &variable, "--variable", "api_token="]);
    command
        .env("SPIN_VARIABLE_DATABASE_PASSWORD", "s3cret")
        .env(
            "RUST_LOG",
            // Not what the compiler says, which is a hundred megabytes.
            "trace,tokio_postgres=trace,cranelift_codegen=off,cranelift_frontend=off,regalloc2=off,\
             wasmtime=off,wasmtime_internal_cranelift=off,wasmtime_environ=off",
        );
    let service = Service::start(&mut command);
    let username = new_username();
    assert_eq!(put(&service, &username, "1987-06-05").status, 204);
    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
    let log = service.wait_for_log("executing statement");
    for text in [username.as_str(), "1987-06-05", "1987, 6, 5", "s3cret"] {
        let line = log.lines().find(|line| line.contains(text));
        assert_eq!(line, None, "has {text} in it");
    }
}
