//! HTTPS, and certificates that change.

use crate::calls::{address, block_on};
use crate::support::command;
use birthday_tests::client;
use birthday_tests::service::Service;
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use test_support::wait::wait_for;
use tokio_rustls::TlsConnector;

/// Writes a certificate for `localhost` and its key into `folder`, and returns it.
fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    certificate.der().clone()
}

/// What the service shows, to somebody who trusts `authority`; and what both speak, of what is `offered`.
async fn handshake(
    service: &Service,
    authority: &CertificateDer<'static>,
    offered: &[&[u8]],
) -> std::io::Result<(CertificateDer<'static>, Option<Vec<u8>>)> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let mut config = config
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(address(service)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((shown, session.alpn_protocol().map(<[u8]>::to_vec)))
}

#[test]
fn a_certificate_is_shown_and_read_again_when_it_changes() {
    let folder = TempDir::new().unwrap();
    let first = write_certificate(folder.path());
    let file = |name| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    let mut command = command(&["--tls-cert", &certificate, "--tls-key", &key]);
    let service = Service::start(&mut command);
    assert!(service.url.starts_with("https://"), "{}", service.url);
    block_on(async {
        let (shown, protocol) = handshake(&service, &first, &[b"h2", b"http/1.1"])
            .await
            .unwrap();
        assert_eq!(
            (shown, protocol.as_deref()),
            (first.clone(), Some(b"h2".as_slice()))
        );
        let (_, protocol) = handshake(&service, &first, &[b"http/1.1"]).await.unwrap();
        assert_eq!(protocol.as_deref(), Some(b"http/1.1".as_slice()));
    });
    let plain = client::send_bytes(
        &service.url.replace("https", "http"),
        b"GET / HTTP/1.1\r\n\r\n",
    );
    assert!(!plain.unwrap_or_default().starts_with("HTTP/1.1 2"));
    // A new key without its certificate is not used.
    fs::write(&key, "no key").unwrap();
    service.wait_for_log("tls.key has no private key");
    assert_eq!(block_on(handshake(&service, &first, &[])).unwrap().0, first);
    let second = write_certificate(folder.path());
    wait_for(Duration::from_secs(10), "the new certificate", || {
        block_on(handshake(&service, &second, &[])).is_ok_and(|(shown, _)| shown == second)
    });
}
