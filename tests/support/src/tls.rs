//! Encryption to a private PostgreSQL.

use crate::cluster::Cluster;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
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

    /// Has `cluster` take encrypted connections, with a certificate of this authority for `localhost`.
    pub fn encrypt(&self, cluster: &Cluster) {
        let key = KeyPair::generate().expect("a key can be made");
        let names = CertificateParams::new(["localhost".to_owned()]);
        let names = names.expect("the name is valid");
        let certificate = names.signed_by(&key, &self.0).expect("an authority signs");
        show(cluster, &certificate.pem(), &key);
    }

    /// The same with the certificate of the authority itself.
    pub fn encrypt_itself(&self, cluster: &Cluster) {
        show(cluster, &self.pem(), self.0.key());
    }
}

/// Has `cluster` show this certificate.
fn show(cluster: &Cluster, certificate: &str, key: &KeyPair) {
    cluster.write("server.crt", certificate);
    cluster.write("server.key", &key.serialize_pem());
    cluster.run_sql("postgres", "ALTER SYSTEM SET ssl = on");
    cluster.reload();
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
