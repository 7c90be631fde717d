//! A database that wants a certificate of its clients in place of a password.

use super::replace;
use crate::rolling::load::{Outcome, under_load};
use crate::support::{cluster_with_people, command, get};
use birthday_tests::service::Service;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use test_support::cluster::Cluster;
use test_support::tls::{Authority, Pair};
use test_support::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(20);

/// So many requests end between two steps: what 200 per second are in two seconds.
const REQUESTS: usize = 400;

/// A server that takes the role `api` by a certificate of that name, and a folder with one.
struct Database {
    cluster: Cluster,
    authority: Authority,
    folder: TempDir,
}

impl Database {
    fn start() -> Self {
        let cluster = cluster_with_people(&["fsync=off"]);
        cluster.run_sql("people", "CREATE ROLE api LOGIN");
        cluster.run_sql("people", "GRANT ALL ON SCHEMA public TO api");
        let authority = Authority::new();
        cluster.write("root.crt", &authority.pem());
        cluster.run_sql("postgres", "ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
        cluster.write(
            "pg_hba.conf",
            "hostssl all api all trust clientcert=verify-full\nhost all postgres all trust\n",
        );
        authority.encrypt(&cluster);
        let folder = TempDir::new().unwrap();
        let database = Self {
            cluster,
            authority,
            folder,
        };
        fs::write(database.file("ca.pem"), database.authority.pem()).unwrap();
        database.write(&database.authority.client("api", 1));
        database
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, pair: &Pair) {
        replace(&self.file("tls.crt"), &pair.certificate);
        replace(&self.file("tls.key"), &pair.key);
    }

    /// With more parameters.
    fn command(&self, parameters: &str) -> Command {
        let port = self.cluster.port;
        let address = format!(
            "database_url=postgres://api@localhost:{port}/people?sslmode=verify-full{parameters}"
        );
        let mut command = command(&["--variable", &address]);
        command.arg("--postgres-ca").arg(self.file("ca.pem"));
        command
    }

    fn parameters(&self) -> String {
        let path = |name| self.file(name).display().to_string();
        format!("&sslcert={}&sslkey={}", path("tls.crt"), path("tls.key"))
    }

    /// Whether there are sessions of the service, and all were opened with the certificate of this number.
    fn all_have(&self, serial: u64) -> bool {
        let sql =
            "SELECT coalesce(string_agg(DISTINCT client_serial::text, ','), '') FROM pg_stat_ssl
            JOIN pg_stat_activity USING (pid) WHERE usename = 'api'";
        self.cluster.run_sql("postgres", sql) == serial.to_string()
    }
}

#[test]
fn a_new_certificate_is_used_without_a_failed_request() {
    let database = Database::start();
    let leap_day = database.file("leap_day");
    fs::write(&leap_day, "mar-1").unwrap();
    let file = format!("leap_day={}", leap_day.display());
    let mut command = database.command(&database.parameters());
    let service = Service::start(command.args(["--variable-file", &file]));
    // New connections come with each new setting.
    let reconnect = |round: u64| {
        let value = if round.is_multiple_of(2) {
            "feb-28"
        } else {
            "mar-1"
        };
        replace(&leap_day, value);
    };
    let another = Authority::new();
    let ((), Outcome { requests, failed }) = under_load(&service.url, |load| {
        load.wait_for_requests(REQUESTS);
        assert!(database.all_have(1));
        // One of the same authority; the key comes after the certificate, and meanwhile they do not belong together, so that
        // nothing changes.
        let pair = database.authority.client("api", 2);
        replace(&database.file("tls.crt"), &pair.certificate);
        reconnect(2);
        service.wait_for_log("the variables in use stay: database_url: sslkey: ");
        load.wait_for_requests(REQUESTS);
        assert!(database.all_have(1));
        replace(&database.file("tls.key"), &pair.key);
        wait_for(PATIENCE, "the second certificate", || database.all_have(2));
        load.wait_for_requests(REQUESTS);
        // One of another authority, which the server trusts, too, and then alone.
        let both = format!("{}{}", database.authority.pem(), another.pem());
        database.cluster.write("root.crt", &both);
        database.cluster.reload();
        database.write(&another.client("api", 4));
        reconnect(3);
        wait_for(PATIENCE, "the third certificate", || database.all_have(4));
        database.cluster.write("root.crt", &another.pem());
        database.cluster.reload();
        reconnect(4);
        load.wait_for_requests(REQUESTS);
        assert!(database.all_have(4));
    });
    println!("{requests} requests, {} failed", failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
    let log = service.log();
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[test]
fn a_server_that_wants_a_certificate_and_gets_none_or_another_is_one_line() {
    let database = Database::start();
    let check = |parameters: &str, line: &str| {
        let service = Service::start(&mut database.command(parameters));
        for _ in 0..3 {
            let answer = get(&service, "/health");
            assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
        }
        let log = service.wait_for_log(line);
        assert_eq!(log.lines().count(), 1, "{log}");
    };
    check("", "connection requires a valid client certificate");
    database.write(&database.authority.client("somebody", 7));
    check(
        &database.parameters(),
        "authentication failed for user \"api\"",
    );
    database.write(&Authority::new().client("api", 8));
    check(&database.parameters(), "out of reach: ");
}

#[test]
fn files_that_cannot_be_used_end_the_start_with_one_line() {
    let database = Database::start();
    let path = |name| database.file(name).display().to_string();
    let (certificate, key) = (path("tls.crt"), path("tls.key"));
    fs::write(database.file("text"), "text").unwrap();
    fs::write(
        database.file("other.key"),
        database.authority.client("api", 9).key,
    )
    .unwrap();
    let (text, other, folder) = (
        path("text"),
        path("other.key"),
        database.folder.path().display(),
    );
    for (parameters, line) in [
        (
            format!("&sslcert={certificate}"),
            "sslcert needs sslkey, too".to_owned(),
        ),
        (
            format!("&sslkey={key}"),
            "sslkey needs sslcert, too".to_owned(),
        ),
        (
            format!("&sslcert=/nowhere&sslkey={key}"),
            "sslcert: cannot read /nowhere: No such file".to_owned(),
        ),
        (
            format!("&sslcert={certificate}&sslkey=/nowhere"),
            "sslkey: cannot read /nowhere: No such file".to_owned(),
        ),
        (
            format!("&sslcert={folder}&sslkey={key}"),
            format!("sslcert: {folder} is not a file"),
        ),
        (
            format!("&sslcert={text}&sslkey={key}"),
            format!("sslcert: {text} has no certificate"),
        ),
        (
            format!("&sslcert={certificate}&sslkey={text}"),
            format!("sslkey: {text} has no private key"),
        ),
        (
            format!("&sslcert={certificate}&sslkey={other}"),
            format!("sslkey: {other}: keys may not be consistent"),
        ),
    ] {
        let mut command = database.command(&parameters);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{parameters}: {stderr}");
        let line = format!("birthday-host: database_url: {line}");
        assert!(stderr.starts_with(&line), "{line}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
