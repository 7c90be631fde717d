//! A server that wants a certificate of its clients.

use crate::support::{block_on, own_cluster, text};
use pipelined_postgres::{Databases, Error, Options, Session, Tls};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;
use test_support::cluster::Cluster;
use test_support::tls::Authority;

/// A server that takes the role `api` by a certificate, and a folder with one.
struct Server {
    cluster: Cluster,
    authority: Authority,
    folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let cluster = own_cluster();
        cluster.run_sql("postgres", "CREATE ROLE api LOGIN");
        let authority = Authority::new();
        cluster.write("root.crt", &authority.pem());
        cluster.run_sql("postgres", "ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
        cluster.write(
            "pg_hba.conf",
            "hostssl all api all cert\nhost all postgres all trust\n",
        );
        authority.encrypt(&cluster);
        let folder = TempDir::new().unwrap();
        let server = Self {
            cluster,
            authority,
            folder,
        };
        fs::write(server.file("ca.pem"), server.authority.pem()).unwrap();
        server
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn databases(&self) -> Databases<String> {
        Databases::new(Options {
            tls: Tls::with_authorities(&self.file("ca.pem")).unwrap(),
            ..Options::default()
        })
    }

    fn address(&self, mode: &str) -> String {
        let port = self.cluster.port;
        let path = |name| self.file(name).display().to_string();
        format!(
            "postgres://api@localhost:{port}/postgres?sslmode={mode}&sslcert={}&sslkey={}",
            path("tls.crt"),
            path("tls.key")
        )
    }
}

/// The number of the certificate that a new dedicated connection has shown.
async fn shown(session: &mut Session<String>) -> String {
    let sql = "SELECT client_serial::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    text(session, sql).await
}

#[test]
fn new_connections_show_what_the_files_have_and_the_last_good_pair_until_then() {
    block_on(async {
        let server = Server::start();
        let (first, second) = (
            server.authority.client("api", 1),
            server.authority.client("api", 2),
        );
        let (certificate, key) = (server.file("tls.crt"), server.file("tls.key"));
        fs::write(&certificate, first.certificate).unwrap();
        fs::write(&key, first.key).unwrap();
        let databases = server.databases();
        let address = server.address("verify-full");
        // Kept open, so that each has a connection of its own.
        let mut sessions = Vec::new();
        let mut check = async |expected: &str| {
            let mut session = databases.open(&address).await.unwrap();
            assert_eq!(shown(&mut session).await, expected);
            sessions.push(session);
        };
        check("1").await;
        fs::write(&certificate, &second.certificate).unwrap();
        check("1").await;
        fs::remove_file(&key).unwrap();
        check("1").await;
        fs::write(&key, &second.key).unwrap();
        check("2").await;
        fs::write(&certificate, "text").unwrap();
        check("2").await;
    });
}

#[test]
fn a_certificate_is_shown_without_verification_too() {
    block_on(async {
        let server = Server::start();
        let pair = server.authority.client("api", 3);
        fs::write(server.file("tls.crt"), pair.certificate).unwrap();
        fs::write(server.file("tls.key"), pair.key).unwrap();
        let address = server.address("prefer");
        let mut session = server.databases().open(&address).await.unwrap();
        assert_eq!(shown(&mut session).await, "3");
    });
}

#[test]
fn files_that_cannot_be_used_are_a_bad_address() {
    block_on(async {
        let server = Server::start();
        let databases = server.databases();
        let error = async || databases.open(&server.address("require")).await.err();
        let check = |error: Option<Error>, expected: &str| {
            let Some(Error::BadAddress(reason)) = error else {
                panic!("{error:?}");
            };
            assert!(reason.contains(expected), "{reason}");
        };
        check(error().await, "sslcert: cannot read");
        let pair = server.authority.client("api", 4);
        fs::write(server.file("tls.crt"), &pair.certificate).unwrap();
        check(error().await, "sslkey: cannot read");
        fs::write(server.file("tls.key"), &pair.certificate).unwrap();
        check(error().await, "has no private key");
        let other = server.authority.client("api", 5);
        fs::write(server.file("tls.key"), other.key).unwrap();
        check(error().await, "keys may not be consistent");
        fs::write(server.file("tls.crt"), vec![b' '; 300 * 1024]).unwrap();
        check(error().await, "has more than 262144 bytes");
        // They are looked at again each time.
        fs::write(server.file("tls.crt"), &pair.certificate).unwrap();
        fs::write(server.file("tls.key"), &pair.key).unwrap();
        assert!(error().await.is_none());
    });
}
