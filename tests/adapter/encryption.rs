//! Encryption to the server, and which servers are trusted.

use crate::composition::{Application, Composition, cluster};
use test_support::cluster::Cluster;
use test_support::tls::Authority;

/// A server that takes only encrypted connections.
fn encrypted_cluster() -> Cluster {
    let cluster = cluster(&[]);
    cluster.write(
        "pg_hba.conf",
        "local all all trust\nhostssl all all all trust\n",
    );
    cluster
}

fn trusting(composition: &Composition, authority: &Authority) -> Application {
    composition.serve(&["--env", &format!("POSTGRES_CA={}", authority.pem())])
}

fn address(cluster: &Cluster, host: &str, mode: &str) -> String {
    let port = cluster.port;
    format!("postgres://postgres@{host}:{port}/people?sslmode={mode}")
}

const IS_CONNECTED: &str = "[[DbValue::Int32(1)]]";

pub fn is_as_the_address_asks(composition: &Composition) {
    let cluster = encrypted_cluster();
    let authority = Authority::new();
    authority.encrypt(&cluster);
    let own = trusting(composition, &authority);
    let strange = trusting(composition, &Authority::new());
    let mozilla = composition.serve(&[]);
    let address = |host, mode| address(&cluster, host, mode);

    for mode in ["require", "verify-ca", "verify-full"] {
        own.check("/postgres-one", &address("localhost", mode), IS_CONNECTED);
        // Another authority of the same name, and none of that name.
        for (application, reason) in [(&strange, "BadSignature"), (&mozilla, "UnknownIssuer")] {
            application.check_failed("/postgres-one", &address("localhost", mode), reason);
        }
    }
    let other_name = "not valid for name";
    own.check_failed(
        "/postgres-one",
        &address("127.0.0.1", "require"),
        other_name,
    );
    for mode in ["prefer", "allow"] {
        let address = address("localhost", mode);
        mozilla.check("/postgres-one", &address, IS_CONNECTED);
    }
    own.check_failed(
        "/postgres-one",
        &address("localhost", "disable"),
        "no encryption",
    );
    // Whatever comes over it.
    for path in ["/postgres", "/postgres-errors"] {
        own.check(path, &address("localhost", "require"), "ok");
    }
}

pub fn a_certificate_may_be_its_own_authority(composition: &Composition) {
    let cluster = encrypted_cluster();
    let authority = Authority::for_localhost();
    authority.encrypt_itself(&cluster);
    let application = trusting(composition, &authority);
    let address = address(&cluster, "localhost", "require");
    application.check("/postgres-one", &address, IS_CONNECTED);
}

pub fn is_not_done_without(composition: &Composition) {
    let cluster = cluster(&[]);
    let application = composition.serve(&[]);
    let address = |mode| address(&cluster, "localhost", mode);
    application.check("/postgres-one", &address("prefer"), IS_CONNECTED);
    let refused = "server does not support TLS";
    application.check_failed("/postgres-one", &address("require"), refused);
}
