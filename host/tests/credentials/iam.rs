//! A database whose passwords are tokens of AWS IAM. The server is PostgreSQL with TLS, which asks a directory whether a token is
//! right, as RDS does by PAM; the directory verifies the signature, and takes a token only for seconds.

use super::aws::Token;
use super::{directory, replace};
use crate::rolling::load::{Outcome, under_load};
use crate::support::{cluster_with_people, command, get};
use birthday_tests::load::RaisedOnDrop;
use birthday_tests::service::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use test_support::cluster::Cluster;
use test_support::tls::Authority;
use test_support::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(20);

const HOST: &str = "db.c9akciq32.eu-west-1.rds.amazonaws.com";

/// How long the server takes a token, in place of 15 minutes.
const TOKEN_LIFETIME: Duration = Duration::from_secs(10);

/// How long a key of AWS is valid, in place of hours, and how often there is a new one.
const KEY_LIFETIME: Duration = Duration::from_secs(20);
const KEY_INTERVAL: Duration = Duration::from_secs(2);

/// So many requests end between two steps: what 200 per second are in two seconds.
const REQUESTS: usize = 400;

/// A key of AWS, as a program that AWS calls a credential process prints it.
struct Key {
    id: String,
    secret: String,
    expires: SystemTime,
}

impl Key {
    /// One that lasts longer than a test.
    fn lasting(number: usize) -> Self {
        Self::new(number, Duration::from_secs(3600))
    }

    fn new(number: usize, lifetime: Duration) -> Self {
        Self {
            id: format!("ASIAEXAMPLE{number}"),
            secret: format!("secret+/{number}"),
            expires: SystemTime::now() + lifetime,
        }
    }

    fn json(&self) -> String {
        format!(
            r#"{{"Version":1,"AccessKeyId":"{}","SecretAccessKey":"{}","SessionToken":"session=={}","Expiration":"{}"}}"#,
            self.id,
            self.secret,
            self.id,
            humantime::format_rfc3339_seconds(self.expires)
        )
    }
}

/// What the service that checks tokens knows and has seen.
#[derive(Default)]
struct Checks {
    /// Secrets and ends of keys by their identifiers.
    keys: Mutex<BTreeMap<String, (String, SystemTime)>>,
    taken: Mutex<BTreeSet<String>>,
    used_keys: Mutex<BTreeSet<String>>,
    refused: AtomicUsize,
    refuses_all: AtomicBool,
}

impl Checks {
    fn add(&self, key: &Key) {
        let end = (key.secret.clone(), key.expires);
        self.keys.lock().unwrap().insert(key.id.clone(), end);
    }

    fn is_right(&self, name: &str, password: &str, port: u16) -> bool {
        let is_right = self.check(name, password, port).is_some();
        if !is_right {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        is_right
    }

    fn check(&self, name: &str, password: &str, port: u16) -> Option<()> {
        let must = |holds: bool| holds.then_some(());
        let token = Token::parse(password);
        let (key, scope) = token.key_and_scope();
        let (secret, end) = self.keys.lock().unwrap().get(&key)?.clone();
        must(!self.refuses_all.load(Ordering::Relaxed))?;
        must(name == "cn=api" && token.parameter("DBUser") == "api")?;
        must(token.parameter("Action") == "connect")?;
        must(token.parameter("X-Amz-Expires") == "900")?;
        must(token.parameter("X-Amz-Security-Token") == format!("session%3D%3D{key}"))?;
        must(token.host == format!("{HOST}:{port}"))?;
        must(scope.ends_with("/eu-west-1/rds-db/aws4_request"))?;
        must(token.is_signed_with(&secret))?;
        must(token.age() < TOKEN_LIFETIME && SystemTime::now() < end)?;
        self.taken.lock().unwrap().insert(password.to_owned());
        self.used_keys.lock().unwrap().insert(key);
        Some(())
    }
}

/// A database that takes tokens of the role `api`, and a folder with the configuration of AWS.
struct Database {
    cluster: Cluster,
    checks: Arc<Checks>,
    folder: TempDir,
}

impl Database {
    fn start() -> Self {
        let cluster = cluster_with_people(&["fsync=off"]);
        cluster.run_sql("people", "CREATE ROLE api LOGIN");
        cluster.run_sql("people", "GRANT ALL ON SCHEMA public TO api");
        let folder = TempDir::new().unwrap();
        let authority = Authority::new();
        authority.encrypt_as(&cluster, HOST);
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let checks = Arc::new(Checks::default());
        let (checking, port) = (checks.clone(), cluster.port);
        let directory =
            directory::start(move |name, password| checking.is_right(name, password, port));
        cluster.write(
            "pg_hba.conf",
            &format!(
                "hostssl all api all ldap ldapserver=127.0.0.1 ldapport={directory} ldapprefix=\"cn=\"\n\
                 host all postgres all trust\n"
            ),
        );
        cluster.reload();
        let database = Self {
            cluster,
            checks,
            folder,
        };
        let process = format!("cat {}", database.file("key.json").display());
        fs::write(
            database.file("config"),
            format!("[default]\ncredential_process = {process}\n"),
        )
        .unwrap();
        database
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on the configuration of AWS gives `key`, which the server knows.
    fn give(&self, key: &Key) {
        self.checks.add(key);
        replace(&self.file("key.json"), &key.json());
    }

    fn address(&self) -> String {
        format!(
            "postgres://api@{HOST}:{}/people?hostaddr=127.0.0.1&sslmode=verify-full",
            self.cluster.port
        )
    }

    /// The host with tokens for passwords.
    fn command(&self) -> Command {
        let mut command = command_with_tokens(&self.address());
        command
            .arg("--postgres-ca")
            .arg(self.file("ca.pem"))
            .env("AWS_CONFIG_FILE", self.file("config"));
        command
    }
}

/// The host with tokens for passwords, and without anything of AWS in its environment.
fn command_with_tokens(address: &str) -> Command {
    let variable = format!("database_url={address}");
    let mut command = command(&["--postgres-auth", "aws-iam", "--variable", &variable]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", "/nowhere")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn health(service: &Service) -> (u16, Option<String>) {
    let answer = get(service, "/health");
    (answer.status, answer.problem())
}

#[track_caller]
fn check_log(log: &str) {
    for part in [
        "X-Amz",
        "Signature",
        "secret",
        "session=",
        "session%",
        "ASIA",
    ] {
        assert!(!log.contains(part), "{part}: {log}");
    }
}

#[test]
fn tokens_and_keys_that_end_after_seconds_fail_no_request() {
    let database = Database::start();
    let leap_day = database.file("leap_day");
    fs::write(&leap_day, "mar-1").unwrap();
    let file = format!("leap_day={}", leap_day.display());
    let is_over = AtomicBool::new(false);
    let sessions = || {
        let sql = "SELECT coalesce(min(extract(epoch FROM backend_start)), 0) FROM pg_stat_activity WHERE usename = 'api'";
        let oldest = database.cluster.run_sql("postgres", sql);
        oldest.parse::<f64>().unwrap()
    };
    database.give(&Key::new(0, KEY_LIFETIME));
    let (service, took, rounds, Outcome { requests, failed }) = thread::scope(|scope| {
        let _over = RaisedOnDrop(&is_over);
        scope.spawn(|| {
            for number in 1.. {
                thread::sleep(KEY_INTERVAL);
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                database.give(&Key::new(number, KEY_LIFETIME));
            }
        });
        let service = Service::start(database.command().args(["--variable-file", &file]));
        let ((took, rounds), outcome) = under_load(&service.url, |load| {
            load.wait_for_requests(REQUESTS);
            // New connections come with each new setting.
            let (began, mut rounds) = (Instant::now(), 0);
            while began.elapsed() < 3 * TOKEN_LIFETIME || rounds < 5 {
                let before = sessions();
                let value = if rounds % 2 == 0 { "feb-28" } else { "mar-1" };
                replace(&leap_day, value);
                rounds += 1;
                wait_for(PATIENCE, "the end of the sessions before", || {
                    sessions() > before
                });
                load.wait_for_requests(REQUESTS);
            }
            (began.elapsed(), rounds)
        });
        (service, took, rounds, outcome)
    });
    let taken = database.checks.taken.lock().unwrap().len();
    let keys = database.checks.used_keys.lock().unwrap().len();
    let refused = database.checks.refused.load(Ordering::Relaxed);
    println!(
        "{requests} requests in {took:?}, {} failed; {rounds} rounds of connections, {taken} tokens of {keys} keys, {refused} refused",
        failed.len()
    );
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(refused, 0);
    assert!(taken >= rounds, "{taken} tokens in {rounds} rounds");
    assert!(keys >= 4, "{keys} keys");
    let log = service.log();
    assert!(!log.contains("out of reach"), "{log}");
    check_log(&log);
}

/// A token that is refused (a role without `rds_iam`, a clock that is wrong), and credentials that are missing or have ended, are
/// an outage, which is logged once, and ends by itself.
#[test]
fn what_gives_no_session_is_one_line_and_an_outage() {
    let database = Database::start();
    let service = Service::start(&mut database.command());
    let unavailable = (503, Some("store-unavailable".to_owned()));
    let down = |line: &str| {
        for _ in 0..10 {
            assert_eq!(health(&service), unavailable);
        }
        let log = service.wait_for_log(line);
        assert_eq!(log.matches(line).count(), 1, "{log}");
    };
    let up = |times: usize| {
        wait_for(PATIENCE, "the database", || health(&service).0 == 200);
        wait_for(PATIENCE, "the end of the outage", || {
            service.log().matches(": back").count() == times
        });
    };
    down("out of reach: no AWS credentials: their provider fails");
    database.give(&Key::lasting(1));
    up(1);
    // The sessions end, and another one is refused.
    database.checks.refuses_all.store(true, Ordering::Relaxed);
    let end = || {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'api'";
        database.cluster.run_sql("postgres", sql);
    };
    end();
    wait_for(PATIENCE, "an outage", || health(&service) == unavailable);
    assert!(database.checks.refused.load(Ordering::Relaxed) > 0);
    database.checks.refuses_all.store(false, Ordering::Relaxed);
    up(2);
    let log = service.log();
    check_log(&log);
    // An outage begins with the lost connection, or with the first attempt after it.
    assert_eq!(log.matches("out of reach").count(), 2, "{log}");
}

#[test]
fn a_refused_token_is_logged_with_its_time_and_region() {
    let database = Database::start();
    database.give(&Key::lasting(1));
    database.checks.refuses_all.store(true, Ordering::Relaxed);
    let service = Service::start(&mut database.command());
    assert_eq!(health(&service).0, 503);
    let log = service.wait_for_log("with an IAM token for eu-west-1, made at 20");
    assert!(
        log.contains("LDAP authentication failed for user \"api\""),
        "{log}"
    );
    assert_eq!(log.lines().count(), 1, "{log}");
    check_log(&log);
}

#[test]
fn credentials_that_are_not_there_or_have_ended_are_told_from_each_other() {
    let address = format!("postgres://api@{HOST}:1/people?hostaddr=127.0.0.1&sslmode=verify-full");
    let service = Service::start(&mut command_with_tokens(&address));
    assert_eq!(health(&service).0, 503);
    service.wait_for_log("out of reach: no AWS credentials: none are in the environment");
    let database = Database::start();
    let mut key = Key::lasting(1);
    key.expires = SystemTime::now() - Duration::from_secs(60);
    database.give(&key);
    let service = Service::start(&mut database.command());
    assert_eq!(health(&service).0, 503);
    let log = service.wait_for_log("out of reach: no AWS credentials: ");
    assert!(
        log.contains("have expired") || log.contains("provider fails"),
        "{log}"
    );
    check_log(&log);
}

/// In one sentence, before anything is served.
#[test]
fn an_address_that_is_not_for_tokens_ends_the_start() {
    let password =
        "database_url: has a password, but one is made for each connection: leave it out";
    let tls = "database_url: a password is made for each connection, and sent only over verified TLS: use sslmode=verify-full";
    for (address, line) in [
        (
            format!("postgres://api:secret@{HOST}/people?sslmode=verify-full"),
            password,
        ),
        (format!("postgres://api@{HOST}/people"), tls),
        (format!("postgres://api@{HOST}/people?sslmode=prefer"), tls),
        (format!("postgres://api@{HOST}/people?sslmode=disable"), tls),
        (
            format!("postgres://{HOST}/people?sslmode=require"),
            "database_url: ",
        ),
        (
            "postgres://api@db.internal/people?sslmode=require".to_owned(),
            "database_url: db.internal: its region is not known: use the endpoint's own name, or set AWS_REGION",
        ),
        (
            "postgres://api@[::1]/people?sslmode=require".to_owned(),
            "database_url: ::1: IAM tokens are for hosts with a name",
        ),
        (
            "postgres://api@/people?host=/run&sslmode=require".to_owned(),
            "database_url: no password is made for a server behind a Unix socket",
        ),
    ] {
        let output = command_with_tokens(&address)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{address}: {stderr}");
        assert!(
            stderr.starts_with(&format!("birthday-host: {line}")),
            "{address}: {stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
    }
    let address = format!("postgres://api@{HOST}/people?sslmode=verify-full");
    let mut both = command_with_tokens(&address);
    both.env("SPIN_VARIABLE_DATABASE_PASSWORD", "secret");
    let output = both.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with(&format!("birthday-host: {password}")),
        "{stderr}"
    );
}
