//! Encryption to the server, and which servers are trusted.

use crate::support::{run, value};
use pipelined_postgres::{Databases, Error, Options, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use test_support::cluster::Cluster;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A server that takes encrypted connections only, as `localhost`, by a certificate of `authority`.
fn encrypted(authority: &CertifiedIssuer<'static, KeyPair>) -> Cluster {
    let cluster = Cluster::start(&["fsync=off"]);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]);
    let certificate = certificate.unwrap().signed_by(&key, authority).unwrap();
    cluster.write("server.crt", &certificate.pem());
    cluster.write("server.key", &key.serialize_pem());
    cluster.write(
        "pg_hba.conf",
        "local all all trust\nhostssl all all all trust\n",
    );
    cluster.run_sql("postgres", "ALTER SYSTEM SET ssl = on");
    cluster.reload();
    cluster
}

#[test]
fn the_address_and_the_authorities_decide() {
    let authority = authority();
    let cluster = encrypted(&authority);
    let folder = TempDir::new().unwrap();
    let write = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        fs::write(&path, pem).unwrap();
        path
    };
    let ours = write("ours.pem", &authority.pem());
    let another = write("another.pem", &self::authority().pem());
    let open = async |host: &str, mode: &str, authorities: &Path| -> Result<i64, Error> {
        let databases = Databases::<i32>::new(Options {
            tls: Tls::with_authorities(authorities).unwrap(),
            ..Options::default()
        });
        let port = cluster.port;
        let address = format!("postgres://postgres@{host}:{port}/postgres?sslmode={mode}");
        let mut session = databases.open(&address).await?;
        let is_encrypted = "SELECT count(*) FROM pg_stat_ssl WHERE ssl";
        value(&mut session, is_encrypted).await
    };
    run(async {
        for mode in ["require", "verify-ca", "verify-full"] {
            assert_eq!(open("localhost", mode, &ours).await.unwrap(), 1, "{mode}");
            for (host, authorities) in [("localhost", &another), ("127.0.0.1", &ours)] {
                let refused = open(host, mode, authorities).await;
                assert!(
                    matches!(refused, Err(Error::Unreachable(_))),
                    "{mode}: {refused:?}"
                );
            }
        }
        // It encrypts, but verifies nothing.
        assert_eq!(open("127.0.0.1", "prefer", &another).await.unwrap(), 1);
        let plain = open("localhost", "disable", &ours).await;
        assert!(matches!(plain, Err(Error::Unreachable(_))), "{plain:?}");
    });
}

#[test]
fn a_file_without_authorities_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("empty.pem");
    assert!(
        Tls::with_authorities(&path).is_err(),
        "there is no such file"
    );
    fs::write(&path, "").unwrap();
    assert!(Tls::with_authorities(&path).is_err());
}
