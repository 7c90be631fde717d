//! One store for several runtimes: what one has written, another one reads.

use birthday_tests::client::{self, Answer};
use birthday_tests::contract::new_username;
use birthday_tests::service::{Service, host, spin_up, target};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use tempfile::TempDir;
use test_support::dynamodb::DynamoDb;
use test_support::machine::find_program;
use test_support::redis::Redis;

const REGION: &str = "eu-central-1";
const TABLE: &str = "shared-people";
/// A day before any test, and as the stores have it.
const BORN: &str = "2000-10-01";

/// Credentials that dynalite takes, and nothing else that the SDK would look for.
pub fn use_test_credentials(command: &mut Command) {
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
}

/// The address of `table`, which is created.
pub fn dynamodb_address(dynamodb: &DynamoDb, table: &str) -> String {
    let endpoint = dynamodb.endpoint();
    format!("dynamodb:{table}?region={REGION}&endpoint={endpoint}&create=true")
}

/// Trials with stores of their own. Those that need what is not installed are ignored.
pub fn trials() -> Vec<Trial> {
    let claim = |claim: &str, is_possible: bool, check: fn() -> Result<(), Failed>| {
        if !is_possible {
            eprintln!("skipped: {claim}");
        }
        Trial::test(claim, check).with_ignored_flag(!is_possible)
    };
    let has_redis = find_program("redis-server").is_some();
    let has_dynamodb = target().join("tools/dynalite/node_modules").is_dir();
    let has_spin = find_program("spin").is_some();
    vec![
        claim(
            "redis: a person is the string of a key",
            has_redis,
            redis_layout,
        ),
        claim(
            "dynamodb: a person is an item with PK and VAL, as Spin has it",
            has_dynamodb,
            dynamodb_layout,
        ),
        claim(
            "redis: host and Spin read what the other has written",
            has_redis && has_spin,
            redis_and_spin,
        ),
        claim(
            "dynamodb: host and Spin read what the other has written",
            has_dynamodb && has_spin,
            dynamodb_and_spin,
        ),
    ]
}

fn put(service: &Service, username: &str) -> Result<(), Failed> {
    let body = format!(r#"{{"dateOfBirth":"{BORN}"}}"#);
    let url = format!("{}/hello/{username}", service.url);
    let answer = client::send("PUT", &url, &[], body.as_bytes())?;
    expect(answer.status == 204, &answer, service)
}

fn get(service: &Service, username: &str) -> Result<(), Failed> {
    let answer = client::get(&format!("{}/hello/{username}", service.url))?;
    expect(
        answer.status == 200 && answer.body.contains(username),
        &answer,
        service,
    )
}

fn expect(is_right: bool, answer: &Answer, service: &Service) -> Result<(), Failed> {
    match is_right {
        true => Ok(()),
        false => Err(format!("{answer:?}, log: {}", service.log()).into()),
    }
}

/// What one of `services` stores, the others have.
fn check(services: &[Service]) -> Result<(), Failed> {
    for writer in services {
        let username = new_username();
        put(writer, &username)?;
        services
            .iter()
            .try_for_each(|reader| get(reader, &username))?;
    }
    Ok(())
}

fn host_on(address: &str) -> Service {
    let mut command = host();
    use_test_credentials(&mut command);
    Service::start(command.args(["--key-value", address]))
}

/// Spin with this runtime configuration of its store.
fn spin_on(folder: &TempDir, store: &str, endpoint: &str) -> Result<Service, Failed> {
    let spin = find_program("spin").ok_or("no spin on PATH")?;
    let configuration = folder.path().join("runtime-config.toml");
    fs::write(
        &configuration,
        format!("[key_value_store.default]\n{store}\n"),
    )?;
    let mut command = spin_up(&spin, &folder.path().join("state"));
    use_test_credentials(&mut command);
    command.env("AWS_ENDPOINT_URL", endpoint);
    command.arg("--runtime-config-file").arg(configuration);
    Ok(Service::start(&mut command))
}

fn redis_layout() -> Result<(), Failed> {
    let redis = Redis::start(&[]).ok_or("no Redis")?;
    let service = host_on(&format!("redis://127.0.0.1:{}", redis.port));
    let (ours, theirs) = (new_username(), new_username());
    put(&service, &ours)?;
    let stored = redis.run(&["GET", &format!("people/{ours}")]);
    if stored != BORN {
        return Err(format!("stored is {stored:?}").into());
    }
    redis.run(&["SET", &format!("people/{theirs}"), BORN]);
    get(&service, &theirs)
}

fn redis_and_spin() -> Result<(), Failed> {
    let redis = Redis::start(&[]).ok_or("no Redis")?;
    let folder = TempDir::new()?;
    let address = format!("redis://127.0.0.1:{}", redis.port);
    let store = format!("type = \"redis\"\nurl = \"{address}\"");
    check(&[host_on(&address), spin_on(&folder, &store, "")?])
}

/// One call of DynamoDB's API, signed by nobody.
fn call(dynamodb: &DynamoDb, operation: &str, body: &Value) -> Result<Value, Failed> {
    let target = format!("DynamoDB_20120810.{operation}");
    let credential = format!("Credential=test/20260101/{REGION}/dynamodb/aws4_request");
    let authorization = format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0");
    let headers = [
        ("x-amz-target", target.as_str()),
        ("x-amz-date", "20260101T000000Z"),
        ("content-type", "application/x-amz-json-1.0"),
        ("authorization", authorization.as_str()),
    ];
    let body = body.to_string();
    let answer = client::send("POST", &dynamodb.endpoint(), &headers, body.as_bytes())?;
    match answer.status {
        200 => Ok(serde_json::from_str(&answer.body)?),
        _ => Err(format!("{operation}: {answer:?}").into()),
    }
}

/// `BORN` in Base64.
const BORN_ENCODED: &str = "MjAwMC0xMC0wMQ==";

fn dynamodb_layout() -> Result<(), Failed> {
    let dynamodb = DynamoDb::start(&target().join("tools")).ok_or("no dynalite")?;
    let service = host_on(&dynamodb_address(&dynamodb, TABLE));
    let (ours, theirs) = (new_username(), new_username());
    put(&service, &ours)?;
    let key = json!({"PK": {"S": format!("people/{ours}")}});
    let found = call(
        &dynamodb,
        "GetItem",
        &json!({"TableName": TABLE, "Key": key}),
    )?;
    let expected = json!({"PK": key["PK"], "VAL": {"B": BORN_ENCODED}});
    if found["Item"] != expected {
        return Err(format!("stored is {found}").into());
    }
    // With the version that Spin's compare-and-swap leaves.
    let item = json!({
        "PK": {"S": format!("people/{theirs}")}, "VAL": {"B": BORN_ENCODED}, "VER": {"N": "3"},
    });
    call(
        &dynamodb,
        "PutItem",
        &json!({"TableName": TABLE, "Item": item}),
    )?;
    get(&service, &theirs)
}

fn dynamodb_and_spin() -> Result<(), Failed> {
    let dynamodb = DynamoDb::start(&target().join("tools")).ok_or("no dynalite")?;
    let ours = host_on(&dynamodb_address(&dynamodb, TABLE));
    // The first one creates the table.
    put(&ours, &new_username())?;
    let folder = TempDir::new()?;
    let store = format!(
        "type = \"aws_dynamo\"\nregion = \"{REGION}\"\ntable = \"{TABLE}\"\nconsistent_read = true"
    );
    check(&[ours, spin_on(&folder, &store, &dynamodb.endpoint())?])
}
