//! Encryption to the server, and which servers are trusted.

use super::support::{BORN, health};
use crate::support::{cluster_with_people, command, put};
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use test_support::tls::Authority;

#[test]
fn encryption_is_as_the_address_asks() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    cluster.write(
        "pg_hba.conf",
        "local all all trust\nhostssl all all all trust\n",
    );
    let own = folder.path().join("ca.pem");
    fs::write(&own, authority.pem()).unwrap();
    let strange = folder.path().join("strange.pem");
    fs::write(&strange, Authority::new().pem()).unwrap();
    authority.encrypt(&cluster);

    let own: (&str, &Path) = ("--postgres-ca", &own);
    let strange: (&str, &Path) = ("--postgres-ca", &strange);
    // Where the system keeps its authorities, for whoever asks it.
    let system = ("SSL_CERT_FILE", own.1);
    let check = |host: &str, mode: &str, authorities: Option<(&str, &Path)>, status: u16| {
        let port = cluster.port;
        let variable =
            format!("database_url=postgres://postgres@{host}:{port}/people?sslmode={mode}");
        let mut command = command(&["--variable", &variable]);
        match authorities {
            Some((flag, path)) if flag.starts_with("--") => command.arg(flag).arg(path),
            Some((name, path)) => command.env(name, path),
            None => &mut command,
        };
        let service = Service::start(&mut command);
        let log = service.log();
        assert_eq!(
            health(&service),
            status,
            "{host}, {mode}, {authorities:?}: {log}"
        );
        if status == 200 {
            assert_eq!(put(&service, &new_username(), BORN).status, 204);
        }
    };
    check("localhost", "require", Some(own), 200);
    check("localhost", "verify-full", Some(own), 200);
    check("localhost", "verify-full", Some(system), 200);
    check("localhost", "require", Some(strange), 503);
    check("localhost", "require", None, 503);
    check("127.0.0.1", "verify-full", Some(own), 503);
    check("localhost", "prefer", None, 200);
    check("localhost", "disable", Some(own), 503);
}
