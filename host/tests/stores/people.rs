//! Many people at a time.

use birthday_tests::client;
use birthday_tests::service::Service;
use std::fmt::Write;
use std::process::Command;

const TOKEN: &str = "token";

/// With the token that many people need.
pub fn with_token(mut command: Command) -> Command {
    command.args(["--variable", "api_token=token"]);
    command
}

/// `count` people as lines of JSON, ordered by name.
pub fn lines(count: u32) -> String {
    let mut lines = String::new();
    for number in 0..count {
        let letters =
            [17_576, 676, 26, 1].map(|place| char::from(b'a' + (number / place % 26) as u8));
        let name = String::from_iter(letters);
        writeln!(
            lines,
            r#"{{"username":"{name}","dateOfBirth":"2000-10-01"}}"#
        )
        .unwrap();
    }
    lines
}

/// Stores, saves and removes `count` people.
#[track_caller]
pub fn check(service: &Service, count: u32) {
    let people = lines(count);
    let populated = send(service, "POST", "/populate", people.as_bytes());
    assert_eq!(
        populated,
        (200, format!(r#"{{"stored":{count},"skipped":0}}"#))
    );
    let (status, exported) = send(service, "GET", "/export", b"");
    assert_eq!(status, 200);
    let lines = exported.lines().count();
    assert!(
        exported == people,
        "{lines} of {count} people, {}",
        service.log()
    );
    assert_eq!(send(service, "DELETE", "/delete", b"").0, 204);
    assert_eq!(send(service, "GET", "/export", b""), (200, String::new()));
}

fn send(service: &Service, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let authorization = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/x-ndjson"),
    ];
    let url = format!("{}{path}", service.url);
    let answer = client::send(method, &url, &headers, body).expect("the service answers");
    (answer.status, answer.body)
}
