//! Encryption of a connection, by rustls.
//!
//! Only TLS 1.3, which every supported version of PostgreSQL speaks: the provider of cryptography is young, and this is less of
//! it. It is RustCrypto's, because ring and aws-lc are written in C, and take a compiler that knows WebAssembly.

use crate::address::Encryption;
use crate::any_certificate::AnyCertificate;
use crate::inbound::Inbound;
use crate::own_certificate::OrTrustedItself;
use crate::tcp::TcpStream;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::env;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

/// The variable of the environment with the authorities to trust, as PEM, instead of Mozilla's: there is no file to read.
const AUTHORITIES: &str = "POSTGRES_CA";

/// How connections to the servers of an address are encrypted.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// # Errors
    /// What is wrong with the authorities of the environment.
    pub fn new(encryption: Encryption) -> Result<Self, String> {
        let verifier: Arc<dyn ServerCertVerifier> = match encryption {
            Encryption::Verified => Arc::new(verifier()?),
            // As libpq: it encrypts, and verifies nothing.
            Encryption::Opportunistic | Encryption::None => {
                Arc::new(AnyCertificate(rustls_rustcrypto::provider()))
            }
        };
        let provider = Arc::new(rustls_rustcrypto::provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        // Needed for `sslnegotiation=direct`, and ignored by servers that do not know it.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// For the server whose certificate is for `name`.
    ///
    /// # Errors
    /// If no certificate can be for it.
    pub fn to(&self, name: &str) -> Result<Handshake, String> {
        let name = ServerName::try_from(name.to_owned());
        Ok(Handshake {
            connector: self.0.clone(),
            name: name.map_err(|error| error.to_string())?,
        })
    }
}

/// Trusts Mozilla's authorities, or those of the environment.
fn verifier() -> Result<OrTrustedItself, String> {
    let mut store = RootCertStore::empty();
    let mut trusted = Vec::new();
    match env::var(AUTHORITIES) {
        Ok(pem) => {
            let found = CertificateDer::pem_slice_iter(pem.as_bytes());
            trusted = found.collect::<Result<_, _>>().map_err(unusable)?;
            for authority in &trusted {
                store.add(authority.clone()).map_err(unusable)?;
            }
        }
        Err(_) => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls_rustcrypto::provider());
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider);
    Ok(OrTrustedItself {
        authorities: authorities.build().map_err(unusable)?,
        trusted,
    })
}

fn unusable(error: impl std::fmt::Display) -> String {
    format!("{AUTHORITIES}: {error}")
}

/// TLS with one server, before it begins.
pub struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl TlsConnect<Inbound<TcpStream>> for Handshake {
    type Stream = Inbound<Encrypted>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>>>>;

    fn connect(self, stream: Inbound<TcpStream>) -> Self::Future {
        let connecting = self.connector.connect(self.name, stream.into_inner());
        // The messages begin anew, within it.
        Box::pin(async { Ok(Inbound::new(Encrypted(connecting.await?))) })
    }
}

/// An encrypted stream.
pub struct Encrypted(tokio_rustls::client::TlsStream<TcpStream>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
