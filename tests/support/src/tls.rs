//! Encryption to a private PostgreSQL.

use crate::cluster::Cluster;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SerialNumber,
};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// A new one with a name of its own, which nobody trusts yet.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut parameters = CertificateParams::default();
        let name = format!("authority {number}");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::with(parameters)
    }

    /// One that is also the certificate of a server for `localhost`, as `openssl req -x509` makes it.
    pub fn for_localhost() -> Self {
        let parameters = CertificateParams::new(["localhost".to_owned()]);
        let mut parameters = parameters.expect("the name is valid");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::with(parameters)
    }

    fn with(parameters: CertificateParams) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(parameters, key);
        Self(issuer.expect("an authority signs itself"))
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for the server `name`.
    pub fn server(&self, name: &str) -> Pair {
        let names = CertificateParams::new([name.to_owned()]);
        self.sign(&names.expect("the name is valid"))
    }

    /// A certificate for the client `name`, with a number of its own.
    pub fn client(&self, name: &str, serial: u64) -> Pair {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.serial_number = Some(SerialNumber::from(serial));
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&parameters)
    }

    fn sign(&self, parameters: &CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = parameters.signed_by(&key, &self.0);
        Pair {
            certificate: certificate.expect("an authority signs").pem(),
            key: key.serialize_pem(),
        }
    }

    /// Has `cluster` take encrypted connections, with a certificate of this authority for `localhost`.
    pub fn encrypt(&self, cluster: &Cluster) {
        self.encrypt_as(cluster, "localhost");
    }

    /// The same for another `name`.
    pub fn encrypt_as(&self, cluster: &Cluster, name: &str) {
        show(cluster, &self.server(name));
    }

    /// The same with the certificate of the authority itself.
    pub fn encrypt_itself(&self, cluster: &Cluster) {
        let pair = Pair {
            certificate: self.pem(),
            key: self.0.key().serialize_pem(),
        };
        show(cluster, &pair);
    }
}

/// Has `cluster` show this certificate.
fn show(cluster: &Cluster, pair: &Pair) {
    cluster.write("server.crt", &pair.certificate);
    cluster.write("server.key", &pair.key);
    cluster.run_sql("postgres", "ALTER SYSTEM SET ssl = on");
    cluster.reload();
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
