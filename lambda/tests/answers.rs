//! What is answered to the events of each kind.

use crate::events::{KINDS, Kind, Request};
use crate::platform::{Function, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Mutex;
use test_support::cluster::Cluster;

const BORN: &str = r#"{"dateOfBirth":"2000-10-01"}"#;

pub fn cluster() -> Cluster {
    let cluster = Cluster::start(&["fsync=off"]);
    cluster.create_database("people");
    cluster
}

fn function_on(cluster: &Cluster, more: &[(&str, &str)]) -> Function {
    let address = cluster.address("people");
    let database = [("SPIN_VARIABLE_DATABASE_URL", address.as_str())];
    Function::start(&[&database, more].concat())
}

/// A header of an answer, where that kind of event has it.
fn header<'a>(kind: Kind, answer: &'a Value, name: &str) -> Option<&'a str> {
    match kind {
        Kind::Rest | Kind::BalancerMultiValue => {
            assert_eq!(answer.get("headers"), None, "{answer}");
            answer["multiValueHeaders"][name][0].as_str()
        }
        _ => {
            assert_eq!(answer.get("multiValueHeaders"), None, "{answer}");
            answer["headers"][name].as_str()
        }
    }
}

fn document(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

#[test]
fn events_of_every_kind_are_answered_as_the_contract_says() {
    let cluster = cluster();
    let function = function_on(&cluster, &[]);
    for (index, kind) in KINDS.into_iter().enumerate() {
        // A user of its own for each kind: what one has written, the next must not find.
        let user = format!("/hello/user{}", ["A", "B", "C", "D", "E", "F"][index]);
        let long = format!("/hello/{}", "a".repeat(65));
        for (method, path, body, status, problem) in [
            ("GET", "/health", None, 200, None),
            ("GET", &user, None, 404, Some("unknown-user")),
            ("PUT", &user, Some(BORN), 204, None),
            ("GET", &user, None, 200, None),
            ("HEAD", &user, None, 200, None),
            ("PUT", &user, Some("{"), 400, Some("invalid-body")),
            ("PUT", &user, None, 400, Some("invalid-body")),
            (
                "PUT",
                &user,
                Some(r#"{"dateOfBirth":"9999-01-01"}"#),
                400,
                Some("date-not-past"),
            ),
            (
                "PUT",
                "/hello/b_b",
                Some(BORN),
                400,
                Some("invalid-username"),
            ),
            (
                "GET",
                "/hello/%62ob%2F",
                None,
                400,
                Some("invalid-username"),
            ),
            // As API Gateway has it, which decodes paths.
            ("GET", "/hello/Müller", None, 400, Some("invalid-username")),
            ("GET", "/hello/a b", None, 400, Some("invalid-username")),
            ("GET", "/hello/100%", None, 400, Some("invalid-username")),
            ("GET", &long, None, 400, Some("invalid-username")),
            ("GET", "/hello/", None, 404, Some("not-found")),
            ("GET", "/nowhere", None, 404, Some("not-found")),
            ("GET", "/export", None, 404, Some("not-found")),
            ("POST", &user, Some(BORN), 405, Some("method-not-allowed")),
        ] {
            let about = format!("{kind:?}: {method} {path}");
            let request = Request {
                body,
                ..Request::new(method, path)
            };
            let answer = function.answer(&request.event(kind));
            assert_eq!(answer["statusCode"], status, "{about}: {answer}");
            assert_eq!(answer["isBase64Encoded"], false, "{about}: {answer}");
            assert!(
                header(kind, &answer, "x-request-id").is_some(),
                "{about}: {answer}"
            );
            if let Some(problem) = problem {
                let content_type = header(kind, &answer, "content-type");
                assert_eq!(content_type, Some("application/problem+json"), "{about}");
                assert_eq!(
                    document(&answer)["type"],
                    format!("/problems/{problem}"),
                    "{about}"
                );
            }
            if status == 405 {
                assert_eq!(
                    header(kind, &answer, "allow"),
                    Some("GET, HEAD, PUT"),
                    "{about}"
                );
            }
            if matches!(kind, Kind::Balancer | Kind::BalancerMultiValue) {
                let description = answer["statusDescription"].as_str().unwrap();
                assert!(
                    description.starts_with(&status.to_string()),
                    "{description}"
                );
            }
        }
        let answer = function.answer(&Request::new("GET", &user).event(kind));
        let message = document(&answer)["message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with(&format!("Hello, {}!", &user[7..])),
            "{message}"
        );
    }
}

#[test]
fn bodies_in_base64_are_decoded_and_compressed_ones_are_encoded() {
    let cluster = cluster();
    let function = function_on(&cluster, &[]);
    let encoded = STANDARD.encode(BORN);
    for kind in KINDS {
        let answer = function.answer(
            &Request::new("PUT", "/hello/bob")
                .base64(&encoded)
                .event(kind),
        );
        assert_eq!(answer["statusCode"], 204, "{kind:?}: {answer}");
        let accept = [("accept-encoding", "gzip")];
        let answer = function.answer(&Request::new("GET", "/docs").headers(&accept).event(kind));
        assert_eq!(answer["statusCode"], 200, "{kind:?}");
        assert_eq!(
            header(kind, &answer, "content-encoding"),
            Some("gzip"),
            "{kind:?}"
        );
        assert_eq!(answer["isBase64Encoded"], true, "{kind:?}");
        let body = STANDARD.decode(answer["body"].as_str().unwrap()).unwrap();
        // The first bytes of gzip.
        assert!(body.starts_with(&[0x1f, 0x8b]), "{kind:?}");
        let error = function.error(
            &Request::new("PUT", "/hello/bob")
                .base64("no base64")
                .event(kind),
        );
        assert!(error.contains("base64"), "{kind:?}: {error}");
    }
}

#[test]
fn repeated_headers_reach_the_component() {
    let cluster = cluster();
    let function = function_on(&cluster, &[]);
    // The component refuses a body that is coded, whichever of the values says so.
    let codings = [
        ("content-encoding", "gzip"),
        ("content-encoding", "identity"),
    ];
    for kind in KINDS {
        // Without multi-value headers a load balancer hands over the last value only.
        let expected = if kind == Kind::Balancer { 204 } else { 415 };
        let request = Request::new("PUT", "/hello/bob")
            .headers(&codings)
            .body(BORN);
        let answer = function.answer(&request.event(kind));
        assert_eq!(answer["statusCode"], expected, "{kind:?}: {answer}");
    }
}

#[test]
fn a_token_is_asked_for_and_a_base_path_is_left_out() {
    let cluster = cluster();
    let settings = [
        ("SPIN_VARIABLE_API_TOKEN", "t0ken"),
        ("BIRTHDAY_BASE_PATH", "/v1"),
    ];
    let function = function_on(&cluster, &settings);
    for kind in KINDS {
        let request = Request::new("PUT", "/v1/hello/bob").body(BORN);
        assert_eq!(
            function.answer(&request.event(kind))["statusCode"],
            401,
            "{kind:?}"
        );
        let authorization = [("authorization", "Bearer t0ken")];
        let request = request.headers(&authorization);
        assert_eq!(
            function.answer(&request.event(kind))["statusCode"],
            204,
            "{kind:?}"
        );
        let request = Request::new("GET", "/v1").headers(&authorization);
        assert_eq!(
            function.answer(&request.event(kind))["statusCode"],
            200,
            "{kind:?}"
        );
    }
}

#[test]
fn what_is_no_request_is_an_error_and_harms_no_other() {
    let cluster = cluster();
    let function = function_on(&cluster, &[]);
    let health = Request::new("GET", "/health").event(Kind::Http);
    for nonsense in [
        "",
        "{}",
        "[]",
        "null",
        "\"text\"",
        r#"{"version":"2.0"}"#,
        r#"{"requestContext":{}}"#,
        r#"{"requestContext":{"http":{"method":"G E T"}}}"#,
        r#"{"requestContext":{"elb":{}},"httpMethod":"GET","path":"/","headers":{"a b":"c"}}"#,
        r#"{"source":"aws.s3"}"#,
        r#"{"job":"unknown"}"#,
        "{",
    ] {
        let error = function.error(nonsense);
        assert!(!error.is_empty(), "{nonsense}");
        let answer = function.answer(&health);
        assert_eq!(answer["statusCode"], 200, "after {nonsense}: {answer}");
    }
}

#[test]
fn without_postgres_it_is_503_and_with_it_again_200() {
    let mut cluster = cluster();
    let function = function_on(&cluster, &[]);
    let health = Request::new("GET", "/health").event(Kind::Rest);
    assert_eq!(function.answer(&health)["statusCode"], 200);
    cluster.crash();
    let answer = function.answer(&health);
    assert_eq!(answer["statusCode"], 503, "{answer}");
    assert_eq!(document(&answer)["type"], "/problems/store-unavailable");
    cluster.start_server();
    let answer = function.answer(&health);
    assert_eq!(answer["statusCode"], 200, "{answer}");
}

/// So many people that their export is longer than Lambda takes as a whole.
const MANY: usize = 100_000;

fn store_many(cluster: &Cluster) {
    store(cluster, 1, MANY);
}

/// Twice as many more.
fn store_others(cluster: &Cluster) {
    store(cluster, MANY + 1, 3 * MANY);
}

fn store(cluster: &Cluster, first: usize, last: usize) {
    // Names of letters only: the digits of a number, as letters.
    let name = "rpad(translate(number::text, '0123456789', 'abcdefghij'), 60, 'x')";
    cluster.run_sql(
        "people",
        &format!("INSERT INTO people SELECT {name}, '2000-10-01' FROM generate_series({first}, {last}) AS number"),
    );
}

#[test]
fn a_long_answer_is_streamed_or_an_error() {
    let cluster = cluster();
    let settings = [
        ("SPIN_VARIABLE_API_TOKEN", "t0ken"),
        ("BIRTHDAY_STREAM_ANSWERS", "function-url"),
    ];
    let function = function_on(&cluster, &settings);
    let authorization = [("authorization", "Bearer t0ken")];
    let put = Request::new("PUT", "/hello/bob")
        .headers(&authorization)
        .body(BORN);
    assert_eq!(function.answer(&put.event(Kind::Rest))["statusCode"], 204);
    store_many(&cluster);
    let export = Request::new("GET", "/export").headers(&authorization);
    for kind in KINDS.into_iter().filter(|kind| *kind != Kind::FunctionUrl) {
        let error = function.error(&export.event(kind));
        assert!(
            error.contains("more than the 6291556 bytes"),
            "{kind:?}: {error}"
        );
    }
    let (head, body) = streamed(&function, &export.event(Kind::FunctionUrl));
    assert_eq!(head["statusCode"], 200, "{head}");
    assert_eq!(head["headers"]["content-type"], "application/x-ndjson");
    assert_eq!(body.lines().count(), MANY + 1);
    assert!(body.len() > 6_291_556, "{}", body.len());
    // Short answers to the same caller are streamed, too, and those to others are not.
    let (head, body) = streamed(&function, &put.event(Kind::FunctionUrl));
    assert_eq!((&head["statusCode"], body.as_str()), (&json!(204), ""));
    assert_eq!(function.answer(&put.event(Kind::Http))["statusCode"], 204);
}

#[test]
fn an_answer_that_breaks_off_is_said_to() {
    let cluster = cluster();
    let settings = [
        ("SPIN_VARIABLE_API_TOKEN", "t0ken"),
        ("BIRTHDAY_STREAM_ANSWERS", "function-url,rest-api"),
    ];
    let function = function_on(&cluster, &settings);
    let authorization = [("authorization", "Bearer t0ken")];
    let put = Request::new("PUT", "/hello/bob")
        .headers(&authorization)
        .body(BORN);
    let (head, _) = streamed(&function, &put.event(Kind::Rest));
    assert_eq!(head["statusCode"], 204);
    store_many(&cluster);
    store_others(&cluster);
    let cluster = Mutex::new(cluster);
    // The rest of the answer is not read before the server has ended, and does not fit into the buffers between.
    function
        .platform()
        .after_first_bytes(move || cluster.lock().unwrap().crash());
    let export = Request::new("GET", "/export").headers(&authorization);
    let outcome = function.invoke(&export.event(Kind::FunctionUrl));
    let Outcome::Answered {
        bytes,
        is_streamed: true,
        trailers,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert!(!bytes.is_empty());
    let trailers = trailers.join("\n").to_ascii_lowercase();
    assert!(
        trailers.contains("lambda-runtime-function-error-type: runtime.streamerror"),
        "{trailers}"
    );
    assert!(
        trailers.contains("lambda-runtime-function-error-body: "),
        "{trailers}"
    );
}

/// The head and the body of an answer that is streamed.
#[track_caller]
fn streamed(function: &Function, event: &str) -> (Value, String) {
    let outcome = function.invoke(event);
    let Outcome::Answered {
        bytes,
        is_streamed: true,
        trailers,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(trailers, [""; 0]);
    let end = bytes
        .windows(8)
        .position(|window| window == [0; 8])
        .unwrap();
    let body = String::from_utf8(bytes[end + 8..].to_vec()).unwrap();
    (serde_json::from_slice(&bytes[..end]).unwrap(), body)
}
