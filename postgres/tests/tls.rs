//! Encryption as the address asks for it.

use crate::support::{Observer, block_on, databases, own_cluster, shared_pid, text, wait_until};
use pipelined_postgres::{CaError, Databases, Error, Options, Tls};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use test_support::cluster::Cluster;
use test_support::tls::Authority;

/// A server with a certificate for `localhost`, and files of authorities.
struct Encrypted {
    cluster: Cluster,
    folder: TempDir,
}

impl Encrypted {
    fn start() -> Self {
        Self::with(Authority::new, Authority::encrypt)
    }

    /// With an authority as `new` makes it, by which `encrypt` encrypts the server.
    fn with(new: fn() -> Authority, encrypt: fn(&Authority, &Cluster)) -> Self {
        let cluster = own_cluster();
        let folder = TempDir::new().unwrap();
        let authority = new();
        encrypt(&authority, &cluster);
        let encrypted = Self { cluster, folder };
        fs::write(encrypted.right(), authority.pem()).unwrap();
        fs::write(encrypted.wrong(), new().pem()).unwrap();
        encrypted
    }

    /// The authority of the server's certificate.
    fn right(&self) -> PathBuf {
        self.folder.path().join("right.pem")
    }

    /// Another one.
    fn wrong(&self) -> PathBuf {
        self.folder.path().join("wrong.pem")
    }

    fn address(&self, host: &str, mode: &str) -> String {
        let port = self.cluster.port;
        format!("postgres://postgres@{host}:{port}/postgres?sslmode={mode}")
    }
}

fn trusting(authorities: &Path) -> Databases<String> {
    Databases::new(Options {
        tls: Tls::with_authorities(authorities).unwrap(),
        ..Options::default()
    })
}

/// What comes of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Encrypted,
    Plain,
    Refused,
}

async fn outcome(databases: &Databases<String>, address: &str) -> Outcome {
    let mut session = match databases.open(address).await {
        Ok(session) => session,
        Err(Error::Unreachable(_)) => return Outcome::Refused,
        Err(error) => panic!("{address}: {error:?}"),
    };
    let is_encrypted = "SELECT ssl::text FROM pg_stat_ssl, me WHERE pg_stat_ssl.pid::text = me.pid";
    match text(&mut session, is_encrypted).await.as_str() {
        "true" => Outcome::Encrypted,
        _ => Outcome::Plain,
    }
}

#[test]
fn encryption_is_as_the_address_asks() {
    block_on(async {
        let server = Encrypted::start();
        let (right, wrong) = (server.right(), server.wrong());
        for (authorities, host, mode, expected) in [
            (&right, "localhost", "require", Outcome::Encrypted),
            (&right, "localhost", "verify-ca", Outcome::Encrypted),
            (&right, "localhost", "verify-full", Outcome::Encrypted),
            (&wrong, "localhost", "require", Outcome::Refused),
            (&wrong, "localhost", "verify-full", Outcome::Refused),
            // The certificate is not for this name.
            (&right, "127.0.0.1", "require", Outcome::Refused),
            (&wrong, "localhost", "prefer", Outcome::Encrypted),
            (&wrong, "127.0.0.1", "prefer", Outcome::Encrypted),
            (&wrong, "127.0.0.1", "allow", Outcome::Encrypted),
            (&right, "localhost", "disable", Outcome::Plain),
        ] {
            let address = server.address(host, mode);
            let outcome = outcome(&trusting(authorities), &address).await;
            assert_eq!(
                outcome,
                expected,
                "{host}, {mode}, {}",
                authorities.display()
            );
        }
        // The system does not know the authority.
        let address = server.address("localhost", "require");
        assert_eq!(outcome(&databases(), &address).await, Outcome::Refused);
    });
}

#[test]
fn a_server_without_encryption_is_enough_unless_the_address_requires_it() {
    block_on(async {
        let cluster = own_cluster();
        for (mode, expected) in [
            ("prefer", Outcome::Plain),
            ("disable", Outcome::Plain),
            ("require", Outcome::Refused),
        ] {
            let address = format!("{}?sslmode={mode}", cluster.address("postgres"));
            assert_eq!(outcome(&databases(), &address).await, expected, "{mode}");
        }
    });
}

#[test]
fn a_statement_is_cancelled_over_an_encrypted_connection() {
    block_on(async {
        let server = Encrypted::start();
        let databases = trusting(&server.right());
        let observer = Observer::connect(&server.cluster.address("postgres")).await;
        let mut session = databases
            .open(&server.address("localhost", "require"))
            .await
            .unwrap();
        shared_pid(&mut session).await;
        let sleeping = tokio::spawn(async move {
            let _ = session.query("SELECT pg_sleep(600)", &[]).await;
        });
        observer.wait_for_waiting(1).await;
        sleeping.abort();
        wait_until("the end of the statement", async || {
            observer.waiting().await == 0
        })
        .await;
    });
}

#[test]
fn authorities_that_cannot_be_used_are_told() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("authorities.pem");
    let error = |path| Tls::with_authorities(path).err().unwrap();
    assert!(matches!(error(&path), CaError::Unreadable { .. }));
    fs::write(&path, "nothing").unwrap();
    assert!(matches!(error(&path), CaError::Empty { .. }));
    let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(&path, text).unwrap();
    assert!(matches!(error(&path), CaError::Unusable { .. }));
    assert!(error(&path).to_string().contains("authorities.pem"));
}

#[test]
fn a_certificate_that_is_its_own_authority_is_trusted_for_its_name() {
    block_on(async {
        let server = Encrypted::with(Authority::for_localhost, Authority::encrypt_itself);
        let (right, wrong) = (server.right(), server.wrong());
        for (authorities, host, expected) in [
            (&right, "localhost", Outcome::Encrypted),
            (&right, "127.0.0.1", Outcome::Refused),
            (&wrong, "localhost", Outcome::Refused),
        ] {
            let databases = trusting(authorities);
            let found = outcome(&databases, &server.address(host, "verify-full")).await;
            assert_eq!(found, expected, "{host}");
        }
    });
}
