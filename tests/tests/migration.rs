//! The hook of charts/postgres-db. It creates the same table as the component, and a role with the rights that the
//! component needs.

use birthday_tests::client;
use birthday_tests::service::{Service, root};
use libtest_mimic::Trial;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;
use test_support::cluster::Cluster;

const ROLE: &str = "hello_api";

/// Characters that need quoting in psql, SQL, the shell or an address.
pub const PASSWORD: &str = r#"p'a"s\s $w:o%r{d} :'x' :"y" @/?#&= `ls` $(ls) \n \' -- é"#;

/// All tests of this module.
pub fn trials() -> Vec<Trial> {
    let trial = |claim: &str, test: fn()| {
        Trial::test(format!("migration: {claim}"), move || {
            test();
            Ok(())
        })
    };
    vec![
        trial("the table is the component's", the_table_is_the_components),
        trial("any password will do, and changes", any_password_will_do),
        trial(
            "the role does not keep what it had before",
            the_role_does_not_keep_what_it_had_before,
        ),
        trial("the password is not logged", the_password_is_not_logged),
        trial(
            "a file without a password is refused",
            a_file_without_a_password_is_refused,
        ),
    ]
}

/// Makes the server ask only the role for its password.
fn ask_for_password(cluster: &Cluster) {
    let lines =
        format!("host all {ROLE} all scram-sha-256\nhost all all all trust\nlocal all all trust\n");
    cluster.write("pg_hba.conf", &lines);
    cluster.reload();
}

/// A new database after the hook has run, for the role with [`PASSWORD`].
///
/// # Panics
/// If it fails.
pub fn database(cluster: &Cluster, name: &str) -> String {
    ask_for_password(cluster);
    cluster.create_database(name);
    migrate(cluster, name, PASSWORD);
    format!("postgres://{ROLE}@127.0.0.1:{}/{name}", cluster.port)
}

/// The columns, constraints and indexes of `people`, without its owner.
fn table(cluster: &Cluster, database: &str) -> String {
    let table = cluster.run_sql(
        database,
        "SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, atthasdef) \
            FROM pg_attribute WHERE attrelid = 'public.people'::regclass AND attnum > 0 \
        UNION ALL SELECT concat_ws(' ', conname, pg_get_constraintdef(oid)) \
            FROM pg_constraint WHERE conrelid = 'public.people'::regclass \
        UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename = 'people' \
        ORDER BY 1",
    );
    assert!(table.lines().count() >= 5, "{table}");
    table
}

fn files() -> PathBuf {
    root().join("charts/postgres-db/files")
}

/// The hook, run like in its container.
fn try_migrate(cluster: &Cluster, database: &str, password: &str) -> Output {
    let folder = TempDir::with_prefix("birthday-migration-").unwrap();
    let superuser = folder.path().join("superuser");
    let api = folder.path().join("api");
    fs::write(&superuser, "nobody asks for it").unwrap();
    fs::write(&api, password).unwrap();
    cluster
        .client("sh")
        .arg(files().join("migrate.sh"))
        .env("PGUSER", "postgres")
        .env("PGDATABASE", database)
        .env("POSTGRES_PASSWORD_FILE", superuser)
        .env("API_PASSWORD_FILE", api)
        .env("API_ROLE", ROLE)
        .env("API_STATEMENT_TIMEOUT", "5s")
        .env("API_CONNECTION_LIMIT", "-1")
        .output()
        .unwrap()
}

#[track_caller]
fn migrate(cluster: &Cluster, database: &str, password: &str) {
    let output = try_migrate(cluster, database, password);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// psql as the role.
fn psql(cluster: &Cluster, database: &str, password: &str) -> Command {
    let mut command = cluster.client("psql");
    command
        .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"])
        .env("PGUSER", ROLE)
        .env("PGDATABASE", database)
        .env("PGPASSWORD", password);
    command
}

/// The SQL of `helm test`.
#[track_caller]
fn check_role(cluster: &Cluster, database: &str, password: &str) {
    let output = psql(cluster, database, password)
        .arg("--file")
        .arg(files().join("test.sql"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{password}: {output:?}");
}

fn may_connect(cluster: &Cluster, database: &str, password: &str) -> bool {
    let mut command = psql(cluster, database, password);
    let output = command.args(["--command", "SELECT 1"]).output().unwrap();
    output.status.success()
}

fn cluster_with_people(settings: &[&str]) -> Cluster {
    let cluster = Cluster::start(&[&["fsync=off"], settings].concat());
    ask_for_password(&cluster);
    cluster.create_database("people");
    cluster
}

fn the_table_is_the_components() {
    let cluster = cluster_with_people(&[]);
    migrate(&cluster, "people", PASSWORD);
    cluster.create_database("made_by_the_component");
    let address = cluster.address("made_by_the_component");
    let mut host = crate::host();
    host.args(["--key-value", "memory", "--variable"])
        .arg(format!("database_url={address}"));
    let service = Service::start(&mut host);
    let url = format!("{}/hello/bob", service.url);
    assert_eq!(client::get(&url).unwrap().status, 404);
    assert_eq!(
        table(&cluster, "people"),
        table(&cluster, "made_by_the_component")
    );
}

fn any_password_will_do() {
    let cluster = cluster_with_people(&[]);
    let mut before = "never set".to_owned();
    let long = "x".repeat(200);
    for password in [
        "plain",
        PASSWORD,
        PASSWORD,
        "'; DROP TABLE people; --",
        "\\",
        "'",
        ":role",
        &long,
    ] {
        migrate(&cluster, "people", password);
        check_role(&cluster, "people", password);
        assert!(
            before == password || !may_connect(&cluster, "people", &before),
            "{before}"
        );
        before = password.to_owned();
    }
    assert!(!may_connect(&cluster, "postgres", &before));
    assert!(!may_connect(&cluster, "template1", &before));
}

/// A component that was allowed to create its table owns it.
fn the_role_does_not_keep_what_it_had_before() {
    let cluster = cluster_with_people(&[]);
    cluster.run_sql(
        "people",
        "CREATE ROLE hello_api LOGIN CREATEDB CREATEROLE; GRANT ALL ON SCHEMA public TO hello_api; \
         SET ROLE hello_api; CREATE TABLE people (username text PRIMARY KEY, date_of_birth date NOT NULL)",
    );
    migrate(&cluster, "people", PASSWORD);
    check_role(&cluster, "people", PASSWORD);
}

fn the_password_is_not_logged() {
    let cluster = cluster_with_people(&[
        "logging_collector=on",
        "log_directory=log",
        "log_statement=all",
        "log_min_duration_statement=0",
        "log_min_error_statement=debug5",
    ]);
    migrate(&cluster, "people", "s3cret");
    let log: String = fs::read_dir(cluster.data().join("log"))
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(log.contains("CREATE TABLE IF NOT EXISTS"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

fn a_file_without_a_password_is_refused() {
    let cluster = cluster_with_people(&[]);
    let output = try_migrate(&cluster, "people", "");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.starts_with("no password in "), "{error}");
}
