//! What a function does by itself: export into a bucket of another account, import from there, and the configured API.

use crate::accounts::{Moto, Recorder};
use crate::answers::cluster;
use crate::events::{Kind, Request};
use crate::platform::{Function, Outcome};
use birthday_tests::upstream::{Behavior, KEY, Upstream};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_support::cluster::Cluster;

/// The account of the bucket. moto's own is 123456789012, which is that of the function.
const ROLE: &str = "arn:aws:iam::222222222222:role/people-writer";
const BUCKET: &str = "people-of-another-account";
const TOKEN: (&str, &str) = ("SPIN_VARIABLE_API_TOKEN", "t0ken/+");

/// As EventBridge sends it each day.
const SCHEDULED: &str = r#"{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event",
    "source":"aws.events","account":"123456789012","time":"2026-10-08T16:53:06Z","region":"eu-central-1",
    "resources":["arn:aws:events:eu-central-1:123456789012:rule/export"],"detail":{}}"#;
const SCHEDULED_KEY: &str = "backup/people-2026-10-08T165306Z.ndjson";

/// A client of S3 in the account of the role.
const AS_OWNER: &str = r#"
import boto3, sys
role = boto3.client("sts").assume_role(RoleArn=sys.argv[1], RoleSessionName="test")["Credentials"]
s3 = boto3.client("s3", aws_access_key_id=role["AccessKeyId"], aws_secret_access_key=role["SecretAccessKey"],
                  aws_session_token=role["SessionToken"])
"#;

/// What `program`, with the client `s3`, prints for the bucket's owner.
#[track_caller]
fn as_owner(moto: &Moto, program: &str, arguments: &[&str]) -> String {
    moto.python(
        &format!("{AS_OWNER}\n{program}"),
        &[&[ROLE, BUCKET], arguments].concat(),
    )
}

fn create_bucket(moto: &Moto) {
    let create = r#"s3.create_bucket(Bucket=sys.argv[2], CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})"#;
    as_owner(moto, create, &[]);
}

/// The keys of all objects and uploads in the bucket, one in a line.
fn keys(moto: &Moto) -> String {
    let list = r#"
objects = s3.list_objects_v2(Bucket=sys.argv[2]).get("Contents", [])
uploads = s3.list_multipart_uploads(Bucket=sys.argv[2]).get("Uploads", [])
print("\n".join([one["Key"] for one in objects] + ["upload of " + one["Key"] for one in uploads]))
"#;
    as_owner(moto, list, &[])
}

/// A function on this database that may assume the role, and finds AWS at `endpoint`.
fn function_on(
    cluster: &Cluster,
    database: &str,
    endpoint: &str,
    more: &[(&str, &str)],
) -> Function {
    let address = cluster.address(database);
    let settings = [
        ("SPIN_VARIABLE_DATABASE_URL", address.as_str()),
        TOKEN,
        ("BIRTHDAY_EXPORT_BUCKET", BUCKET),
        ("BIRTHDAY_EXPORT_PREFIX", "backup/"),
        ("BIRTHDAY_EXPORT_ROLE", ROLE),
        ("BIRTHDAY_EXPORT_EXTERNAL_ID", "people"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "AKIAFUNCTION"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ("AWS_SESSION_TOKEN", "t0k3n"),
    ];
    Function::start(&[&settings, more].concat())
}

/// Stores people with names of letters only. One takes 97 bytes of the export.
fn store(cluster: &Cluster, database: &str, people: usize) {
    let name = "rpad(translate(number::text, '0123456789', 'abcdefghij'), 52, 'x')";
    cluster.run_sql(
        database,
        &format!("INSERT INTO people SELECT {name}, DATE '2000-10-01' + number % 1000 FROM generate_series(1, {people}) AS number"),
    );
}

/// Makes the table, as the first write does.
fn create_table(function: &Function) {
    let authorization = [("authorization", "Bearer t0ken/+")];
    let request = Request::new("PUT", "/hello/bob").headers(&authorization);
    let request = request.body(r#"{"dateOfBirth":"2000-10-01"}"#);
    assert_eq!(
        function.answer(&request.event(Kind::Http))["statusCode"],
        204
    );
}

/// All rows of a table as one value.
fn content(cluster: &Cluster, database: &str) -> String {
    cluster.run_sql(
        database,
        "SELECT count(*) || ' ' || md5(string_agg(username || date_of_birth, ',' ORDER BY username)) FROM people",
    )
}

/// Ends the test, and says so, where there is no moto.
macro_rules! moto_or_skip {
    () => {
        match Moto::start() {
            Some(moto) => moto,
            None => {
                eprintln!("skipped: run scripts/install-moto");
                return;
            }
        }
    };
}

#[test]
fn everybody_is_exported_to_another_account_and_imported_from_there() {
    let moto = moto_or_skip!();
    create_bucket(&moto);
    let recorder = Recorder::start(moto.address());
    let cluster = cluster();
    cluster.create_database("copy");
    let function = function_on(&cluster, "people", &recorder.endpoint, &[]);
    create_table(&function);
    // More than two parts of 8 MiB.
    store(&cluster, "people", 200_000);
    let done = function.answer(SCHEDULED);
    let bytes = done["bytes"].as_u64().unwrap();
    assert!(bytes > 2 * 8 * 1024 * 1024, "{done}");
    assert_eq!(
        done,
        json!({ "bucket": BUCKET, "key": SCHEDULED_KEY, "people": 200_001, "bytes": bytes })
    );
    assert_eq!(keys(&moto), SCHEDULED_KEY);
    let memory = peak_memory(function.pid());
    println!("exported {bytes} bytes; the function has taken {memory} KiB at most");
    check_requests(&recorder.heads());
    // Once more, as when Lambda tries again: the same object.
    assert_eq!(function.answer(SCHEDULED), done);
    assert_eq!(keys(&moto), SCHEDULED_KEY);
    let log = function.kill();
    assert!(
        !log.contains("s3cret") && !log.contains("t0k3n") && !log.contains("t0ken/+"),
        "{log}"
    );

    let import = json!({ "job": "import", "key": SCHEDULED_KEY }).to_string();
    let copy = function_on(&cluster, "copy", &recorder.endpoint, &[]);
    assert_eq!(
        copy.answer(&import),
        json!({ "stored": 200_001, "skipped": 0 })
    );
    assert_eq!(content(&cluster, "copy"), content(&cluster, "people"));
}

/// The most memory that a process has had, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The requests of one export are those that they should be.
fn check_requests(heads: &[String]) {
    let lines: Vec<_> = heads
        .iter()
        .map(|head| head.lines().next().unwrap())
        .collect();
    let count = |method: &str, text: &str| {
        let is_counted = |line: &&&str| line.starts_with(method) && line.contains(text);
        lines.iter().filter(is_counted).count()
    };
    // Credentials of the role, an upload, three parts, the end.
    assert_eq!(count("POST / ", ""), 1, "{lines:?}");
    assert_eq!(count("POST ", "?uploads="), 1, "{lines:?}");
    assert_eq!(count("PUT ", "partNumber="), 3, "{lines:?}");
    assert_eq!(count("POST ", "?uploadId="), 1, "{lines:?}");
    assert_eq!(lines.len(), 6, "{lines:?}");
    let s3: Vec<_> = heads
        .iter()
        .filter(|head| !head.starts_with("POST / "))
        .collect();
    let begin = s3.iter().find(|head| head.contains("?uploads=")).unwrap();
    assert!(
        begin.contains("x-amz-acl: bucket-owner-full-control"),
        "{begin}"
    );
    assert!(
        begin.contains("content-type: application/x-ndjson"),
        "{begin}"
    );
    for head in &s3 {
        // The role's, and not those of the function.
        assert!(!head.contains("Credential=AKIAFUNCTION/"), "{head}");
        assert!(head.contains("x-amz-security-token: "), "{head}");
    }
}

/// Prints `signed` if botocore, with the same credentials, gives each of the requests with these heads the signature that it has.
const BOTOCORE: &str = r#"
import json, sys
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
heads = json.loads(sys.argv[1])
assert len(heads) == 5, heads
for head in heads:
    line, *headers = head.split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.strip().lower(): value.strip() for name, value in (header.split(":", 1) for header in headers)}
    authorization = headers.pop("authorization")
    names = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    for needed in ("host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"):
        assert needed in names, (needed, head)
    request = AWSRequest(method=method, url="http://" + headers["host"] + target, headers={name: headers[name] for name in names})
    request.context["timestamp"] = headers["x-amz-date"]
    auth = S3SigV4Auth(Credentials("AKIAFUNCTION", "s3cret", "t0k3n"), "s3", "eu-central-1")
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    assert authorization.endswith("Signature=" + signature), (head, canonical)
print("signed")
"#;

#[test]
fn requests_are_signed_as_botocore_signs_them() {
    let moto = moto_or_skip!();
    let recorder = Recorder::start(moto.address());
    let cluster = cluster();
    // Without a role, so that the secret is known.
    let own = [
        ("BIRTHDAY_EXPORT_ROLE", ""),
        ("BIRTHDAY_EXPORT_EXTERNAL_ID", ""),
    ];
    let function = function_on(&cluster, "people", &recorder.endpoint, &own);
    create_table(&function);
    let create = r#"
import boto3, sys
boto3.client("s3").create_bucket(Bucket=sys.argv[1], CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
"#;
    moto.python(create, &[BUCKET]);
    // An upload, two parts, the end; and an object that is read.
    store(&cluster, "people", 100_000);
    assert_eq!(function.answer(SCHEDULED)["people"], 100_001);
    let import = json!({ "job": "import", "key": SCHEDULED_KEY }).to_string();
    assert_eq!(function.answer(&import)["stored"], 100_001);
    let heads = Value::from(recorder.heads()).to_string();
    assert_eq!(moto.python(BOTOCORE, &[&heads]), "signed");
}

#[test]
fn few_people_or_nobody_are_one_object() {
    let moto = moto_or_skip!();
    create_bucket(&moto);
    let cluster = cluster();
    let function = function_on(&cluster, "people", &moto.endpoint(), &[]);
    let export = |time: &str| json!({ "job": "export", "time": time }).to_string();
    let nobody = function.answer(&export("2026-10-01T00:00:00Z"));
    assert_eq!(
        (&nobody["people"], &nobody["bytes"]),
        (&json!(0), &json!(0)),
        "{nobody}"
    );
    create_table(&function);
    let one = function.answer(&export("2026-10-02T00:00:00Z"));
    assert_eq!(one["people"], 1, "{one}");
    let read =
        r#"print(s3.get_object(Bucket=sys.argv[2], Key=sys.argv[3])["Body"].read().decode())"#;
    let object = as_owner(&moto, read, &[one["key"].as_str().unwrap()]);
    let object: Value = serde_json::from_str(&object).unwrap();
    assert_eq!(
        object,
        json!({ "username": "bob", "dateOfBirth": "2000-10-01" })
    );
    // Without a time, it is the current one.
    let now = function.answer(r#"{"job":"export"}"#);
    assert_eq!(keys(&moto).lines().count(), 3, "{now}");
}

#[test]
fn an_export_that_fails_leaves_nothing_behind() {
    let moto = moto_or_skip!();
    let recorder = Recorder::start(moto.address());
    let cluster = Arc::new(Mutex::new(cluster()));
    let function = function_on(&cluster.lock().unwrap(), "people", &recorder.endpoint, &[]);
    create_table(&function);
    // Without the bucket.
    assert!(function.error(SCHEDULED).contains("NoSuchBucket"));
    create_bucket(&moto);
    store(&cluster.lock().unwrap(), "people", 200_000);
    // Without time: it ends before the instance would be stopped.
    let outcome = function.invoke_within(SCHEDULED, Duration::from_millis(3010));
    let Outcome::Failed(error) = outcome else {
        panic!("{outcome:?}");
    };
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.contains("allow it more time"), "{error}");
    assert_eq!(keys(&moto), "");
    // The database ends during the upload, which is taken back.
    let during = cluster.clone();
    recorder.after_first_bytes(move || during.lock().unwrap().crash());
    let error = function.error(SCHEDULED);
    assert!(error.contains("the export breaks off"), "{error}");
    assert_eq!(keys(&moto), "");
    let aborted = |head: &&String| head.starts_with("DELETE ");
    assert_eq!(recorder.heads().iter().filter(aborted).count(), 1);
    // Without the database.
    let error = function.error(SCHEDULED);
    assert!(error.contains("store-unavailable"), "{error}");
    assert_eq!(keys(&moto), "");
    cluster.lock().unwrap().start_server();
    assert_eq!(function.answer(SCHEDULED)["people"], 200_001);
    let error = function.error(r#"{"job":"import","key":"backup/none.ndjson"}"#);
    assert!(error.contains("NoSuchKey"), "{error}");
    let error = function.error(r#"{"job":"import","key":"a b"}"#);
    assert!(error.starts_with("key: "), "{error}");
}

#[test]
fn a_job_says_what_is_missing() {
    let cluster = cluster();
    let address = cluster.address("people");
    let database = ("SPIN_VARIABLE_DATABASE_URL", address.as_str());
    let bucket = ("BIRTHDAY_EXPORT_BUCKET", BUCKET);
    let nowhere = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "AKIAFUNCTION"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
    ];
    let check = |settings: &[(&str, &str)], event: &str, said: &str| {
        let function = Function::start(settings);
        let error = function.error(event);
        assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        // It goes on.
        let health = Request::new("GET", "/health").event(Kind::Http);
        assert_eq!(function.answer(&health)["statusCode"], 200);
    };
    check(&[database, TOKEN], SCHEDULED, "BIRTHDAY_EXPORT_BUCKET");
    check(
        &[[database, bucket].as_slice(), &nowhere].concat(),
        SCHEDULED,
        "SPIN_VARIABLE_API_TOKEN",
    );
    check(&[database, TOKEN, bucket], SCHEDULED, "no credentials");
    check(
        &[[database, TOKEN, bucket].as_slice(), &nowhere].concat(),
        SCHEDULED,
        "S3 is out of reach",
    );
    check(
        &[
            [database, TOKEN, bucket, ("BIRTHDAY_EXPORT_ROLE", ROLE)].as_slice(),
            &nowhere,
        ]
        .concat(),
        SCHEDULED,
        "the role of the bucket cannot be assumed",
    );
    check(
        &[database, TOKEN],
        r#"{"job":"populate"}"#,
        "POST /populate is answered",
    );
}

#[test]
fn people_of_the_configured_api_are_stored() {
    let cluster = cluster();
    let upstream = Upstream::start();
    let address = cluster.address("people");
    let function = Function::start(&[
        ("SPIN_VARIABLE_DATABASE_URL", &address),
        TOKEN,
        ("SPIN_VARIABLE_POPULATE_URL", &upstream.url),
        ("SPIN_VARIABLE_POPULATE_KEY", KEY),
    ]);
    let people = r#"[{"username":"bob","dateOfBirth":"2000-10-01"},{"username":"b_b","dateOfBirth":"2000-10-01"}]"#;
    upstream.set(Behavior::Content(people.to_owned()));
    let populate = r#"{"job":"populate"}"#;
    assert_eq!(
        function.answer(populate),
        json!({ "stored": 1, "skipped": 1 })
    );
    assert_eq!(
        cluster.run_sql("people", "SELECT username FROM people"),
        "bob"
    );
    let heads = upstream.requests();
    assert!(
        heads.len() == 1 && heads[0].contains(&format!("Bearer {KEY}")),
        "{heads:?}"
    );
    upstream.set(Behavior::Content("nonsense".to_owned()));
    let error = function.error(populate);
    assert!(error.contains("502 /problems/upstream-failed"), "{error}");
}
