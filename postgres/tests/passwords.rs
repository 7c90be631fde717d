//! Passwords that the program makes for each connection.

use crate::support::{block_on, dedicated_pid, own_cluster, text};
use parking_lot::Mutex;
use pipelined_postgres::{
    Account, Databases, Error, MakingPassword, Options, Password, PasswordSource, Tls,
};
use std::fs;
use std::sync::Arc;
use tempfile::TempDir;
use test_support::cluster::Cluster;
use test_support::tls::Authority;

/// A server that wants the password of the role `api` over TLS, and who makes one.
struct Protected {
    cluster: Cluster,
    databases: Databases<String>,
    /// What is made, or why nothing is; and for whom it was.
    made: Arc<Mutex<Result<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Protected {
    fn start() -> Self {
        let cluster = own_cluster();
        cluster.run_sql("postgres", "CREATE ROLE api LOGIN PASSWORD 'first'");
        let authority = Authority::new();
        authority.encrypt(&cluster);
        cluster.write(
            "pg_hba.conf",
            "hostssl all api all scram-sha-256\nhost all postgres all trust\n",
        );
        cluster.reload();
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(&path, authority.pem()).unwrap();
        let made = Arc::new(Mutex::new(Ok("first".to_owned())));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let databases = Databases::new(Options {
            tls: Tls::with_authorities(&path).unwrap(),
            passwords: Some(source(made.clone(), asked.clone())),
            ..Options::default()
        });
        Self {
            cluster,
            databases,
            made,
            asked,
        }
    }

    fn address(&self) -> String {
        let port = self.cluster.port;
        format!("postgres://api@localhost:{port}/postgres?sslmode=verify-full")
    }
}

fn source(
    made: Arc<Mutex<Result<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
) -> PasswordSource {
    Arc::new(
        move |account: Account<'_>| -> Result<MakingPassword, String> {
            let Account { host, port, user } = account;
            if host == "other" {
                return Err("no passwords are made for other".to_owned());
            }
            let (made, asked) = (made.clone(), asked.clone());
            let account = format!("{user}@{host}:{port}");
            Ok(Box::pin(async move {
                asked.lock().push(account);
                let text = made.lock().clone()?;
                Ok(Password::new(text, "the password of the test"))
            }))
        },
    )
}

#[test]
fn each_connection_has_a_password_of_its_own() {
    block_on(async {
        let server = Protected::start();
        let mut first = server.databases.open(&server.address()).await.unwrap();
        assert_eq!(text(&mut first, "SELECT current_user::text").await, "api");
        let expected = format!("api@localhost:{}", server.cluster.port);
        assert!(
            server
                .asked
                .lock()
                .iter()
                .all(|account| *account == expected)
        );
        let before = server.asked.lock().len();
        // What is open stays open with another password, and what is opened has it.
        let sql = "ALTER ROLE api PASSWORD 'second'";
        server.cluster.run_sql("postgres", sql);
        *server.made.lock() = Ok("second".to_owned());
        let pid = dedicated_pid(&mut first).await;
        let mut second = server.databases.open(&server.address()).await.unwrap();
        assert_ne!(dedicated_pid(&mut second).await, pid);
        assert!(server.asked.lock().len() > before);
    });
}

#[test]
fn a_password_that_is_refused_is_called_by_its_origin_and_never_shown() {
    block_on(async {
        let server = Protected::start();
        *server.made.lock() = Ok("s3cret".to_owned());
        let error = server.databases.open(&server.address()).await.err();
        let Some(Error::Unreachable(reason)) = error else {
            panic!("{error:?}");
        };
        assert!(
            reason.contains("password authentication failed"),
            "{reason}"
        );
        assert!(
            reason.ends_with("(with the password of the test)"),
            "{reason}"
        );
        assert!(!reason.contains("s3cret"), "{reason}");
        let shown = format!("{:?}", Password::new("s3cret", "the password of the test"));
        assert_eq!(shown, "Password(the password of the test)");
    });
}

#[test]
fn what_makes_no_password_is_an_outage() {
    block_on(async {
        let server = Protected::start();
        *server.made.lock() = Err("nobody is there".to_owned());
        let error = server.databases.open(&server.address()).await.err();
        let Some(Error::Unreachable(reason)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(reason, "nobody is there");
    });
}

#[test]
fn a_password_is_made_only_for_whom_it_is_safe_to_send_it() {
    block_on(async {
        let asked = Arc::default();
        let made = Arc::new(Mutex::new(Ok("s3cret".to_owned())));
        let databases = Databases::<String>::new(Options {
            passwords: Some(source(made, Arc::clone(&asked))),
            ..Options::default()
        });
        for address in [
            "postgres://api@localhost:1/d",
            "postgres://api@localhost:1/d?sslmode=prefer",
            "postgres://api@localhost:1/d?sslmode=disable",
            "postgres://api:password@localhost:1/d?sslmode=require",
            "postgres://localhost:1/d?sslmode=require",
            "postgres://api@/d?host=/run&sslmode=require",
            "postgres://api@localhost:1,other:1/d?sslmode=require",
        ] {
            let error = databases.open(address).await.err();
            assert!(
                matches!(error, Some(Error::BadAddress(_))),
                "{address}: {error:?}"
            );
        }
        assert!(asked.lock().is_empty());
    });
}
