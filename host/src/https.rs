//! TLS for callers: a certificate from files, read again when they change.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often the files are looked at. Kubernetes swaps a link when a Secret changes, which a look at the content
/// finds wherever it points.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// A certificate, its key and where they are from. Clones share what was read last.
#[derive(Clone)]
pub struct Https {
    files: Arc<Files>,
    current: Arc<Mutex<Current>>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

struct Current {
    config: Arc<ServerConfig>,
    content: Content,
}

#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    #[error("--tls-cert: cannot read {}: {cause}", path.display())]
    CertificateFile { path: PathBuf, cause: io::Error },
    #[error("--tls-cert: {} has no certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("--tls-key: cannot read {}: {cause}", path.display())]
    KeyFile { path: PathBuf, cause: io::Error },
    #[error("--tls-key: {} has no private key", path.display())]
    NoKey { path: PathBuf },
    #[error("--tls-key: {0}")]
    Unusable(rustls::Error),
}

impl Https {
    /// Reads PEM files: the certificate with those that lead to an authority, and its key.
    ///
    /// # Errors
    /// If they are not there, not PEM, or do not belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, HttpsError> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let content = files.read()?;
        let config = files.parse(&content)?;
        Ok(Self {
            files: Arc::new(files),
            current: Arc::new(Mutex::new(Current { config, content })),
        })
    }

    /// Looks at the files for ever. What cannot be used is logged once, and the certificate before it stays.
    pub async fn follow_files(self) {
        let mut complaint = String::new();
        loop {
            sleep(LOOK_INTERVAL).await;
            match self.reload() {
                Ok(true) => tracing::info!("the TLS certificate was read again"),
                Ok(false) => {}
                Err(error) => {
                    let said = error.to_string();
                    if said != complaint {
                        tracing::warn!("the TLS certificate in use stays: {said}");
                        complaint = said;
                    }
                    continue;
                }
            }
            complaint.clear();
        }
    }

    /// Whether the files have changed.
    fn reload(&self) -> Result<bool, HttpsError> {
        let content = self.files.read()?;
        let lock = || self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().content == content {
            return Ok(false);
        }
        let config = self.files.parse(&content)?;
        *lock() = Current { config, content };
        Ok(true)
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.config.clone()
        };
        TlsAcceptor::from(config).accept(stream).await
    }
}

impl Files {
    fn read(&self) -> Result<Content, HttpsError> {
        let certificate = std::fs::read(&self.certificate);
        let key = std::fs::read(&self.key);
        Ok(Content {
            certificate: certificate.map_err(|cause| HttpsError::CertificateFile {
                path: self.certificate.clone(),
                cause,
            })?,
            key: key.map_err(|cause| HttpsError::KeyFile {
                path: self.key.clone(),
                cause,
            })?,
        })
    }

    fn parse(&self, content: &Content) -> Result<Arc<ServerConfig>, HttpsError> {
        let no_certificate = || HttpsError::NoCertificate {
            path: self.certificate.clone(),
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&content.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| no_certificate())?;
        if chain.is_empty() {
            return Err(no_certificate());
        }
        let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|_| HttpsError::NoKey {
            path: self.key.clone(),
        })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(HttpsError::Unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(HttpsError::Unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
