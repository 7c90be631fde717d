//! Traces, as a receiver of OTLP gets them.

use crate::support::{cluster_with_people, command, guest_command};
use birthday_tests::client;
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use test_support::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(10);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// An HTTP server that keeps what it is sent.
struct Receiver {
    url: String,
    requests: Arc<Mutex<Vec<Received>>>,
}

struct Received {
    head: String,
    body: Vec<u8>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Received>>>::default();
        let kept = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = kept.clone();
                thread::spawn(move || {
                    while let Some(request) = receive(&stream) {
                        kept.lock().unwrap().push(request);
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                        (&stream).write_all(answer).unwrap();
                    }
                });
            }
        });
        Self { url, requests }
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        let sent = requests
            .iter()
            .filter(|request| request.head.starts_with("POST /v1/traces "))
            .map(|request| ExportTraceServiceRequest::decode(&request.body[..]).unwrap());
        sent.flat_map(|request| request.resource_spans)
            .flat_map(|spans| spans.scope_spans)
            .flat_map(|spans| spans.spans)
            .collect()
    }
}

/// One request, if there is another.
fn receive(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Received { head, body })
}

fn traced(command: &mut Command, receiver: &Receiver) -> Service {
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url)
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    Service::start(command)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let attribute = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == name)?;
    Some(format!("{:?}", attribute.value.as_ref()?.value.as_ref()?))
}

fn caller() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

#[test]
fn a_request_is_a_span_of_the_callers_trace_with_its_calls_as_children() {
    let receiver = Receiver::start();
    let cluster = cluster_with_people(&["fsync=off"]);
    let variable = format!("database_url={}", cluster.address("people"));
    let service = traced(&mut command(&["--variable", &variable]), &receiver);
    let username = new_username();
    let url = format!("{}/hello/{username}", service.url);
    let body = br#"{"dateOfBirth":"1988-02-29"}"#;
    let caller = caller();
    let headers = [("traceparent", caller.as_str()), ("tracestate", "vendor=1")];
    assert_eq!(
        client::send("PUT", &url, &headers, body).unwrap().status,
        204
    );
    let find = |name: &str| {
        let spans = receiver.spans().into_iter();
        spans
            .filter(|span| hex(&span.trace_id) == TRACE)
            .find(|span| span.name == name)
    };
    wait_for(PATIENCE, "the span", || {
        find("PUT /hello/{username}").is_some()
    });
    let request = find("PUT /hello/{username}").unwrap();
    assert_eq!(hex(&request.parent_span_id), CALLER);
    assert_eq!(request.trace_state, "vendor=1");
    assert_eq!(request.kind, 2, "a server's");
    assert_eq!(
        attribute(&request, "http.route").as_deref(),
        Some("StringValue(\"/hello/{username}\")")
    );
    assert_eq!(
        attribute(&request, "http.response.status_code").as_deref(),
        Some("IntValue(204)")
    );
    let guest = find("wasi:http/incoming-handler.handle").unwrap();
    assert_eq!(guest.parent_span_id, request.span_id);
    let statement = find("postgresql execute").unwrap();
    assert_eq!(statement.parent_span_id, guest.span_id);
    let sql = attribute(&statement, "db.query.text").unwrap();
    assert!(
        sql.contains("INSERT INTO people") && sql.contains("$1"),
        "{sql}"
    );
    for span in receiver.spans() {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        // Times may have any digits in them.
        let timeless = Span {
            start_time_unix_nano: 0,
            end_time_unix_nano: 0,
            ..span
        };
        let said = format!("{timeless:?}");
        assert!(
            !said.contains(&username) && !said.contains("1988"),
            "{said}"
        );
    }
}

#[test]
fn what_the_guest_calls_is_told_the_trace() {
    let (receiver, upstream) = (Receiver::start(), Receiver::start());
    let mut command = guest_command(&["--allow-outbound", &upstream.url]);
    let service = traced(&mut command, &receiver);
    let caller = caller();
    let headers = [("traceparent", caller.as_str())];
    let url = format!("{}/fetch?{}/x", service.url, upstream.url);
    let answer = client::send("GET", &url, &headers, b"").unwrap();
    assert_eq!(answer.body, "200 0");
    let head = upstream.requests.lock().unwrap()[0].head.clone();
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("traceparent: "));
    let told: Vec<&str> = line.unwrap().split('-').collect();
    wait_for(PATIENCE, "the spans", || receiver.spans().len() >= 3);
    let spans = receiver.spans();
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (guest, request) = (find("wasi:http/incoming-handler.handle"), find("GET"));
    assert_eq!(request.parent_span_id, guest.span_id);
    assert_eq!((told[1], told[2]), (TRACE, hex(&request.span_id).as_str()));
    assert_eq!(request.kind, 3, "a client's");
}

#[test]
fn a_receiver_that_is_away_does_not_stall_requests() {
    let mut command = command(&[]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_BSP_SCHEDULE_DELAY", "50");
    let mut service = Service::start(&mut command);
    for _ in 0..200 {
        assert_eq!(
            client::get(&format!("{}/health", service.url))
                .unwrap()
                .status,
            200
        );
    }
    service.signal(rustix::process::Signal::TERM);
    assert!(service.wait().success());
}

#[test]
fn traces_are_off_when_the_exporter_is_none() {
    let receiver = Receiver::start();
    let mut command = command(&[]);
    command.env("OTEL_TRACES_EXPORTER", "none");
    let mut service = traced(&mut command, &receiver);
    let health = client::get(&format!("{}/health", service.url)).unwrap();
    assert_eq!(health.status, 200);
    // What there is to send is sent before the end.
    service.signal(rustix::process::Signal::TERM);
    assert!(service.wait().success());
    assert_eq!(receiver.spans().len(), 0);
}

#[test]
fn a_variable_that_the_host_cannot_follow_is_named() {
    for (variable, value) in [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/key.pem"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_PROPAGATORS", "b3,jaeger"),
    ] {
        let output = command(&[])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
            .env(variable, value)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{variable}: {said}");
        assert!(said.contains(variable), "{said}");
    }
}
