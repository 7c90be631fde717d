//! The machine of a run, and the versions.

use crate::server::Programs;
use birthday_tests::service::root;
use procfs::{CpuInfo, Current, Meminfo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use test_support::machine::find_program;
use time::OffsetDateTime;
use time::macros::format_description;

#[derive(Serialize, Deserialize)]
pub struct Machine {
    /// `YYYY-MM-DD`
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub memory_gb: u64,
    pub versions: BTreeMap<String, String>,
}

pub fn describe(programs: &Programs, oha: &Path) -> Machine {
    let processors = CpuInfo::current().expect("/proc can be read");
    let memory = Meminfo::current().expect("/proc can be read");
    let now = OffsetDateTime::now_utc();
    let mut versions = BTreeMap::new();
    let mut add = |name: &str, version: Option<String>| {
        if let Some(version) = version {
            versions.insert(name.to_owned(), version);
        }
    };
    let first_line = |program: &Path, flag: &str| {
        let output = Command::new(program).arg(flag).output().ok()?;
        let said = [output.stdout, output.stderr].concat();
        Some(String::from_utf8_lossy(&said).lines().next()?.to_owned())
    };
    add("birthday-host", first_line(&programs.host, "--version"));
    add("Linux", first_line(Path::new("uname"), "-r"));
    add("wrk", first_line(Path::new("wrk"), "-v"));
    add("oha", first_line(oha, "--version"));
    add("rustc", first_line(Path::new("rustc"), "--version"));
    add("PostgreSQL", first_line(Path::new("psql"), "--version"));
    add(
        "Spin",
        find_program("spin").and_then(|spin| first_line(&spin, "--version")),
    );
    add("Python", first_line(&programs.python, "--version"));
    for (file, names) in [
        (
            "Cargo.lock",
            &["wasmtime", "hyper", "tokio-postgres", "rusqlite"][..],
        ),
        (
            "bench/Cargo.lock",
            &["axum", "deadpool-postgres", "sqlx", "tokio"][..],
        ),
    ] {
        for name in names {
            add(name, locked(&root().join(file), name));
        }
    }
    for line in fs::read_to_string(programs.fastapi.join("requirements.txt"))
        .unwrap_or_default()
        .lines()
    {
        if let Some((name @ ("fastapi" | "uvicorn" | "sqlmodel" | "psycopg"), version)) =
            line.split_once("==")
        {
            add(name, Some(version.to_owned()));
        }
    }
    Machine {
        date: now
            .date()
            .format(format_description!("[year]-[month]-[day]"))
            .expect("a date has all of it"),
        processor: processors.model_name(0).unwrap_or("unknown").to_owned(),
        cores: processors.num_cores(),
        memory_gb: memory.mem_total.div_ceil(1 << 30),
        versions,
    }
}

impl Machine {
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{}, on {} cores of a shared machine ({}) with {} GB; clients, servers and Postgres all on these cores.",
            self.date, self.cores, self.processor, self.memory_gb
        );
        for (name, version) in &self.versions {
            // Most programs print their own name.
            let version = version.trim_start_matches(name.as_str()).trim();
            let _ = write!(text, " {name} {version},");
        }
        text.pop();
        text + ".\n"
    }
}

/// The version of a package in a lock file.
fn locked(file: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, rest) = text.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split('"').next()?.to_owned())
}
