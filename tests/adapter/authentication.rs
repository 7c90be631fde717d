//! Passwords.

use crate::composition::{Composition, cluster};

/// In the forms of SQL and of an address.
const PASSWORD: &str = "p@ss/w:rd";
const IN_ADDRESS: &str = "p%40ss%2Fw%3Ard";

const WRONG: &str = "s3cret";

/// How the server stores passwords, and by which method it asks for them.
const METHODS: [(&str, &str); 3] = [
    ("scram-sha-256", "scram-sha-256"),
    ("md5", "md5"),
    ("scram-sha-256", "password"),
];

pub fn passwords_are_checked_and_not_told(composition: &Composition) {
    let cluster = cluster(&[]);
    let application = composition.serve(&[]);
    for (number, (stored, method)) in METHODS.iter().enumerate() {
        let role = format!("api_{number}");
        let sql = format!(
            "SET password_encryption = '{stored}'; CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"
        );
        cluster.run_sql("people", &sql);
        let asks = format!("host all {role} all {method}\nhost all all all trust\n");
        cluster.write("pg_hba.conf", &asks);
        cluster.reload();
        let server = format!("127.0.0.1:{}/people", cluster.port);
        let right = format!("postgres://{role}:{IN_ADDRESS}@{server}");
        application.check("/postgres-one", &right, "[[DbValue::Int32(1)]]");
        let wrong = format!("postgres://{role}:{WRONG}@{server}");
        let refused = "password authentication failed";
        let answer = application.check_failed("/postgres-one", &wrong, refused);
        assert!(!answer.contains(WRONG), "{answer}");
        let none = format!("postgres://{role}@{server}");
        application.check_failed("/postgres-one", &none, "password missing");
    }
}
