//! Which settings a function does not start with, and what it says.

use crate::platform::Function;

const DATABASE: (&str, &str) = (
    "SPIN_VARIABLE_DATABASE_URL",
    "postgres://api@127.0.0.1:1/people",
);

/// A function with these variables says so, to Lambda and in its log, and ends.
#[track_caller]
fn check(variables: &[(&str, &str)], said: &str) {
    let function = Function::start(variables);
    let platform = function.platform();
    let (status, log) = function.end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(said), "{log}");
    let errors = platform.start_errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let message = errors[0]["errorMessage"].as_str().unwrap();
    assert!(message.contains(said), "{message}");
    assert!(
        !log.contains("s3cret") && !message.contains("s3cret"),
        "{log} {message}"
    );
}

#[test]
fn people_are_never_kept_in_an_instance() {
    check(&[], "SPIN_VARIABLE_DATABASE_URL");
    for store in ["memory", "sqlite:/tmp/birthday.db"] {
        check(
            &[("BIRTHDAY_KEY_VALUE", store), DATABASE],
            "are lost when Lambda removes it",
        );
    }
}

#[test]
fn an_unknown_store_is_refused_without_its_address() {
    for store in [
        "other://user:s3cret@example.com",
        "redis:s3cret",
        "dynamodb:s3cret/x",
    ] {
        check(
            &[("BIRTHDAY_KEY_VALUE", store), DATABASE],
            "BIRTHDAY_KEY_VALUE: ",
        );
    }
}

#[test]
fn wrong_settings_are_refused() {
    for (name, value, said) in [
        ("SPIN_VARIABLE_TIMEZONE", "Mars/Olympus", "Mars/Olympus"),
        ("LAMBDA_TASK_ROOT", "/nowhere", "/nowhere/birthday.cwasm"),
        ("BIRTHDAY_COMPONENT", "/dev/null", "/dev/null"),
        (
            "SPIN_VARIABLE_API_TOKEN_FILE",
            "/s3cret",
            "SPIN_VARIABLE_API_TOKEN_FILE",
        ),
        (
            "SPIN_VARIABLE_database_password_file",
            "/s3cret",
            "SPIN_VARIABLE_database_password_file",
        ),
        (
            "BIRTHDAY_LISTEN",
            "0.0.0.0:80",
            "BIRTHDAY_LISTEN has no effect",
        ),
        (
            "BIRTHDAY_REQUEST_TIMEOUT",
            "0s",
            "BIRTHDAY_REQUEST_TIMEOUT: ",
        ),
        (
            "BIRTHDAY_POSTGRES_SHARING",
            "s3cret",
            "BIRTHDAY_POSTGRES_SHARING: ",
        ),
        (
            "BIRTHDAY_POSTGRES_STATEMENTS",
            "s3cret",
            "BIRTHDAY_POSTGRES_STATEMENTS: ",
        ),
        ("BIRTHDAY_POSTGRES_CA", "/nowhere", "BIRTHDAY_POSTGRES_CA"),
        (
            "BIRTHDAY_ALLOW_OUTBOUND",
            "not a rule",
            "BIRTHDAY_ALLOW_OUTBOUND: ",
        ),
        ("BIRTHDAY_BASE_PATH", "v1", "BIRTHDAY_BASE_PATH: "),
        ("BIRTHDAY_BASE_PATH", "/v1/", "BIRTHDAY_BASE_PATH: "),
        (
            "BIRTHDAY_STREAM_ANSWERS",
            "yes",
            "BIRTHDAY_STREAM_ANSWERS: ",
        ),
        (
            "BIRTHDAY_EXPORT_BUCKET",
            "No_Bucket",
            "BIRTHDAY_EXPORT_BUCKET: ",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://127.0.0.1:1 x",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
    ] {
        check(&[DATABASE, (name, value)], said);
    }
    let bucket = ("BIRTHDAY_EXPORT_BUCKET", "people");
    for (name, value, said) in [
        ("BIRTHDAY_EXPORT_PREFIX", "a b/", "BIRTHDAY_EXPORT_PREFIX: "),
        ("BIRTHDAY_EXPORT_ROLE", "admin", "BIRTHDAY_EXPORT_ROLE: "),
        (
            "BIRTHDAY_EXPORT_REGION",
            "Frankfurt",
            "BIRTHDAY_EXPORT_REGION",
        ),
        (
            "BIRTHDAY_EXPORT_EXTERNAL_ID",
            "s3cret",
            "BIRTHDAY_EXPORT_EXTERNAL_ID has no effect",
        ),
    ] {
        check(&[DATABASE, bucket, (name, value)], said);
    }
    // Without a bucket, its other settings have no effect.
    check(
        &[DATABASE, ("BIRTHDAY_EXPORT_PREFIX", "a/")],
        "BIRTHDAY_EXPORT_PREFIX has no effect",
    );
}
