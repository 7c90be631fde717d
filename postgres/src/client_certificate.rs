//! The certificate of this client, from files that are read again for each new connection.

use crate::address::ClientFiles;
use crate::error::Error;
use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The longest file, in bytes: chains of certificates have a few KiB.
const MAX_FILE: u64 = 256 * 1024;

/// A certificate and its key, as they were read last.
pub struct ClientCertificate {
    /// The log calls the database so.
    name: String,
    files: ClientFiles,
    current: Mutex<Current>,
}

struct Current {
    certified: Arc<CertifiedKey>,
    content: Content,
    /// Why the files cannot be used now, if they cannot.
    complaint: String,
}

#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl ClientCertificate {
    /// The one in `files`, for the database that the log calls `name`.
    ///
    /// # Errors
    /// [`Error::BadAddress`] if they cannot be used.
    pub fn read(name: String, files: &ClientFiles) -> Result<Self, Error> {
        let content = Content::read(files).map_err(Error::BadAddress)?;
        let certified = content.certified(files);
        let current = Current {
            certified: certified.map_err(Error::BadAddress)?,
            content,
            complaint: String::new(),
        };
        Ok(Self {
            name,
            files: files.clone(),
            current: Mutex::new(current),
        })
    }

    /// Reads the files again. If they cannot be used, this is logged once, and what was read before stays.
    pub fn refresh(&self) {
        let read = Content::read(&self.files);
        let mut current = self.current.lock();
        let replaced = match read {
            Ok(content) if content == current.content => {
                current.complaint.clear();
                return;
            }
            Ok(content) => content
                .certified(&self.files)
                .map(|certified| (certified, content)),
            Err(reason) => Err(reason),
        };
        match replaced {
            Ok((certified, content)) => {
                *current = Current {
                    certified,
                    content,
                    complaint: String::new(),
                };
                tracing::info!(
                    "postgres {}: the client's certificate was read again",
                    self.name
                );
            }
            Err(reason) if reason != current.complaint => {
                tracing::warn!(
                    "postgres {}: the client's certificate in use stays: {reason}",
                    self.name
                );
                current.complaint = reason;
            }
            Err(_) => {}
        }
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({})", self.files.certificate.display())
    }
}

impl ResolvesClientCert for ClientCertificate {
    /// Whatever authorities the server names: it refuses what it does not trust, and says so.
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.lock().certified.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Content {
    fn read(files: &ClientFiles) -> Result<Self, String> {
        Ok(Self {
            certificate: read("sslcert", &files.certificate)?,
            key: read("sslkey", &files.key)?,
        })
    }

    fn certified(&self, files: &ClientFiles) -> Result<Arc<CertifiedKey>, String> {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = match chain {
            Ok(chain) if !chain.is_empty() => chain,
            _ => return Err(format!("sslcert: {certificate} has no certificate")),
        };
        let found = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| format!("sslkey: {key} has no private key"))?;
        let certified = CertifiedKey::from_der(chain, found, &ring::default_provider());
        let certified = certified.map_err(|error| format!("sslkey: {key}: {error}"))?;
        Ok(Arc::new(certified))
    }
}

fn read(parameter: &str, path: &Path) -> Result<Vec<u8>, String> {
    let cannot_read = |error| format!("{parameter}: cannot read {}: {error}", path.display());
    // Before it is opened, because opening a pipe waits for a writer.
    if !fs::metadata(path).map_err(cannot_read)?.is_file() {
        return Err(format!("{parameter}: {} is not a file", path.display()));
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(cannot_read)?;
    let mut first_bytes = file.take(MAX_FILE + 1);
    first_bytes.read_to_end(&mut content).map_err(cannot_read)?;
    match content.len() as u64 > MAX_FILE {
        true => Err(format!(
            "{parameter}: {} has more than {MAX_FILE} bytes",
            path.display()
        )),
        false => Ok(content),
    }
}
