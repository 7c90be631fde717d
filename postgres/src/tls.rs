//! Encryption of connections to Postgres, by rustls.

use crate::any_certificate::AnyCertificate;
use crate::client_certificate::ClientCertificate;
use crate::own_certificate::OrTrustedItself;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, Error as TlsError, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Whom to trust as certificate authorities, where an address asks for verification.
#[derive(Clone, Default)]
pub struct Tls {
    /// Instead of the system's.
    authorities: Option<Authorities>,
    verifying: Arc<OnceLock<ClientConfig>>,
}

/// The certificates of a file.
#[derive(Clone)]
struct Authorities {
    store: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

/// Why a file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read certificates from {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the reader of PEM says.
        cause: rustls::pki_types::pem::Error,
    },
    /// One of its certificates cannot be an authority.
    #[error("{} has a certificate that cannot be an authority: {cause}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What TLS says of the certificate.
        cause: TlsError,
    },
    /// It has no certificate.
    #[error("{} has no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Tls {
    /// Trusts the authorities in the PEM file at `path`, and no others.
    ///
    /// # Errors
    /// If the file cannot be read, or has no authority.
    pub fn with_authorities(path: &Path) -> Result<Self, CaError> {
        let unreadable = |cause| CaError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        let found = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
        let certificates: Vec<_> = found.collect::<Result<_, _>>().map_err(unreadable)?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            let added = store.add(certificate.clone());
            added.map_err(|cause| CaError::Unusable {
                path: path.to_owned(),
                cause,
            })?;
        }
        if store.is_empty() {
            return Err(CaError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            authorities: Some(Authorities {
                store,
                certificates,
            }),
            verifying: Arc::default(),
        })
    }

    /// For `sslmode=require` and above: the server's certificate has to be valid for its name.
    pub(crate) fn verifying(&self) -> ClientConfig {
        self.verifying
            .get_or_init(|| {
                let config = client_config();
                let verified = match &self.authorities {
                    Some(authorities) => config
                        .dangerous()
                        .with_custom_certificate_verifier(Arc::new(authorities.verifier())),
                    None => config.with_root_certificates(system_authorities()),
                };
                verified.with_no_client_auth()
            })
            .clone()
    }

    /// For `sslmode=prefer`: encrypts where the server can, and verifies nothing, as libpq.
    pub(crate) fn opportunistic() -> ClientConfig {
        let unverified = client_config()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(ring::default_provider())));
        unverified.with_no_client_auth()
    }
}

impl Authorities {
    fn verifier(&self) -> OrTrustedItself {
        let store = Arc::new(self.store.clone());
        let provider = Arc::new(ring::default_provider());
        let authorities = WebPkiServerVerifier::builder_with_provider(store, provider).build();
        OrTrustedItself {
            authorities: authorities.expect("there are authorities, and no revocation lists"),
            trusted: self.certificates.clone(),
        }
    }
}

type ConfigBuilder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn client_config() -> ConfigBuilder {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the default protocol versions")
}

/// Connects by `config`, and shows servers the `certificate`.
pub(crate) fn connect(
    mut config: ClientConfig,
    certificate: Option<Arc<ClientCertificate>>,
) -> MakeRustlsConnect {
    if let Some(certificate) = certificate {
        config.client_auth_cert_resolver = certificate;
        // A session that is resumed has the certificate of before.
        config.resumption = Resumption::disabled();
    }
    // Needed for `sslnegotiation=direct`, and ignored by servers that do not know it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    MakeRustlsConnect::new(config)
}

fn system_authorities() -> RootCertStore {
    let mut authorities = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("certificates of the system: {error}");
    }
    authorities.add_parsable_certificates(found.certs);
    authorities
}
