//! What the operator sees of the host: metrics and probes.

use crate::support::{HOST, cluster_with_people, get, guest_with_admin, operated, put};
use birthday_tests::client;
use birthday_tests::contract::new_username;
use birthday_tests::service::root;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use test_support::cluster::Cluster;
use test_support::wait::wait_for;

const BORN: &str = "1988-02-29";

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
fn refused_requests_are_counted_and_the_host_stays_ready() {
    let host = guest_with_admin(&[
        "--max-in-flight",
        "1",
        "--request-timeout",
        "5s",
        "--ready-path",
        "/count",
    ]);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| get(&host.service, "/sleep"));
        host.wait_until_busy(1);
        assert_eq!(get(&host.service, "/count").status, 503);
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
    let Some(promtool) = test_support::machine::find_program("promtool") else {
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
fn a_host_whose_store_was_never_there_is_not_ready() {
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
fn a_host_stays_ready_through_an_outage_unless_it_is_asked_each_time() {
    let mut cluster = cluster_with_people(&["fsync=off"]);
    let variable = format!("database_url={}", cluster.address("people"));
    let host = operated(&["--variable", &variable]);
    let asked = operated(&["--variable", &variable, "--ready-path", "/health"]);
    for host in [&host, &asked] {
        assert_eq!(host.probe("/readyz"), 200);
    }
    cluster.shut_down();
    wait_for(Duration::from_secs(5), "an outage", || {
        asked.probe("/readyz") == 503
    });
    assert_eq!(host.probe("/readyz"), 200);
    assert_eq!(get(&host.service, "/health").status, 503);
    wait_for(Duration::from_secs(5), "the metric", || {
        host.metric("birthday_host_ready") == 0.0
    });
    assert_eq!(host.probe("/readyz"), 200);
}

/// The role `reader` may do what `grants` allow.
#[track_caller]
fn check_health(cluster: &Cluster, grants: &str, expected: u16, reason: &str) {
    cluster.run_sql("people", grants);
    let address = cluster.address("people").replace("postgres@", "reader@");
    let variable = format!("database_url={address}");
    let host = operated(&["--variable", &variable]);
    let answer = get(&host.service, "/health");
    assert_eq!(answer.status, expected, "{grants}: {answer:?}");
    assert_eq!(host.probe("/readyz"), expected, "{grants}");
    host.service.wait_for_log(reason);
}

#[test]
fn health_is_bad_where_people_cannot_be_written() {
    let cluster = cluster_with_people(&["fsync=off"]);
    cluster.run_sql(
        "people",
        "CREATE ROLE reader LOGIN; REVOKE CREATE ON SCHEMA public FROM public",
    );
    check_health(&cluster, "SELECT 1", 503, "the role may not create it");
    let table = "CREATE TABLE people (username text PRIMARY KEY, date_of_birth date NOT NULL)";
    check_health(&cluster, table, 503, "the role may not read people");
    let select = "GRANT SELECT ON people TO reader";
    check_health(&cluster, select, 503, "the role may not write people");
    let insert = "GRANT INSERT ON people TO reader";
    check_health(&cluster, insert, 503, "the role may not write people");
    check_health(&cluster, "GRANT UPDATE ON people TO reader", 200, "");
    let read_only = "ALTER ROLE reader SET default_transaction_read_only = on";
    check_health(&cluster, read_only, 503, "the database is read-only");
}

#[test]
fn health_asks_for_containers_without_curl() {
    let host = operated(&[]);
    let health = |arguments: &[&str], admin: &str| {
        let output = Command::new(HOST)
            .arg("health")
            .args(arguments)
            .env("BIRTHDAY_ADMIN", admin)
            // A proxy that is not there must not be asked.
            .env("HTTP_PROXY", "http://127.0.0.1:1")
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
