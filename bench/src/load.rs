//! Load: by wrk, as much as the server takes, and by oha, at a given rate.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// One of this number of requests may get a wrong answer or none.
const MAX_ERRORS: u64 = 1000;

/// The kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `GET /hello/<a person drawn at random>`
    Get,
    /// `PUT /hello/<a person drawn at random>`
    Put,
    /// `GET /health`
    Health,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Health => "health",
        }
    }
}

/// The figures of the clients.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Seen {
    pub requests: u64,
    pub seconds: f64,
    pub errors: u64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
}

impl Seen {
    /// With a thousand connections, one of them may fail.
    pub fn is_fine(&self) -> bool {
        self.errors <= self.requests / MAX_ERRORS
    }

    pub fn per_second(&self) -> f64 {
        self.count() / self.seconds
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
    pub fn count(&self) -> f64 {
        self.requests as f64
    }
}

/// The load generators. One thread: the server and its database need the rest of a small machine.
pub struct Load {
    wrk: PathBuf,
    oha: PathBuf,
    folder: TempDir,
    people: u32,
}

impl Load {
    /// Of people numbered from 0 up to, but without, `people`; by the program `oha`, and `wrk` on PATH.
    pub fn new(oha: PathBuf, people: u32) -> Self {
        let folder = TempDir::with_prefix("birthday-bench-").expect("a temporary folder");
        fs::write(folder.path().join("load.lua"), include_str!("load.lua")).expect("it is ours");
        Self {
            wrk: "wrk".into(),
            oha,
            folder,
            people,
        }
    }

    /// As many requests as the server takes from `connections`, each with one request in flight.
    pub fn closed(&self, url: &str, kind: Kind, connections: u32, seconds: u32) -> Seen {
        self.wrk(
            url,
            connections,
            seconds,
            &[kind.name(), &self.people.to_string()],
        )
    }

    /// `PUT`s each person once.
    pub fn fill(&self, url: &str) {
        let (connections, seconds) = (64, 2);
        let mut first = 0;
        while first < u64::from(self.people) {
            let arguments = ["fill", &self.people.to_string(), &first.to_string()];
            let seen = self.wrk(url, connections, seconds, &arguments);
            // Requests in flight at the end may not have been answered.
            first += seen.requests.saturating_sub(u64::from(connections));
        }
    }

    fn wrk(&self, url: &str, connections: u32, seconds: u32, arguments: &[&str]) -> Seen {
        let mut command = Command::new(&self.wrk);
        command
            .args(["--threads", "1", "--timeout", "10s", "--connections"])
            .arg(connections.to_string())
            .args(["--duration", &format!("{seconds}s"), "--script"])
            .arg(self.folder.path().join("load.lua"))
            .args([url, "--"])
            .args(arguments);
        let output = run(&mut command);
        let summary = output
            .lines()
            .find_map(|line| line.strip_prefix("SUMMARY "));
        let summary = summary.unwrap_or_else(|| panic!("wrk says no SUMMARY: {output}"));
        serde_json::from_str(summary).expect("load.lua writes it")
    }

    /// `GET`s at a given rate per second, from 64 connections. The rate does not depend on the answers: the time that
    /// a request waits for a free connection counts as part of its latency. Without a rate, as many as the server takes.
    pub fn open(&self, url: &str, per_second: Option<f64>, seconds: u32) -> Seen {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Output {
            summary: Summary,
            latency_percentiles: Percentiles,
            status_code_distribution: serde_json::Map<String, serde_json::Value>,
            error_distribution: serde_json::Map<String, serde_json::Value>,
        }
        #[derive(Deserialize)]
        struct Summary {
            total: f64,
        }
        #[derive(Deserialize)]
        struct Percentiles {
            p50: f64,
            p99: f64,
            #[serde(rename = "p99.9")]
            p999: f64,
        }

        let digits = self.people.ilog10() as usize;
        assert_eq!(
            10_u32.pow(self.people.ilog10()),
            self.people,
            "a power of ten"
        );
        let names = format!("{}[a-j]{{{digits}}}", "a".repeat(8 - digits));
        let mut command = Command::new(&self.oha);
        command
            .args(["--no-tui", "--output-format", "json", "-c", "64", "-z"])
            .arg(format!("{seconds}s"));
        if let Some(per_second) = per_second {
            command.args(["--latency-correction", "-q", &format!("{per_second:.0}")]);
        }
        command
            .arg("--rand-regex-url")
            .arg(format!("{url}/hello/{names}"));
        let output: Output = serde_json::from_str(&run(&mut command)).expect("oha writes JSON");
        let count = |map: &serde_json::Map<String, serde_json::Value>| -> u64 {
            map.values().filter_map(serde_json::Value::as_u64).sum()
        };
        let answered = count(&output.status_code_distribution);
        let fine = output.status_code_distribution.get("200");
        let fine = fine.and_then(serde_json::Value::as_u64).unwrap_or_default();
        let mut errors = output.error_distribution;
        // Requests in flight at the end.
        errors.remove("aborted due to deadline");
        let us = 1e6;
        Seen {
            requests: answered,
            seconds: output.summary.total,
            errors: answered - fine + count(&errors),
            p50_us: output.latency_percentiles.p50 * us,
            p99_us: output.latency_percentiles.p99 * us,
            p999_us: output.latency_percentiles.p999 * us,
        }
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The name of the person with this number.
pub fn name(number: u32) -> String {
    let digits = format!("{number:08}");
    digits
        .bytes()
        .map(|digit| char::from(digit - b'0' + b'a'))
        .collect()
}
