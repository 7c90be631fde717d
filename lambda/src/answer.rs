//! The answer to an HTTP request, in the form that its caller takes.

use crate::request::Caller;
use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName, SET_COOKIE};
use http::response::Parts;
use serde::Serialize;
use std::collections::BTreeMap;

/// The longest answer that Lambda takes as a whole, in bytes of its JSON (6 MB, as its own error says).
pub const MAX_ANSWER_BYTES: usize = 6_291_556;

/// What comes between the head and the body of an answer that is streamed.
const END_OF_HEAD: [u8; 8] = [0; 8];

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_base64_encoded: Option<bool>,
}

impl Answer {
    fn new(caller: Caller, head: &Parts) -> Self {
        let mut answer = Self {
            status_code: head.status.as_u16(),
            ..Self::default()
        };
        match caller {
            Caller::Payload1 | Caller::Balancer { multi_value: true } => {
                answer.multi_value_headers = Some(all_values(&head.headers));
            }
            Caller::Payload2 | Caller::FunctionUrl => {
                answer.headers = Some(joined_values(&head.headers));
                answer.cookies = Some(cookies(&head.headers));
            }
            Caller::Balancer { multi_value: false } => {
                let mut headers = joined_values(&head.headers);
                // There can be only one, because cookies are not joined.
                if let Some(cookie) = cookies(&head.headers).pop() {
                    headers.insert(SET_COOKIE.to_string(), cookie);
                }
                answer.headers = Some(headers);
            }
        }
        if let Caller::Balancer { .. } = caller {
            let reason = head.status.canonical_reason().unwrap_or_default();
            answer.status_description = Some(format!("{} {reason}", head.status.as_u16()));
        }
        answer
    }
}

/// The answer as a whole, as JSON.
///
/// # Errors
/// If it is longer than Lambda takes.
pub fn whole(caller: Caller, head: &Parts, body: &Bytes) -> anyhow::Result<Vec<u8>> {
    let mut answer = Answer::new(caller, head);
    let is_coded = head.headers.contains_key(CONTENT_ENCODING);
    let (text, is_base64) = match std::str::from_utf8(body) {
        Ok(text) if !is_coded => (text.to_owned(), false),
        _ => (STANDARD.encode(body), true),
    };
    answer.body = Some(text);
    answer.is_base64_encoded = Some(is_base64);
    let json = serde_json::to_vec(&answer)?;
    if json.len() > MAX_ANSWER_BYTES {
        bail!("{}", too_long());
    }
    Ok(json)
}

/// Why an answer is none.
pub fn too_long() -> String {
    format!(
        "the answer has more than the {MAX_ANSWER_BYTES} bytes that Lambda takes as a whole; stream it, or use the job export"
    )
}

/// What comes before the body of an answer that is streamed.
///
/// # Errors
/// If JSON cannot be written.
pub fn head_of_stream(head: &Parts) -> anyhow::Result<Bytes> {
    let mut bytes = serde_json::to_vec(&Answer::new(Caller::FunctionUrl, head))?;
    bytes.extend_from_slice(&END_OF_HEAD);
    Ok(bytes.into())
}

fn all_values(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let values = |name: &HeaderName| (name.to_string(), texts(headers, name));
    headers.keys().map(values).collect()
}

/// Repeated headers as one (RFC 9110, 5.2), without cookies, which cannot be joined.
fn joined_values(headers: &HeaderMap) -> BTreeMap<String, String> {
    let values = |name: &HeaderName| (name.to_string(), texts(headers, name).join(", "));
    let names = headers.keys().filter(|name| **name != SET_COOKIE);
    names.map(values).collect()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    texts(headers, &SET_COOKIE)
}

fn texts(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.get_all(name).iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use serde_json::{Value, json};

    fn head() -> Parts {
        let response = Response::builder()
            .status(201)
            .header("vary", "accept")
            .header("vary", "accept-encoding")
            .header("set-cookie", "a=1; Path=/")
            .header("set-cookie", "b=2");
        response.body(()).unwrap().into_parts().0
    }

    #[track_caller]
    fn check(caller: Caller, expected: &Value) {
        let answer = whole(caller, &head(), &Bytes::from_static(b"text")).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(&answer, expected, "{caller:?}");
    }

    #[test]
    fn each_caller_gets_the_form_that_it_takes() {
        let multiple = json!({
            "set-cookie": ["a=1; Path=/", "b=2"], "vary": ["accept", "accept-encoding"]
        });
        let joined = json!({ "vary": "accept, accept-encoding" });
        let cookies = json!(["a=1; Path=/", "b=2"]);
        check(
            Caller::Payload1,
            &json!({ "statusCode": 201, "multiValueHeaders": multiple, "body": "text", "isBase64Encoded": false }),
        );
        let payload_2 = json!({
            "statusCode": 201, "headers": joined, "cookies": cookies, "body": "text", "isBase64Encoded": false
        });
        check(Caller::Payload2, &payload_2);
        check(Caller::FunctionUrl, &payload_2);
        check(
            Caller::Balancer { multi_value: true },
            &json!({
                "statusCode": 201, "statusDescription": "201 Created", "multiValueHeaders": multiple,
                "body": "text", "isBase64Encoded": false
            }),
        );
        check(
            Caller::Balancer { multi_value: false },
            &json!({
                "statusCode": 201, "statusDescription": "201 Created", "body": "text", "isBase64Encoded": false,
                "headers": { "set-cookie": "b=2", "vary": "accept, accept-encoding" }
            }),
        );
        let streamed = head_of_stream(&head()).unwrap();
        let (json, end) = streamed.split_at(streamed.len() - 8);
        assert_eq!(end, [0; 8]);
        let streamed: Value = serde_json::from_slice(json).unwrap();
        assert_eq!(
            streamed,
            json!({ "statusCode": 201, "headers": joined, "cookies": cookies })
        );
    }

    #[test]
    fn what_is_no_text_is_encoded() {
        let answer = whole(Caller::Payload2, &head(), &Bytes::from_static(&[0xff])).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            (&answer["body"], &answer["isBase64Encoded"]),
            (&json!("/w=="), &json!(true))
        );
    }

    #[test]
    fn an_answer_is_not_longer_than_lambda_takes() {
        let whole = |length: usize| {
            let body = Bytes::from(vec![b'a'; length]);
            whole(Caller::Payload2, &head(), &body).map(|json| json.len())
        };
        let others = whole(0).unwrap();
        assert_eq!(whole(MAX_ANSWER_BYTES - others).unwrap(), MAX_ANSWER_BYTES);
        assert!(whole(MAX_ANSWER_BYTES - others + 1).is_err());
    }
}
