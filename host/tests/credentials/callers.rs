//! Clients that have to show a certificate.

use super::replace;
use crate::calls::{address, block_on};
use crate::support::command;
use birthday_tests::load::RaisedOnDrop;
use birthday_tests::service::Service;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use test_support::tls::{Authority, Pair};
use test_support::wait::wait_for;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with a certificate for `localhost`, its key, and the authorities of clients.
struct Files {
    folder: TempDir,
    server: Authority,
}

impl Files {
    fn new(authorities: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let server = Authority::new();
        let pair = server.server("localhost");
        let files = Self { folder, server };
        fs::write(files.path("tls.crt"), pair.certificate).unwrap();
        fs::write(files.path("tls.key"), pair.key).unwrap();
        fs::write(files.path("clients.crt"), authorities).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn arguments(&self) -> Vec<String> {
        let options = [
            ("--tls-cert", "tls.crt"),
            ("--tls-key", "tls.key"),
            ("--tls-client-ca", "clients.crt"),
        ];
        let argument =
            |(option, name): (&str, &str)| format!("{option}={}", self.path(name).display());
        options.map(argument).into()
    }

    fn start(&self) -> Service {
        Service::start(command(&[]).args(self.arguments()))
    }

    /// The status of `/health` over a new connection, to a client that shows `pair`.
    fn ask(&self, service: &Service, pair: Option<&Pair>) -> io::Result<u16> {
        block_on(async {
            let mut roots = RootCertStore::empty();
            let authority = CertificateDer::from_pem_slice(self.server.pem().as_bytes()).unwrap();
            roots.add(authority).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots);
            let config = match pair {
                Some(pair) => {
                    let chain =
                        CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
                    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                    config.with_client_auth_cert(vec![chain], key).unwrap()
                }
                None => config.with_no_client_auth(),
            };
            let stream = tokio::net::TcpStream::connect(address(service)).await?;
            let name = ServerName::try_from("localhost").unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            let mut stream = connector.connect(name, stream).await?;
            let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await?;
            let mut answer = Vec::new();
            // An alert of TLS, if the certificate was refused; the system may have cut it off.
            let read = stream.read_to_end(&mut answer).await;
            let answer = String::from_utf8_lossy(&answer);
            let status = answer
                .strip_prefix("HTTP/1.1 ")
                .and_then(|rest| rest.get(..3));
            match status.and_then(|status| status.parse().ok()) {
                Some(status) => Ok(status),
                None => Err(read.err().unwrap_or(io::ErrorKind::UnexpectedEof.into())),
            }
        })
    }
}

#[test]
fn only_clients_with_a_certificate_of_the_authority_are_answered() {
    let (ours, other) = (Authority::new(), Authority::new());
    let files = Files::new(&ours.pem());
    let service = files.start();
    let known = ours.client("api", 1);
    assert_eq!(files.ask(&service, Some(&known)).unwrap(), 200);
    assert!(files.ask(&service, None).is_err());
    let strange = other.client("api", 1);
    assert!(files.ask(&service, Some(&strange)).is_err());
    assert_eq!(files.ask(&service, Some(&known)).unwrap(), 200);
}

/// The authority is replaced as it is done: by both, then by the new one alone. Clients change in between.
#[test]
fn another_authority_is_used_without_a_failed_request() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new(&old.pem());
    let service = files.start();
    let (old_pair, new_pair) = (old.client("api", 1), new.client("api", 2));
    let (is_over, uses_new) = (AtomicBool::new(false), AtomicBool::new(false));
    let (answered, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wait_for_answers = || {
        let enough = answered.load(Ordering::Relaxed) + 20;
        wait_for(PATIENCE, "answers", || {
            answered.load(Ordering::Relaxed) >= enough
        });
    };
    thread::scope(|scope| {
        let _over = RaisedOnDrop(&is_over);
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let pair = match uses_new.load(Ordering::Relaxed) {
                        true => &new_pair,
                        false => &old_pair,
                    };
                    match files.ask(&service, Some(pair)) {
                        Ok(200) => answered.fetch_add(1, Ordering::Relaxed),
                        _ => failed.fetch_add(1, Ordering::Relaxed),
                    };
                    // A steady load, of a connection for each request.
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
        wait_for_answers();
        replace(
            &files.path("clients.crt"),
            &format!("{}{}", old.pem(), new.pem()),
        );
        wait_for(PATIENCE, "both authorities", || {
            files.ask(&service, Some(&new_pair)).is_ok()
        });
        uses_new.store(true, Ordering::Relaxed);
        wait_for_answers();
        replace(&files.path("clients.crt"), &new.pem());
        wait_for(PATIENCE, "the new authority alone", || {
            files.ask(&service, Some(&old_pair)).is_err()
        });
        // What cannot be used is not used, and complained of once.
        replace(&files.path("clients.crt"), "nothing");
        service.wait_for_log("the TLS certificate in use stays: cannot use the authorities in");
        wait_for_answers();
    });
    let (answered, failed) = (answered.into_inner(), failed.into_inner());
    println!("{answered} answered, {failed} failed");
    assert_eq!(failed, 0);
    assert!(files.ask(&service, Some(&old_pair)).is_err());
    let log = service.log();
    assert_eq!(log.matches("in use stays").count(), 1, "{log}");
}

#[test]
fn authorities_that_cannot_be_used_end_the_start_with_one_line() {
    let files = Files::new("nothing");
    let path = files.path("clients.crt").display().to_string();
    let check = |arguments: &[String], line: &str| {
        let mut command = command(&[]);
        let output = command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(
            stderr.starts_with(&format!("birthday-host: {line}")),
            "{stderr}"
        );
    };
    let line =
        format!("--tls-client-ca: cannot use the authorities in {path}: there is no certificate");
    check(&files.arguments(), &line);
    fs::remove_file(files.path("clients.crt")).unwrap();
    let line = format!("--tls-client-ca: cannot use the authorities in {path}: No such file");
    check(&files.arguments(), &line);
    let alone = [format!("--tls-client-ca={path}")];
    check(
        &alone,
        "the following required arguments were not provided: ",
    );
}
