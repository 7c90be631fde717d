//! An HTTP request in an event: of API Gateway, a load balancer, or the URL of a function.
//!
//! Not by the crate lambda_http (1.3): of a header that is repeated in payload 1.0 or from a load balancer it keeps one value, it
//! puts the stage in front of paths, and a path that is no URI, as API Gateway decodes it, makes it panic.

use crate::percent::{encode, is_of_parameter, is_of_path, is_of_query};
use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};
use http::{Method, Request, Uri};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// The stage of payload 2.0 that is no part of a path.
const DEFAULT_STAGE: &str = "$default";

/// What the host names of function URLs have, whatever comes after their region.
const FUNCTION_URLS: &str = ".lambda-url.";

/// The most values of headers. The callers have bounds of their own; somebody who may invoke the function has none, and the type
/// for headers panics at 32,768.
const MAX_HEADERS: usize = 1000;

/// What is about the connection of a caller to AWS, or about a body before it was put into the event.
const OF_THE_CONNECTION: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING];

/// Who calls, which decides in which form the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// API Gateway with payload 1.0: a REST API, or an HTTP API that is set to it.
    Payload1,
    /// API Gateway with payload 2.0.
    Payload2,
    /// The URL of a function, which has payload 2.0, too.
    FunctionUrl,
    /// An application load balancer.
    Balancer {
        /// Its target group has multi-value headers on.
        multi_value: bool,
    },
}

/// A request for the component.
pub struct HttpRequest {
    pub caller: Caller,
    pub request: Request<Full<Bytes>>,
}

/// The event of a request, of any kind. What none of them has is not read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpEvent {
    request_context: RequestContext,
    http_method: Option<String>,
    path: Option<String>,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    query_string_parameters: Option<BTreeMap<String, String>>,
    multi_value_query_string_parameters: Option<BTreeMap<String, Vec<String>>>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestContext {
    domain_name: Option<String>,
    elb: Option<IgnoredAny>,
    http: Option<Http>,
    stage: Option<String>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

impl HttpEvent {
    /// # Errors
    /// If it is of another kind, or has what no HTTP request has.
    pub fn into_request(self, base_path: Option<&str>) -> anyhow::Result<HttpRequest> {
        let caller = self.caller()?;
        let mut request = Request::new(Full::default());
        *request.method_mut() = self.method()?;
        *request.uri_mut() = self.target(caller, base_path)?;
        *request.headers_mut() = self.request_headers()?;
        let body = match (self.body, self.is_base64_encoded) {
            (None, _) => Bytes::new(),
            (Some(text), false) => Bytes::from(text),
            (Some(text), true) => {
                let decoded = STANDARD.decode(text);
                Bytes::from(decoded.context("the body of the event is not base64")?)
            }
        };
        if !body.is_empty() {
            let length = HeaderValue::from(body.len());
            request.headers_mut().insert(CONTENT_LENGTH, length);
        }
        *request.body_mut() = Full::new(body);
        Ok(HttpRequest { caller, request })
    }

    fn caller(&self) -> anyhow::Result<Caller> {
        let context = &self.request_context;
        let domain = context.domain_name.as_deref().unwrap_or_default();
        match (&context.elb, &context.http) {
            (Some(_), _) => Ok(Caller::Balancer {
                multi_value: self.multi_value_headers.is_some(),
            }),
            (None, Some(_)) if domain.contains(FUNCTION_URLS) => Ok(Caller::FunctionUrl),
            (None, Some(_)) => Ok(Caller::Payload2),
            (None, None) if self.http_method.is_some() => Ok(Caller::Payload1),
            (None, None) => bail!("the event is no HTTP request"),
        }
    }

    fn method(&self) -> anyhow::Result<Method> {
        let of_payload_2 = self.request_context.http.as_ref().map(|http| &http.method);
        let method = of_payload_2.or(self.http_method.as_ref());
        let method = method.context("the event has no method")?;
        method.parse().context("the method of the event is none")
    }

    /// The path that the caller means, and the query.
    fn target(&self, caller: Caller, base_path: Option<&str>) -> anyhow::Result<Uri> {
        let path = self.raw_path.as_deref().or(self.path.as_deref());
        let mut path = path.unwrap_or_default();
        // Payload 2.0 has a named stage in front of the path; payload 1.0 has it in the context only.
        if let (Caller::Payload2, Some(stage)) = (caller, self.request_context.stage.as_deref())
            && stage != DEFAULT_STAGE
        {
            path = without_prefix(path, &format!("/{stage}"));
        }
        if let Some(base_path) = base_path {
            path = without_prefix(path, base_path);
        }
        let mut target = String::with_capacity(path.len() + 1);
        if !path.starts_with('/') {
            target.push('/');
        }
        encode(path, is_of_path, &mut target);
        let query = self.query(caller);
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query);
        }
        target.parse().context("the path of the event is none")
    }

    /// The query in the form that it has in a URI. API Gateway hands parameters over decoded, and a load balancer as they came.
    fn query(&self, caller: Caller) -> String {
        let mut query = String::new();
        if let Some(raw) = &self.raw_query_string {
            encode(raw, is_of_query, &mut query);
            return query;
        }
        let is_kept = match caller {
            Caller::Balancer { .. } => is_of_query,
            _ => is_of_parameter,
        };
        let mut push = |name: &str, value: &str| {
            if !query.is_empty() {
                query.push('&');
            }
            encode(name, is_kept, &mut query);
            query.push('=');
            encode(value, is_kept, &mut query);
        };
        match (
            &self.multi_value_query_string_parameters,
            &self.query_string_parameters,
        ) {
            (Some(parameters), _) => parameters
                .iter()
                .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
                .for_each(|(name, value)| push(name, value)),
            (None, Some(parameters)) => {
                parameters
                    .iter()
                    .for_each(|(name, value)| push(name, value));
            }
            (None, None) => {}
        }
        query
    }

    /// All values of each header. Where the event has both forms, the one with single values has nothing more.
    fn request_headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let mut append = |name: &str, value: &str| -> anyhow::Result<()> {
            ensure!(
                headers.len() < MAX_HEADERS,
                "the event has more than {MAX_HEADERS} headers"
            );
            let name = HeaderName::try_from(name).context("a header of the event has no name")?;
            // Not `from_str`, which takes ASCII only.
            let value = HeaderValue::from_bytes(value.as_bytes());
            headers.append(name, value.context("a header of the event has no value")?);
            Ok(())
        };
        match (&self.multi_value_headers, &self.headers) {
            (Some(multiple), _) => {
                for (name, values) in multiple {
                    values.iter().try_for_each(|value| append(name, value))?;
                }
            }
            (None, Some(single)) => {
                single
                    .iter()
                    .try_for_each(|(name, value)| append(name, value))?;
            }
            (None, None) => {}
        }
        if let Some(cookies) = self.cookies.as_ref().filter(|cookies| !cookies.is_empty()) {
            append(COOKIE.as_str(), &cookies.join("; "))?;
        }
        if !headers.contains_key(HOST) {
            let domain = self
                .request_context
                .domain_name
                .as_deref()
                .unwrap_or_default();
            headers.insert(
                HOST,
                HeaderValue::from_str(domain).context("the event has no host")?,
            );
        }
        for name in OF_THE_CONNECTION {
            headers.remove(name);
        }
        Ok(headers)
    }
}

/// `path` without `prefix` in front, if that is there as whole segments.
fn without_prefix<'a>(path: &'a str, prefix: &str) -> &'a str {
    match path.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn read(event: &serde_json::Value, base_path: Option<&str>) -> anyhow::Result<HttpRequest> {
        let event: HttpEvent = serde_json::from_value(event.clone()).unwrap();
        event.into_request(base_path)
    }

    /// An event of payload 2.0.
    fn payload_2(stage: &str, path: &str) -> serde_json::Value {
        serde_json::json!({
            "version": "2.0", "rawPath": path, "rawQueryString": "a=1&b=%20",
            "headers": { "host": "api.example.com", "content-length": "999" },
            "requestContext": { "http": { "method": "GET" }, "stage": stage }
        })
    }

    #[test]
    fn a_stage_is_no_part_of_a_path() {
        let check = |stage: &str, path: &str, base_path: Option<&str>, expected: &str| {
            let request = read(&payload_2(stage, path), base_path).unwrap().request;
            assert_eq!(
                request.uri().path(),
                expected,
                "{stage} {path} {base_path:?}"
            );
        };
        check("$default", "/hello/bob", None, "/hello/bob");
        check("prod", "/prod/hello/bob", None, "/hello/bob");
        check("prod", "/hello/bob", None, "/hello/bob");
        check("prod", "/prod", None, "/");
        check("prod", "/production/bob", None, "/production/bob");
        check("$default", "/v1/hello/bob", Some("/v1"), "/hello/bob");
        check("prod", "/prod/v1/hello/bob", Some("/v1"), "/hello/bob");
        check("$default", "/v10/hello/bob", Some("/v1"), "/v10/hello/bob");
        check("$default", "", None, "/");
    }

    #[test]
    fn what_no_path_has_is_encoded_and_nothing_twice() {
        let check = |path: &str, expected: &str| {
            let request = read(&payload_2("$default", path), None).unwrap().request;
            assert_eq!(request.uri().path(), expected, "{path}");
        };
        check("/hello/%62ob", "/hello/%62ob");
        check("/hello/Müller", "/hello/M%C3%BCller");
        check("/hello/a b", "/hello/a%20b");
        check("/hello/100%", "/hello/100%25");
        check("/hello/%zz", "/hello/%25zz");
        check("/hello/a?b#c", "/hello/a%3Fb%23c");
        check("/hello/\u{0}", "/hello/%00");
    }

    #[tokio::test]
    async fn a_body_has_the_length_that_it_has_in_the_event() {
        let mut event = payload_2("$default", "/");
        let request = read(&event, None).unwrap().request;
        assert_eq!(request.headers().get(CONTENT_LENGTH), None);
        event["body"] = "aGVsbG8=".into();
        for (is_base64, expected) in [(true, "hello"), (false, "aGVsbG8=")] {
            event["isBase64Encoded"] = is_base64.into();
            let request = read(&event, None).unwrap().request;
            let length = expected.len().to_string();
            assert_eq!(request.headers()[CONTENT_LENGTH], length.as_str());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, expected);
        }
        event["body"] = "no base64".into();
        event["isBase64Encoded"] = true.into();
        assert!(read(&event, None).is_err());
    }

    #[test]
    fn repeated_headers_and_parameters_are_kept() {
        let event = serde_json::json!({
            "httpMethod": "GET", "path": "/", "requestContext": { "stage": "prod" },
            "headers": { "host": "a", "x-one": "2" },
            "multiValueHeaders": { "host": ["a"], "x-one": ["1", "2"] },
            "queryStringParameters": { "q": "2&3" },
            "multiValueQueryStringParameters": { "q": ["1 +", "2&3"] }
        });
        let HttpRequest { caller, request } = read(&event, None).unwrap();
        assert_eq!(caller, Caller::Payload1);
        let values: Vec<_> = request.headers().get_all("x-one").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(request.uri().query(), Some("q=1%20%2B&q=2%263"));
    }

    #[test]
    fn headers_are_bounded() {
        let read = |headers: usize| {
            let mut event = payload_2("$default", "/");
            event["headers"] = (0..headers)
                .map(|number| (format!("x-{number}"), serde_json::json!("")))
                .collect();
            read(&event, None)
        };
        assert!(read(MAX_HEADERS).is_ok());
        assert!(read(MAX_HEADERS + 1).is_err());
    }

    #[test]
    fn cookies_are_one_header() {
        let mut event = payload_2("$default", "/");
        event["cookies"] = serde_json::json!(["a=1", "b=2"]);
        let request = read(&event, None).unwrap().request;
        assert_eq!(request.headers()[COOKIE], "a=1; b=2");
        assert_eq!(request.uri().query(), Some("a=1&b=%20"));
    }

    #[test]
    fn callers_are_told_apart() {
        let mut event = payload_2("$default", "/");
        assert_eq!(read(&event, None).unwrap().caller, Caller::Payload2);
        for domain in [
            "abc.lambda-url.eu-central-1.on.aws",
            "abc.lambda-url.cn-north-1.amazonaws.com.cn",
        ] {
            event["requestContext"]["domainName"] = domain.into();
            assert_eq!(read(&event, None).unwrap().caller, Caller::FunctionUrl);
        }
        let balancer = serde_json::json!({
            "httpMethod": "GET", "path": "/", "requestContext": { "elb": { "targetGroupArn": "arn" } },
            "headers": { "host": "a" }, "queryStringParameters": { "q": "a%20b" }
        });
        let HttpRequest { caller, request } = read(&balancer, None).unwrap();
        assert_eq!(caller, Caller::Balancer { multi_value: false });
        assert_eq!(request.uri().query(), Some("q=a%20b"));
    }
}
