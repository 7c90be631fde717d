//! Where a component may connect to. A hostile application asks for what it should not reach.

use crate::support::{
    Operated, cluster_with_people, command, get, guest_command, guest_with_admin, host_of_guest,
    operated_by,
};
use birthday_tests::service::Service;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;
use test_support::wait::wait_for;

/// What nobody has allowed, in every spelling: the metadata of clouds, this machine, private networks.
const SPECIAL: [&str; 22] = [
    "http://169.254.169.254/latest/meta-data",
    "http://[fd00:ec2::254]/latest/meta-data",
    "http://[::ffff:169.254.169.254]/",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0.0.0.0/",
    "http://0/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
];

/// How wasi:http says that a destination is refused, and that an address of it is.
const DENIED: &str = "HttpRequestDenied";
const PROHIBITED: &str = "DestinationIpProhibited";

fn guest(rules: &[&str]) -> Service {
    let rules: Vec<&str> = rules
        .iter()
        .flat_map(|rule| ["--allow-outbound", *rule])
        .collect();
    host_of_guest(&rules)
}

#[track_caller]
fn check_refused(service: &Service, path: &str, errors: &[&str]) {
    let answer = get(service, path);
    let is_known = errors.iter().any(|error| answer.body.contains(error));
    assert!(answer.status == 500 && is_known, "{path}: {answer:?}");
}

/// A server that answers every request with `answer`. Returns its address.
fn server(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn redirection(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

#[test]
fn nothing_is_reached_by_default() {
    let service = guest(&[]);
    for url in SPECIAL
        .iter()
        .chain(&["http://example.com/", "https://example.com/"])
    {
        check_refused(&service, &format!("/fetch?{url}"), &[DENIED]);
    }
    for address in [
        "postgres://u@127.0.0.1/d",
        "postgres://u@/d?host=/run",
        "host=10.0.0.1 user=u",
    ] {
        let path = format!("/postgres-connect?{}", address.replace(' ', "%20"));
        check_refused(&service, &path, &["is not permitted", "BadParameter"]);
    }
}

#[test]
fn no_spelling_of_a_special_address_is_reached_where_every_name_is_allowed() {
    let service = guest(&["*://*:*"]);
    for url in SPECIAL {
        check_refused(&service, &format!("/fetch?{url}"), &[DENIED, PROHIBITED]);
    }
    // A name of this machine, which has an address in a private network or of loopback.
    let name = Command::new("hostname").output().unwrap();
    let name = String::from_utf8(name.stdout).unwrap();
    let path = format!("/fetch?http://{}/", name.trim());
    check_refused(&service, &path, &[PROHIBITED, "DnsError"]);
    let path = "/postgres-connect?postgres://u@localhost/d";
    check_refused(&service, path, &["is not permitted"]);
    // No rule is for files, by which a component could try out which ones the host can read.
    let path =
        "/postgres-connect?postgres://u@db.example.com/d?sslcert=/etc/passwd&sslkey=/nowhere";
    check_refused(&service, path, &["/etc/passwd is not permitted"]);
}

#[test]
fn the_admin_listener_is_not_reached() {
    let operated = guest_with_admin(&["--allow-outbound", "http://*:*"]);
    for host in ["127.0.0.1", "127.1", "localhost", "[::ffff:127.0.0.1]"] {
        let port = operated.admin.rsplit(':').next().unwrap();
        let path = format!("/fetch?http://{host}:{port}/metrics");
        check_refused(&operated.service, &path, &[DENIED, PROHIBITED]);
    }
}

#[test]
fn a_redirection_is_checked_anew() {
    for to in SPECIAL {
        let address = server(redirection(to));
        let rule = format!("http://{address}");
        let service = guest(&[&rule, "https://*:*"]);
        check_refused(&service, &format!("/follow?http://{address}/"), &[DENIED]);
    }
}

#[test]
fn what_is_allowed_is_reached_by_the_names_that_were_given() {
    let address =
        server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned());
    let (_, port) = address.rsplit_once(':').unwrap();
    let allowed = |rule: &str, host: &str| {
        let service = guest(&[rule]);
        let answer = get(&service, &format!("/fetch?http://{host}:{port}/"));
        answer.body == "200 2"
    };
    assert!(allowed(&format!("http://127.0.0.1:{port}"), "127.0.0.1"));
    assert!(allowed(&format!("*://localhost:{port}"), "localhost"));
    assert!(allowed("http://127.0.0.0/8:*", "127.0.0.1"));
    assert!(!allowed(&format!("https://127.0.0.1:{port}"), "127.0.0.1"));
    assert!(!allowed("http://127.0.0.1:1", "127.0.0.1"));
    assert!(!allowed(&format!("http://127.0.0.1:{port}"), "localhost"));
}

#[test]
fn a_database_that_is_named_is_reached_and_no_other() {
    let cluster = cluster_with_people(&["fsync=off"]);
    cluster.create_database("other");
    let address = cluster.address("people");
    let by_setting = host_of_guest(&["--variable", &format!("database_url={address}")]);
    let connect = |service: &Service, address: &str| {
        get(service, &format!("/postgres-connect?{address}")).body
    };
    assert_eq!(connect(&by_setting, &address), "connected");
    // The same server, and another one.
    assert_eq!(connect(&by_setting, &cluster.address("other")), "connected");
    let elsewhere = connect(&by_setting, "postgres://u@127.0.0.1:1/d");
    assert!(elsewhere.contains("is not permitted"), "{elsewhere}");
    let by_rule = guest(&["postgres://127.0.0.0/8:*", "postgres://localhost:*"]);
    assert_eq!(connect(&by_rule, &address), "connected");
}

#[test]
fn refusals_are_counted_and_logged_once_for_each_destination() {
    let operated: Operated = guest_with_admin(&["--allow-outbound", "http://*:80"]);
    for _ in 0..3 {
        for url in ["http://10.0.0.1/", "http://localhost/", "http://10.0.0.2/"] {
            get(&operated.service, &format!("/fetch?{url}"));
        }
    }
    let count = |reason: &str| {
        operated.metric(&format!(
            "birthday_host_egress_refused_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(count("destination"), 6.0);
    assert!(count("address") >= 3.0);
    let log = operated.service.log();
    for destination in ["10.0.0.1:80", "10.0.0.2:80", "localhost:80"] {
        let line = format!("the component may not connect to \"http://{destination}\"");
        assert_eq!(log.matches(&line).count(), 1, "{log}");
    }
    let failed = "http_client_request_duration_seconds_count{http_request_method=\"GET\",\
        http_response_status_code=\"0\",error_type=\"request_denied\"}";
    assert_eq!(operated.metric(failed), 6.0);
}

#[test]
fn made_up_destinations_are_counted_and_do_not_fill_the_log() {
    let operated = guest_with_admin(&[]);
    for number in 0..200 {
        get(
            &operated.service,
            &format!("/fetch?http://x{number}.example/"),
        );
    }
    let count = operated.metric("birthday_host_egress_refused_total{reason=\"destination\"}");
    assert_eq!(count, 200.0);
    let lines = operated.service.log().matches("may not connect to").count();
    assert!((1..=64).contains(&lines), "{lines}");
}

#[test]
fn connections_are_kept_for_the_next_request() {
    let upstream = operated_by(command(&[]));
    let service = guest(&[&upstream.service.url]);
    for _ in 0..100 {
        let answer = get(&service, &format!("/fetch?{}/health", upstream.service.url));
        assert_eq!(answer.body, "200 15");
    }
    // One for each thread of the host. The pool looks for those that are too old as often as they may be idle.
    let open = upstream.metric("birthday_host_connections");
    assert!((1.0..=2.0).contains(&open), "{open}");
    wait_for(
        Duration::from_secs(40),
        "the end of idle connections",
        || upstream.metric("birthday_host_connections") == 0.0,
    );
}

#[test]
fn a_rule_that_is_none_ends_the_start() {
    for rule in [
        "example.com",
        "http://example.com/path",
        "http://example.com:x",
    ] {
        let output = command(&["--allow-outbound", rule]).output().unwrap();
        assert_eq!(output.status.code(), Some(64));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("--allow-outbound") && said.contains(rule),
            "{said}"
        );
    }
    let mut command = guest_command(&[]);
    command.env("BIRTHDAY_ALLOW_OUTBOUND", "http://a.example,nonsense");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(64));
}
