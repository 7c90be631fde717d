//! What the operator does: filling the store, saving and emptying it. Each trial has the service for itself meanwhile.

use crate::client::{self, Answer};
use crate::contract::TOKEN;
use crate::upstream::{Behavior, KEY, Upstream};
use libtest_mimic::{Failed, Trial};
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A service with a token and a source of people.
#[derive(Clone)]
struct Operated {
    base_url: String,
    upstream: Upstream,
}

type Check = fn(&Operated) -> Result<(), Failed>;

const CLAIMS: [(&str, Check); 9] = [
    ("an empty store exports nothing", empty),
    ("what was exported can be restored", restore),
    ("lines that break a rule are skipped", skipped),
    ("the last date of a name counts", last_date),
    ("people are fetched, with the key", fetched),
    ("a source that fails stores nothing", failing_source),
    ("a source that is silent is not waited for", silent_source),
    ("two may fill it at once", two_at_once),
    ("only the token's owner may, by the right method", refused),
];

/// A trial for every claim about the service at `base_url`, which has [`TOKEN`] and fetches people from `upstream`.
pub fn trials(runtime: &str, base_url: &str, upstream: &Upstream) -> Vec<Trial> {
    let turn = Arc::new(Mutex::new(()));
    let operated = Operated {
        base_url: base_url.to_owned(),
        upstream: upstream.clone(),
    };
    let trial = |(claim, check): (&str, Check)| {
        let (operated, turn) = (operated.clone(), turn.clone());
        Trial::test(format!("{runtime}: operator: {claim}"), move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            operated.expect("DELETE", "/delete", "", "", 204, "")?;
            check(&operated)
        })
    };
    CLAIMS.into_iter().map(trial).collect()
}

const NDJSON: &str = "application/x-ndjson";

impl Operated {
    fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> Result<Answer, Failed> {
        let authorization = format!("Bearer {TOKEN}");
        let mut headers = vec![("authorization", authorization.as_str())];
        if !kind.is_empty() {
            headers.push(("content-type", kind));
        }
        let url = format!("{}{path}", self.base_url);
        Ok(client::send(method, &url, &headers, body.as_bytes())?)
    }

    fn expect(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
        status: u16,
        answer: &str,
    ) -> Result<(), Failed> {
        let found = self.send(method, path, kind, body)?;
        match found.status == status && found.body == answer {
            true => Ok(()),
            false => {
                Err(format!("{method} {path}: {status} {answer} was expected: {found:?}").into())
            }
        }
    }

    fn populate(&self, lines: &str, stored: usize, skipped: usize) -> Result<(), Failed> {
        let answer = format!(r#"{{"stored":{stored},"skipped":{skipped}}}"#);
        self.expect("POST", "/populate", NDJSON, lines, 200, &answer)
    }

    fn fetch(&self, stored: usize, skipped: usize) -> Result<(), Failed> {
        let answer = format!(r#"{{"stored":{stored},"skipped":{skipped}}}"#);
        self.expect("POST", "/populate", "", "", 200, &answer)
    }

    fn export(&self) -> Result<String, Failed> {
        let answer = self.send("GET", "/export", "", "")?;
        match (answer.status, answer.header("content-type")) {
            (200, Some(NDJSON)) => Ok(answer.body),
            _ => Err(format!("no export: {answer:?}").into()),
        }
    }

    fn expect_export(&self, lines: &str) -> Result<(), Failed> {
        let found = self.export()?;
        match found == lines {
            true => Ok(()),
            false => {
                Err(format!("{} bytes and not {} are exported", found.len(), lines.len()).into())
            }
        }
    }
}

/// A username of letters for a number; the order of names is that of numbers.
fn username(number: usize) -> String {
    let digits = [676 * 26, 676, 26, 1].map(|place| number / place % 26);
    let letter = |digit| char::from(b'A' + u8::try_from(digit).unwrap_or_default());
    let lower = |digit| letter(digit).to_ascii_lowercase();
    digits[..2]
        .iter()
        .copied()
        .map(letter)
        .chain(digits[2..].iter().copied().map(lower))
        .collect()
}

fn line(number: usize) -> String {
    let (year, month, day) = (1 + number % 2000, 1 + number % 12, 1 + number % 28);
    format!(
        "{{\"username\":\"{}\",\"dateOfBirth\":\"{year:04}-{month:02}-{day:02}\"}}\n",
        username(number)
    )
}

fn lines(numbers: impl Iterator<Item = usize>) -> String {
    numbers.fold(String::new(), |mut lines, number| {
        let _ = lines.write_str(&line(number));
        lines
    })
}

fn empty(operated: &Operated) -> Result<(), Failed> {
    operated.expect_export("")?;
    operated.populate("", 0, 0)?;
    operated.populate("\n \n\r\n", 0, 0)
}

/// More than one page, and more than are stored together.
const MANY: usize = 5000;

fn restore(operated: &Operated) -> Result<(), Failed> {
    // In another order than that of the names.
    let backwards = lines((0..MANY).rev());
    operated.populate(&backwards, MANY, 0)?;
    let exported = operated.export()?;
    if exported != lines(0..MANY) {
        return Err("the export is not what was stored, in the order of the names".into());
    }
    operated.expect("DELETE", "/delete", "", "", 204, "")?;
    operated.expect_export("")?;
    operated.populate(&exported, MANY, 0)?;
    operated.populate(&exported, MANY, 0)?;
    operated.expect_export(&exported)
}

fn skipped(operated: &Operated) -> Result<(), Failed> {
    let long = format!(
        "{{\"username\":\"ann\",\"x\":\"{}\"}}\n",
        "x".repeat(100_000)
    );
    let broken = [
        "no JSON\n",
        "[\"bob\",\"2000-10-01\"]\n",
        "{\"username\":\"b0b\",\"dateOfBirth\":\"2000-10-01\"}\n",
        "{\"username\":\"bob\",\"dateOfBirth\":\"2999-10-01\"}\n",
        "{\"username\":\"bob\",\"username\":\"bob\",\"dateOfBirth\":\"2000-10-01\"}\n",
        "{\"username\":\"<script>\",\"dateOfBirth\":\"2000-10-01\"}\n",
        &long,
    ];
    let body = [&line(1), &broken.concat(), line(0).trim_end()].concat();
    operated.populate(&body, 2, broken.len())?;
    operated.expect_export(&lines(0..2))
}

fn last_date(operated: &Operated) -> Result<(), Failed> {
    let later = line(0).replace("0001-01-01", "1999-12-31");
    operated.populate(&[line(0), later.clone()].concat(), 2, 0)?;
    operated.expect_export(&later)
}

fn fetched(operated: &Operated) -> Result<(), Failed> {
    let ours = format!("[{},{},7]", line(0).trim_end(), line(1).trim_end());
    let random = r#"{"results":[{"name":{"first":"Zoe"},"dob":{"date":"1993-07-20T09:44:18.674Z","age":33}},
        {"name":{"first":"Zo\u00eb"},"dob":{"date":"1993-07-20T09:44:18.674Z"}}],"info":{"version":"1.4"}}"#;
    let zoe = "{\"username\":\"Zoe\",\"dateOfBirth\":\"1993-07-20\"}\n";
    operated.upstream.set(Behavior::Content(ours.clone()));
    operated.fetch(2, 1)?;
    operated.upstream.set(Behavior::Content(random.to_owned()));
    operated.fetch(1, 1)?;
    operated.expect_export(&[&lines(0..2), zoe].concat())?;
    operated
        .upstream
        .set(Behavior::Redirect("/elsewhere", ours));
    operated.fetch(2, 1)?;
    let requests = operated.upstream.requests();
    let has_key = |head: &String| {
        let key = format!("authorization: bearer {KEY}\r\n").to_ascii_lowercase();
        head.to_ascii_lowercase().contains(&key)
    };
    let paths = ["GET /people?format=json ", "GET /elsewhere "];
    let is_right = |(head, path): (&String, &str)| head.starts_with(path) && has_key(head);
    match requests.len() == 2 && requests.iter().zip(paths).all(is_right) {
        true => Ok(()),
        false => Err(format!("the source was sent {requests:?}").into()),
    }
}

fn failing_source(operated: &Operated) -> Result<(), Failed> {
    operated.populate(&line(0), 1, 0)?;
    let person = line(1);
    let person = person.trim_end();
    let head = |status: &str, headers: &str| {
        format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n")
    };
    let redirect = |to: &str| {
        head(
            "302 Found",
            &format!("Location: {to}\r\nContent-Length: 0\r\n"),
        )
    };
    let behaviors = [
        Behavior::Content(String::new()),
        Behavior::Content("<html>".to_owned()),
        Behavior::Content("{}".to_owned()),
        Behavior::Content(format!("[{person}")),
        Behavior::Content(format!("[{person}]{}", " ".repeat(1024 * 1024))),
        Behavior::Content("[".repeat(500_000)),
        Behavior::Raw(format!(
            "{}[{person}]",
            head("500 Internal Server Error", "")
        )),
        Behavior::Raw(head("204 No Content", "")),
        Behavior::Raw(format!(
            "{}[{person}]",
            head("200 OK", "Content-Encoding: gzip\r\n")
        )),
        // It lies about its length, and breaks off.
        Behavior::Raw(format!(
            "{}[{person}]",
            head("200 OK", "Content-Length: 1000\r\n")
        )),
        Behavior::Raw(format!(
            "{}5\r\n[{person}",
            head("200 OK", "Transfer-Encoding: chunked\r\n")
        )),
        Behavior::Raw("HTTP/1.1 200".to_owned()),
        Behavior::Raw("no HTTP at all\r\n\r\n".to_owned()),
        Behavior::Raw(String::new()),
        // Round in a circle, nowhere, and where a redirection does not lead.
        Behavior::Raw(redirect("/people?format=json")),
        Behavior::Raw(head("302 Found", "Content-Length: 0\r\n")),
        Behavior::Raw(redirect("file:///etc/passwd")),
        Behavior::Raw(redirect("//127.0.0.1/")),
        Behavior::Raw(redirect("http://user@127.0.0.1/")),
    ];
    for behavior in behaviors {
        let said: String = format!("{behavior:?}").chars().take(80).collect();
        operated.upstream.set(behavior);
        let answer = operated.send("POST", "/populate", "", "")?;
        if (answer.status, answer.problem().as_deref()) != (502, Some("upstream-failed")) {
            return Err(format!("{said}: {answer:?}").into());
        }
        operated
            .expect_export(&line(0))
            .map_err(|error| format!("{said}: {error:?}"))?;
    }
    Ok(())
}

fn silent_source(operated: &Operated) -> Result<(), Failed> {
    operated
        .upstream
        .set(Behavior::Silent(Duration::from_secs(20)));
    let began = std::time::Instant::now();
    let answer = operated.send("POST", "/populate", "", "")?;
    let took = began.elapsed();
    let is_in_time = (9..15).contains(&took.as_secs());
    match (answer.status, is_in_time) {
        (502, true) => Ok(()),
        _ => Err(format!("after {took:?}: {answer:?}").into()),
    }
}

fn two_at_once(operated: &Operated) -> Result<(), Failed> {
    let (up, down) = (lines(0..MANY), lines((0..MANY).rev()));
    std::thread::scope(|scope| {
        let fillers =
            [&up, &down, &up].map(|lines| scope.spawn(|| operated.populate(lines, MANY, 0)));
        fillers
            .into_iter()
            .try_for_each(|filler| match filler.join() {
                Ok(outcome) => outcome,
                Err(_) => Err("a filler panicked".into()),
            })
    })?;
    operated.expect_export(&up)
}

fn refused(operated: &Operated) -> Result<(), Failed> {
    operated.populate(&line(0), 1, 0)?;
    for (request, allow) in [
        ("POST /populate", "POST"),
        ("GET /export", "GET, HEAD"),
        ("DELETE /delete", "DELETE"),
    ] {
        let (method, path) = request.split_once(' ').ok_or("a method and a path")?;
        let url = format!("{}{path}", operated.base_url);
        for headers in [&[][..], &[("authorization", "Bearer wrong")][..]] {
            let answer = client::send(method, &url, headers, b"")?;
            if answer.problem().as_deref() != Some("unauthorized") {
                return Err(format!("{request} without the token: {answer:?}").into());
            }
        }
        let answer = operated.send("PATCH", path, "", "")?;
        if (answer.status, answer.header("allow")) != (405, Some(allow)) {
            return Err(format!("PATCH {path}: {answer:?}").into());
        }
    }
    for kind in [
        "",
        "application/json",
        "application/x-www-form-urlencoded",
        "application/x-ndjsonx",
    ] {
        let answer = operated.send("POST", "/populate", kind, &line(1))?;
        let found = (
            answer.status,
            answer.problem(),
            answer.header("accept-post"),
        );
        if found != (415, Some("unsupported-media-type".to_owned()), Some(NDJSON)) {
            return Err(format!("{kind}: {answer:?}").into());
        }
    }
    operated.expect_export(&line(0))
}
