//! DynamoDB: throttled, silent, misconfigured, gone.

use super::fake::{self, Reply, error, pass_on};
use super::{
    PATIENCE, check_given_up, check_log, check_unavailable, check_works, host_on, patient_host_on,
    people, wait_until_back,
};
use crate::support::get;
use birthday_tests::service::{Service, target};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use test_support::dynamodb::DynamoDb;
use test_support::machine::free_port;
use test_support::wait::wait_for;

const SECRET: &str = "s3cretKey";

fn host_at(endpoint: &str, more: &str) -> Command {
    with_credentials(host_on(&address(endpoint, more)))
}

/// The same, but operations may take as long as they do by default: a batch has several rounds, with pauses.
fn patient_host_at(endpoint: &str, more: &str) -> Command {
    with_credentials(patient_host_on(&address(endpoint, more)))
}

fn address(endpoint: &str, more: &str) -> String {
    format!("dynamodb:people?region=eu-central-1&endpoint={endpoint}{more}")
}

fn with_credentials(mut command: Command) -> Command {
    without_credentials(&mut command);
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", SECRET);
    command
}

/// Nothing that the SDK would look for.
fn without_credentials(command: &mut Command) {
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
}

fn dynalite() -> Option<DynamoDb> {
    let dynamodb = DynamoDb::start(&target().join("tools"));
    if dynamodb.is_none() {
        println!("skipped: run scripts/install-dynalite");
    }
    dynamodb
}

#[test]
fn a_table_that_is_missing_is_logged_once_and_taken_when_it_is_there() {
    let Some(dynamodb) = dynalite() else { return };
    let service = Service::start(&mut host_at(&dynamodb.endpoint(), ""));
    check_unavailable(&service);
    check_unavailable(&service);
    // Another host may create it.
    let creator = Service::start(&mut host_at(&dynamodb.endpoint(), "&create=true"));
    wait_for(PATIENCE, "the table", || {
        get(&creator, "/health").status == 200
    });
    check_works(&creator);
    wait_until_back(&service);
    check_log(
        &service,
        &["there is no such table", "key-value dynamodb people: back"],
    );
}

#[test]
fn a_server_that_is_gone_is_logged_once() {
    let address = format!("http://127.0.0.1:{}", free_port());
    let service = Service::start(&mut host_at(&address, ""));
    for _ in 0..3 {
        check_unavailable(&service);
    }
    check_log(&service, &["key-value dynamodb people: out of reach: "]);
}

#[test]
fn a_server_that_is_silent_is_given_up_in_time_and_back_without_a_restart() {
    let Some(dynamodb) = dynalite() else { return };
    let is_silent = Arc::new(AtomicBool::new(true));
    let (silent, real) = (is_silent.clone(), dynamodb.endpoint());
    let endpoint = fake::start(
        move |operation, body| match silent.load(Ordering::Relaxed) {
            true => None,
            false => pass_on(&real, operation, &body),
        },
    );
    let service = Service::start(&mut host_at(&endpoint, "&create=true"));
    check_given_up(&service);
    is_silent.store(false, Ordering::Relaxed);
    let log = wait_until_back(&service);
    assert_eq!(
        log.matches("out of reach: it does not answer").count(),
        1,
        "{log}"
    );
    assert_eq!(log.matches(": back").count(), 1, "{log}");
}

/// The store answers everything with `reply`: each time 503, and one line, which has `line`.
#[track_caller]
fn check_refused(reply: impl Fn() -> Reply + Send + Sync + 'static, line: &str) {
    let service = Service::start(&mut host_at(&fake::start(move |_, _| reply()), ""));
    check_unavailable(&service);
    check_unavailable(&service);
    let log = check_log(&service, &[line]);
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn each_refusal_is_one_clear_line() {
    let check = |code: &'static str, message: &'static str, line: &str| {
        check_refused(move || error(code, message), line);
    };
    check(
        "ExpiredTokenException",
        "The security token included in the request is expired",
        "they have expired",
    );
    check(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        "refuses the credentials",
    );
    check(
        "InvalidSignatureException",
        "Signature expired: 20200101T000000Z is now earlier than 20200102T000000Z",
        "is the clock right?",
    );
    check(
        "InvalidSignatureException",
        "Credential should be scoped to a valid region.",
        "is of another region",
    );
    check(
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/x is not authorized",
        "does not allow",
    );
    check(
        "ValidationException",
        "The provided key element does not match the schema",
        "the key of the table is not the one text PK",
    );
    check_refused(
        || Some((500, r#"{"__type":"InternalServerError"}"#.to_owned())),
        "answers with an error (InternalServerError)",
    );
    check_refused(
        || Some((404, "<html>nothing here</html>".to_owned())),
        "is the endpoint right?",
    );
}

#[test]
fn throttling_is_tried_again_within_bounds_and_ends_without_a_restart() {
    let Some(dynamodb) = dynalite() else { return };
    let is_throttled = Arc::new(AtomicBool::new(true));
    let attempts = Arc::new(AtomicUsize::new(0));
    let (throttled, counted, real) = (is_throttled.clone(), attempts.clone(), dynamodb.endpoint());
    let endpoint = fake::start(move |operation, body| {
        counted.fetch_add(1, Ordering::Relaxed);
        match throttled.load(Ordering::Relaxed) {
            true => error(
                "ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput",
            ),
            false => pass_on(&real, operation, &body),
        }
    });
    let service = Service::start(&mut host_at(&endpoint, "&create=true"));
    let before = attempts.load(Ordering::Relaxed);
    let answer = get(&service, "/hello/bob");
    assert_eq!(
        answer.problem().as_deref(),
        Some("store-unavailable"),
        "{answer:?}"
    );
    let made = attempts.load(Ordering::Relaxed) - before;
    assert!((2..=4).contains(&made), "{made} attempts");
    is_throttled.store(false, Ordering::Relaxed);
    wait_until_back(&service);
    check_log(
        &service,
        &["throttles requests", "the table was created", ": back"],
    );
}

#[test]
fn without_credentials_and_without_a_region_the_line_says_so() {
    let endpoint = fake::start(|_, _| None);
    let mut command = host_on(&address(&endpoint, ""));
    without_credentials(&mut command);
    let service = Service::start(&mut command);
    check_unavailable(&service);
    check_log(
        &service,
        &["has no credentials: none are in the environment"],
    );
    let mut command = host_on("dynamodb:people");
    without_credentials(&mut command);
    let service = Service::start(&mut command);
    check_unavailable(&service);
    check_log(&service, &["no region is known: add ?region="]);
}

/// Leaves a quarter of each batch undone, and gives pages of ten keys.
fn in_small_pieces(real: &str, operation: &str, mut body: Value) -> Reply {
    if operation == "Scan" {
        body["Limit"] = json!(10);
        return pass_on(real, operation, &body);
    }
    let mut rest = Value::Null;
    let requests = match operation {
        "BatchGetItem" => body["RequestItems"]["people"]["Keys"].as_array_mut(),
        "BatchWriteItem" => body["RequestItems"]["people"].as_array_mut(),
        _ => None,
    };
    if let Some(requests) = requests.filter(|requests| requests.len() > 1) {
        rest = Value::Array(requests.split_off(requests.len() - requests.len() / 4));
    }
    let (status, answer) = pass_on(real, operation, &body)?;
    let mut answer: Value = serde_json::from_str(&answer).unwrap();
    if !rest.is_null() {
        match operation {
            "BatchGetItem" => {
                body["RequestItems"]["people"]["Keys"] = rest;
                answer["UnprocessedKeys"] = body["RequestItems"].clone();
            }
            _ => answer["UnprocessedItems"] = json!({"people": rest}),
        }
    }
    Some((status, answer.to_string()))
}

#[test]
fn what_is_left_undone_is_asked_for_again_and_keys_come_in_pages() {
    let Some(dynamodb) = dynalite() else { return };
    let real = dynamodb.endpoint();
    let endpoint = fake::start(move |operation, body| in_small_pieces(&real, operation, body));
    let mut command = people::with_token(patient_host_at(&endpoint, "&create=true"));
    let service = Service::start(&mut command);
    wait_for(PATIENCE, "the table", || {
        get(&service, "/health").status == 200
    });
    people::check(&service, 120);
}

#[test]
fn a_batch_that_is_never_done_is_an_outage() {
    let endpoint = fake::start(|operation, body| match operation {
        "BatchWriteItem" => Some((
            200,
            json!({"UnprocessedItems": body["RequestItems"]}).to_string(),
        )),
        _ => Some((200, "{}".to_owned())),
    });
    let mut command = people::with_token(patient_host_at(&endpoint, ""));
    let service = Service::start(&mut command);
    let url = format!("{}/populate", service.url);
    let headers = [
        ("authorization", "Bearer token"),
        ("content-type", "application/x-ndjson"),
    ];
    let lines = people::lines(3);
    let answer = birthday_tests::client::send("POST", &url, &headers, lines.as_bytes()).unwrap();
    assert_eq!(
        answer.problem().as_deref(),
        Some("store-unavailable"),
        "{answer:?}"
    );
    let lines = [
        "it leaves parts of batches undone",
        "populate: the store failed",
    ];
    check_log(&service, &lines);
}

#[test]
fn thousands_are_stored_saved_and_removed() {
    let Some(dynamodb) = dynalite() else { return };
    let mut command = people::with_token(patient_host_at(&dynamodb.endpoint(), "&create=true"));
    let service = Service::start(&mut command);
    wait_for(PATIENCE, "the table", || {
        get(&service, "/health").status == 200
    });
    people::check(&service, 2_500);
    check_log(&service, &["the table was created"]);
}
