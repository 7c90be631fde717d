//! TLS for clients: a certificate, and the authorities of theirs, from files, which are read again when they change.

use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often the files are read. Their content is compared, not their times: Kubernetes swaps a link when a Secret changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The longest file, in bytes: all public authorities take a quarter of it.
const MAX_FILE: u64 = 1024 * 1024;

/// A certificate with its key, and their files. Clones share what was read last.
///
/// ```no_run
/// # use http_component_runtime::{ConnectionLimits, Server, Tls, TlsError};
/// # async fn example() -> Result<(), TlsError> {
/// let tls = Tls::from_files("tls.crt".as_ref(), "tls.key".as_ref())?;
/// tokio::spawn(tls.clone().follow_files());
/// let server = Server::new(ConnectionLimits::default(), Some(tls));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    current: Arc<Mutex<Current>>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_authorities: Option<PathBuf>,
}

struct Current {
    config: Arc<ServerConfig>,
    content: Content,
}

#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    /// None, or the content of their file.
    client_authorities: Option<Vec<u8>>,
}

/// Why a certificate or its key cannot be used.
///
/// ```
/// # use http_component_runtime::{Tls, TlsError};
/// let error = Tls::from_files("nowhere.crt".as_ref(), "nowhere.key".as_ref()).err();
/// assert!(matches!(error, Some(TlsError::CertificateFile { path, .. }) if path.ends_with("nowhere.crt")));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of the certificate cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    CertificateFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file of the certificate has none, or one that is not PEM.
    #[error("{} has no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file of the key cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file of the key has none, or one that is not PEM.
    #[error("{} has no private key", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The file of the clients' authorities cannot be read, or has none.
    #[error("cannot use the authorities in {}: {cause}", path.display())]
    ClientAuthorities {
        /// The file.
        path: PathBuf,
        /// What the system or the reader of PEM says.
        cause: String,
    },
    /// They do not belong together, or TLS cannot use them.
    #[error("{0}")]
    Unusable(rustls::Error),
}

impl Tls {
    /// Reads two PEM files: the chain of certificates, the server's own first, and its key.
    ///
    /// # Errors
    /// If they are not there, not PEM, or do not belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Self::read(Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            client_authorities: None,
        })
    }

    /// The same for clients that show a certificate of an authority in the PEM file at `authorities`; the handshake with others
    /// fails. Neither names nor lists of revoked certificates are looked at.
    ///
    /// # Errors
    /// If the file is not there, or has no authority.
    pub fn with_client_authorities(&self, authorities: &Path) -> Result<Self, TlsError> {
        Self::read(Files {
            certificate: self.files.certificate.clone(),
            key: self.files.key.clone(),
            client_authorities: Some(authorities.to_owned()),
        })
    }

    fn read(files: Files) -> Result<Self, TlsError> {
        let content = files.read()?;
        let config = files.parse(&content)?;
        Ok(Self {
            files: Arc::new(files),
            current: Arc::new(Mutex::new(Current { config, content })),
        })
    }

    /// Reads the files again and again, for ever. Files that cannot be used are logged once; the last good certificate stays.
    pub async fn follow_files(self) {
        let mut complaint = String::new();
        loop {
            sleep(CHECK_INTERVAL).await;
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

    /// Reads the files. Returns whether they have changed.
    fn reload(&self) -> Result<bool, TlsError> {
        let content = self.files.read()?;
        if self.current.lock().content == content {
            return Ok(false);
        }
        let config = self.files.parse(&content)?;
        *self.current.lock() = Current { config, content };
        Ok(true)
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.current.lock().config.clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

impl Files {
    fn read(&self) -> Result<Content, TlsError> {
        let authorities = self.client_authorities.as_deref();
        let client_authorities = authorities.map(read).transpose();
        Ok(Content {
            certificate: read(&self.certificate).map_err(|cause| TlsError::CertificateFile {
                path: self.certificate.clone(),
                cause,
            })?,
            key: read(&self.key).map_err(|cause| TlsError::KeyFile {
                path: self.key.clone(),
                cause,
            })?,
            client_authorities: client_authorities
                .map_err(|error| self.unusable_authorities(error.to_string()))?,
        })
    }

    fn unusable_authorities(&self, cause: String) -> TlsError {
        let path = self.client_authorities.clone().unwrap_or_default();
        TlsError::ClientAuthorities { path, cause }
    }

    /// Who asks clients for their certificate: nobody, if no authorities are given.
    fn client_verifier(&self, content: &Content) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(authorities) = &content.client_authorities else {
            return Ok(WebPkiClientVerifier::no_client_auth());
        };
        let unusable = |cause: String| self.unusable_authorities(cause);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            let added = roots.add(certificate);
            added.map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("there is no certificate".to_owned()));
        }
        let provider = Arc::new(ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .map_err(|error| unusable(error.to_string()))
    }

    fn parse(&self, content: &Content) -> Result<Arc<ServerConfig>, TlsError> {
        let no_certificate = || TlsError::NoCertificate {
            path: self.certificate.clone(),
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&content.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| no_certificate())?;
        if chain.is_empty() {
            return Err(no_certificate());
        }
        let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|_| TlsError::NoKey {
            path: self.key.clone(),
        })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_client_cert_verifier(self.client_verifier(content)?)
            .with_single_cert(chain, key)
            .map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let invalid = |reason: String| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    // Before it is opened, because opening a pipe waits for a writer.
    if !fs::metadata(path)?.is_file() {
        return invalid("it is not a file".to_owned());
    }
    let mut content = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut content)?;
    match content.len() as u64 > MAX_FILE {
        true => invalid(format!("it has more than {MAX_FILE} bytes")),
        false => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why files with this content cannot be used; `None` is no file.
    fn refused(certificate: Option<&str>, key: Option<&str>) -> TlsError {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: Option<&str>| {
            let path = folder.path().join(name);
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            path
        };
        let certificate = write("tls.crt", certificate);
        let key = write("tls.key", key);
        Tls::from_files(&certificate, &key).err().unwrap()
    }

    fn pair() -> (String, String) {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    }

    #[test]
    fn files_that_cannot_be_used_are_told_apart() {
        let (certificate, key) = pair();
        let error = refused(None, Some(&key));
        assert!(matches!(error, TlsError::CertificateFile { .. }), "{error}");
        let error = refused(Some("text"), Some(&key));
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
        let error = refused(Some(&certificate), None);
        assert!(matches!(error, TlsError::KeyFile { .. }), "{error}");
        let error = refused(Some(&certificate), Some("text"));
        assert!(matches!(error, TlsError::NoKey { .. }), "{error}");
        let (_, another_key) = pair();
        let error = refused(Some(&certificate), Some(&another_key));
        assert!(matches!(error, TlsError::Unusable(_)), "{error}");
        let padded = format!("{certificate}{}", " ".repeat(MAX_FILE as usize));
        let error = refused(Some(&padded), Some(&key)).to_string();
        assert!(error.ends_with("it has more than 1048576 bytes"), "{error}");
    }

    #[test]
    fn a_folder_or_a_device_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path(), Path::new("/dev/zero")] {
            let error = Tls::from_files(path, path).err().unwrap().to_string();
            assert!(error.ends_with("it is not a file"), "{error}");
        }
    }

    #[test]
    fn a_changed_pair_is_read_again_and_a_broken_one_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["tls.crt", "tls.key"].map(|name| folder.path().join(name));
        let write = |(certificate, key): (String, String)| {
            fs::write(&paths[0], certificate).unwrap();
            fs::write(&paths[1], key).unwrap();
        };
        write(pair());
        let tls = Tls::from_files(&paths[0], &paths[1]).unwrap();
        assert!(!tls.reload().unwrap());
        let before = tls.current.lock().config.clone();
        fs::write(&paths[1], "text").unwrap();
        assert!(tls.reload().is_err());
        assert!(Arc::ptr_eq(&before, &tls.current.lock().config));
        write(pair());
        assert!(tls.reload().unwrap());
        assert!(!Arc::ptr_eq(&before, &tls.current.lock().config));
    }
}
