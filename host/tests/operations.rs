//! What whoever runs the host sees of it, and how it comes and goes.

use crate::support::{command, get, host_of_guest, put, wait_for, wait_for_log};
use birthday_tests::client::{self, Answer};
use birthday_tests::contract::new_username;
use birthday_tests::service::{Service, component, root};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const BORN: &str = "1988-02-29";
const SECOND: Duration = Duration::from_secs(1);

/// A service with an admin listener.
struct Operated {
    service: Service,
    admin: String,
}

fn operated(arguments: &[&str]) -> Operated {
    operated_by(command(arguments))
}

fn operated_by(mut command: Command) -> Operated {
    let service = Service::start(command.env("BIRTHDAY_ADMIN", "127.0.0.1:0"));
    const SAID: &str = "probes and metrics on ";
    wait_for_log(&service, SAID);
    let log = service.log();
    let (_, rest) = log.split_once(SAID).unwrap();
    let admin = rest.split_whitespace().next().unwrap().to_owned();
    Operated { service, admin }
}

fn guest_with_admin(arguments: &[&str]) -> Operated {
    let mut command = command(arguments);
    command
        .arg("--component")
        .arg(component("birthday_test_guest.wasm"));
    operated_by(command)
}

impl Operated {
    fn ask(&self, path: &str) -> Answer {
        client::get(&format!("{}{path}", self.admin)).unwrap()
    }

    fn probe(&self, path: &str) -> u16 {
        self.ask(path).status
    }

    /// By name and labels, as they are written.
    fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = self.ask("/metrics");
        assert_eq!(answer.status, 200);
        let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        *metrics
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {metrics:#?}"))
    }
}

fn requests(method: &str, route: &str, status: u16) -> String {
    format!(
        "http_server_request_duration_seconds_count{{http_request_method=\"{method}\",http_route=\"{route}\",http_response_status_code=\"{status}\"}}"
    )
}

fn problems(name: &str) -> String {
    format!("birthday_host_problems_total{{type=\"/problems/{name}\"}}")
}

#[test]
fn what_was_counted_is_what_was_sent() {
    let host = operated(&[]);
    let username = new_username();
    let hello = format!("/hello/{username}");
    let url = |path: &str| format!("{}{path}", host.service.url);
    let send = |times: usize, method: &str, path: &str, body: &str| {
        for _ in 0..times {
            client::send(method, &url(path), &[], body.as_bytes()).unwrap();
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let body = format!(r#"{{"dateOfBirth":"{BORN}"}}"#);
                send(5, "PUT", &hello, &body);
                send(7, "GET", &hello, "");
                send(11, "GET", "/hello/nobodyhasthisname", "");
                send(13, "GET", "/hello/b0b", "");
                send(3, "PUT", &hello, r#"{"dateOfBirth":"2001-02-29"}"#);
                send(2, "PUT", &hello, r#"{"dateOfBirth":"9999-12-31"}"#);
                send(4, "PUT", &hello, "no object");
                send(6, "DELETE", &hello, "");
                send(8, "GET", "/nothing/at/all", "");
                let raw = b"BREW /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
                client::send_bytes(&host.service.url, raw).unwrap();
            });
        }
    });
    let metrics = host.metrics();
    for (name, times) in [
        (requests("PUT", "/hello/{username}", 204), 5),
        (requests("GET", "/hello/{username}", 200), 7),
        (requests("GET", "/hello/{username}", 404), 11),
        (requests("GET", "/hello/{username}", 400), 13),
        (requests("PUT", "/hello/{username}", 400), 3 + 2 + 4),
        (requests("DELETE", "/hello/{username}", 405), 6),
        (requests("GET", "unmatched", 404), 8),
        (requests("_OTHER", "/health", 405), 1),
        (problems("unknown-user"), 11),
        (problems("invalid-username"), 13),
        (problems("invalid-date"), 3),
        (problems("date-not-past"), 2),
        (problems("invalid-body"), 4),
        (problems("method-not-allowed"), 6 + 1),
        (problems("not-found"), 8),
    ] {
        assert_eq!(metrics.get(&name), Some(&f64::from(4 * times)), "{name}");
    }
    assert_eq!(metrics["http_server_active_requests"], 0.0);
    let sets = metrics.iter().find(|(name, _)| {
        name.starts_with("db_client_operation_duration_seconds_count") && name.contains("\"set\"")
    });
    let (name, count) = sets.unwrap();
    assert!(name.contains(r#"db_system_name="key_value""#) && name.contains(r#"error_type="""#));
    assert_eq!(*count, 20.0);
}

#[test]
fn paths_do_not_make_series() {
    let host = operated(&[]);
    let ask = |numbers: std::ops::Range<u32>| {
        let address = host.service.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        let mut answers = stream.try_clone().unwrap();
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            answers.read_to_end(&mut all).unwrap();
            String::from_utf8_lossy(&all)
                .matches("HTTP/1.1 404")
                .count()
        });
        let count = numbers.len();
        for number in numbers {
            let close = if number as usize % count == count - 1 {
                "Connection: close\r\n"
            } else {
                ""
            };
            let request =
                format!("GET /{number}/{number}?x={number} HTTP/1.1\r\nHost: a\r\n{close}\r\n");
            stream.write_all(request.as_bytes()).unwrap();
        }
        assert_eq!(reader.join().unwrap(), count);
    };
    // The first scrape is counted nowhere, and the second knows all series that there will be.
    ask(0..100);
    host.metrics();
    let before = host.metrics().len();
    thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || ask(part * 25_000..(part + 1) * 25_000));
        }
    });
    assert_eq!(host.metrics().len(), before);
    assert_eq!(host.metric(&requests("GET", "unmatched", 404)), 100_100.0);
}

#[test]
fn failures_of_the_guest_are_counted_by_their_kind() {
    let host = guest_with_admin(&["--request-timeout", "500ms", "--route", "/{one}"]);
    for (path, times) in [("/panic", 3), ("/sleep", 2), ("/silent", 1), ("/count", 4)] {
        for _ in 0..times {
            get(&host.service, path);
        }
    }
    let failures = |reason| {
        host.metric(&format!(
            "birthday_host_guest_failures_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(failures("trap"), 3.0);
    assert_eq!(failures("timeout"), 2.0);
    assert_eq!(failures("no_answer"), 1.0);
    let metrics = host.metrics();
    assert_eq!(metrics[&requests("GET", "/{one}", 500)], 4.0);
    assert_eq!(metrics[&requests("GET", "/{one}", 504)], 2.0);
    assert_eq!(metrics[&problems("timeout")], 2.0);
    let created = metrics["birthday_host_instances_started_total"];
    let reused = metrics["birthday_host_instances_reused_total"];
    // Of the ten requests each had an instance; the check at the start had one of its own.
    assert!(
        created >= 6.0 && created + reused >= 10.0,
        "{created} {reused}"
    );
    assert_eq!(metrics["birthday_host_instances{state=\"busy\"}"], 0.0);
    assert!(metrics["birthday_host_instances{state=\"idle\"}"] >= 1.0);
    assert!(metrics["birthday_host_instance_memory_bytes"] >= 65_536.0);
}

#[test]
fn a_full_house_is_counted_and_stays_ready() {
    let host = guest_with_admin(&[
        "--max-in-flight",
        "1",
        "--request-timeout",
        "3s",
        "--ready-path",
        "/count",
    ]);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| get(&host.service, "/sleep"));
        wait_for(3 * SECOND, "a full house", || {
            get(&host.service, "/count").status == 503
        });
        assert_eq!(host.probe("/readyz"), 200);
        assert_eq!(sleeper.join().unwrap().status, 504);
    });
    assert!(host.metric("birthday_host_refused_total{reason=\"in_flight\"}") >= 1.0);
}

#[test]
fn metrics_come_in_both_formats() {
    let host = operated(&[]);
    put(&host.service, &new_username(), BORN);
    let older = host.ask("/metrics");
    assert_eq!(
        older.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let accept = [(
        "accept",
        "application/openmetrics-text; version=1.0.0,text/plain;q=0.5",
    )];
    let newer = client::send("GET", &format!("{}/metrics", host.admin), &accept, b"").unwrap();
    assert_eq!(
        newer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(newer.body.ends_with("# EOF\n"));
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
        "birthday_host_ready",
        "birthday_host_connections",
    ] {
        assert!(host.metric(name) > 0.0, "{name}");
    }
}

#[test]
fn promtool_has_nothing_to_say_of_the_metrics() {
    let Some(promtool) = birthday_tests::service::find_program("promtool") else {
        println!("skipped: there is no promtool on PATH");
        return;
    };
    let host = operated(&[]);
    put(&host.service, &new_username(), BORN);
    get(&host.service, "/hello/b0b");
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = host.ask("/metrics").body;
    check
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn dashboard_and_alerts_use_metrics_that_there_are() {
    let host = operated(&[]);
    put(&host.service, &new_username(), BORN);
    get(&host.service, "/hello/b0b");
    let metrics = host.metrics();
    let is_there = |name: &str| {
        let mut samples = metrics.keys();
        samples.any(|sample| sample.split('{').next() == Some(name))
    };
    const PREFIXES: [&str; 4] = ["birthday_host_", "db_client_", "http_server_", "process_"];
    for file in ["dashboard.json", "alerts.yaml"] {
        let text = fs::read_to_string(root().join("observability").join(file)).unwrap();
        let lines = text.lines();
        let said: Vec<&str> = lines
            .filter(|line| !line.trim_start().starts_with('#'))
            .collect();
        let text = said.join("\n");
        // Names with a colon are those of recording rules.
        let is_of_name =
            |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':');
        let words = text.split(|letter| !is_of_name(letter));
        let names: BTreeSet<&str> = words
            .filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)))
            .collect();
        assert!(names.len() > 5, "{file}: {names:?}");
        for name in names {
            assert!(is_there(name), "{file}: {name} is not in {metrics:#?}");
        }
    }
}

#[test]
fn probes_say_how_it_is() {
    let host = operated(&[]);
    for path in ["/livez", "/readyz", "/startupz"] {
        let answer = host.ask(path);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "ok\n"),
            "{path}"
        );
    }
    assert_eq!(host.probe("/"), 404);
    let post = client::send("POST", &format!("{}/livez", host.admin), &[], b"").unwrap();
    assert_eq!(
        (post.status, post.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn readiness_is_that_of_the_component() {
    let nowhere = "database_url=postgres://postgres@127.0.0.1:1/people";
    let host = operated(&["--variable", nowhere]);
    assert_eq!(host.probe("/readyz"), 503);
    assert_eq!(host.metric("birthday_host_ready"), 0.0);
    assert_eq!(host.probe("/livez"), 200);
    // Another path, another opinion.
    let host = operated(&["--variable", nowhere, "--ready-path", "/openapi.json"]);
    assert_eq!(host.probe("/readyz"), 200);
}

#[test]
fn health_asks_for_containers_without_curl() {
    let host = operated(&[]);
    let health = |arguments: &[&str], admin: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_birthday-host"))
            .arg("health")
            .args(arguments)
            .env("BIRTHDAY_ADMIN", admin)
            .output()
            .unwrap();
        output.status.code()
    };
    let address = host.admin.trim_start_matches("http://");
    assert_eq!(health(&[], address), Some(0));
    assert_eq!(
        health(&[], &address.replace("127.0.0.1", "0.0.0.0")),
        Some(0)
    );
    assert_eq!(
        health(&[&format!("{}/health", host.service.url)], "off"),
        Some(0)
    );
    assert_eq!(
        health(&[&format!("{}/nothing", host.service.url)], "off"),
        Some(1)
    );
    assert_eq!(health(&[], "127.0.0.1:1"), Some(1));
    assert_eq!(health(&[], "off"), Some(64));
}

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
        wait_for_log(&service, id);
        let log = service.log();
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
    let mut command = command(&["--log-format", "json"]);
    command
        .arg("--component")
        .arg(component("birthday_test_guest.wasm"));
    let service = Service::start(&mut command);
    let url = format!("{}/log", service.url);
    client::send("GET", &url, &[("x-request-id", "abc-1")], b"").unwrap();
    client::send("GET", &url, &[("x-request-id", "abc-2")], b"").unwrap();
    wait_for_log(&service, "abc-2");
    let log = service.log();
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
fn a_log_that_nobody_reads_holds_nobody_up() {
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
    assert_eq!(idle.read(&mut buffer).unwrap(), 0);
    // The other half may still come, for a while.
    assert_eq!(half.read(&mut buffer).unwrap_or_default(), 0);
    assert!(service.wait().success());
    assert!(told.elapsed() < 5 * SECOND, "{:?}", told.elapsed());
}

#[test]
fn what_is_not_done_in_the_grace_is_cut_off() {
    let mut service = host_of_guest(&["--shutdown-grace", "500ms"]);
    let request = b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut caller = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    caller.write_all(request).unwrap();
    thread::sleep(SECOND / 5);
    let told = Instant::now();
    service.signal(Signal::TERM);
    assert!(service.wait().success());
    let took = told.elapsed();
    assert!((500..5000).contains(&took.as_millis()), "{took:?}");
    wait_for_log(&service, "were cut off");
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut service = host_of_guest(&["--drain-delay", "20s"]);
        service.signal(Signal::INT);
        wait_for_log(&service, "draining");
        let told = Instant::now();
        service.signal(signal);
        assert_eq!(service.wait().code(), Some(code));
        assert!(told.elapsed() < 5 * SECOND, "{:?}", told.elapsed());
    }
}
