//! Requests as the events of each kind of caller, in the shapes that AWS documents.

use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// API Gateway, a REST API: payload 1.0.
    Rest,
    /// API Gateway, an HTTP API with the stage `$default`: payload 2.0.
    Http,
    /// The same with the stage `prod`, which is in front of the path.
    HttpWithStage,
    /// An application load balancer whose target group has multi-value headers off.
    Balancer,
    /// The same with multi-value headers on.
    BalancerMultiValue,
    /// The URL of a function: payload 2.0, too.
    FunctionUrl,
}

pub const KINDS: [Kind; 6] = [
    Kind::Rest,
    Kind::Http,
    Kind::HttpWithStage,
    Kind::Balancer,
    Kind::BalancerMultiValue,
    Kind::FunctionUrl,
];

/// A request, before it is an event.
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    /// As it is in the event: in base64, if that says so.
    pub body: Option<&'a str>,
    pub is_base64: bool,
}

impl<'a> Request<'a> {
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            headers: &[],
            body: None,
            is_base64: false,
        }
    }

    pub fn headers(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }

    pub fn body(self, body: &'a str) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    pub fn base64(self, body: &'a str) -> Self {
        Self {
            body: Some(body),
            is_base64: true,
            ..self
        }
    }

    /// The event that a caller of this `kind` makes of it.
    pub fn event(&self, kind: Kind) -> String {
        match kind {
            Kind::Rest => self.rest(),
            Kind::Http => self.payload_2("$default", "api.execute-api.eu-central-1.amazonaws.com"),
            Kind::HttpWithStage => {
                self.payload_2("prod", "api.execute-api.eu-central-1.amazonaws.com")
            }
            Kind::FunctionUrl => self.payload_2("$default", "abc.lambda-url.eu-central-1.on.aws"),
            Kind::Balancer => self.balancer(false),
            Kind::BalancerMultiValue => self.balancer(true),
        }
        .to_string()
    }

    fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let always = [
            ("host", "api.example.com"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        always.into_iter().chain(self.headers.iter().copied())
    }

    /// The last value of each; with payload 2.0 all of them with commas.
    fn single_headers(&self, are_joined: bool) -> Value {
        let mut single = Map::new();
        for (name, value) in self.all_headers() {
            let value = match single.get(name).and_then(Value::as_str) {
                Some(before) if are_joined => format!("{before},{value}"),
                _ => value.to_owned(),
            };
            single.insert(name.to_owned(), value.into());
        }
        single.into()
    }

    fn multiple_headers(&self) -> Value {
        let mut multiple = Map::new();
        for (name, value) in self.all_headers() {
            let values = multiple.entry(name).or_insert_with(|| json!([]));
            values.as_array_mut().unwrap().push(value.into());
        }
        multiple.into()
    }

    fn rest(&self) -> Value {
        json!({
            "resource": "/{proxy+}", "path": self.path, "httpMethod": self.method,
            "headers": self.single_headers(false), "multiValueHeaders": self.multiple_headers(),
            "queryStringParameters": null, "multiValueQueryStringParameters": null,
            "pathParameters": { "proxy": self.path.trim_start_matches('/') }, "stageVariables": null,
            "requestContext": {
                "accountId": "111111111111", "apiId": "id", "authorizer": { "claims": null, "scopes": null },
                "domainName": "id.execute-api.eu-central-1.amazonaws.com", "domainPrefix": "id",
                "extendedRequestId": "request-id", "httpMethod": self.method,
                "identity": {
                    "accessKey": null, "accountId": null, "caller": null, "cognitoAuthenticationProvider": null,
                    "sourceIp": "192.0.2.1", "user": null, "userAgent": "user-agent", "userArn": null
                },
                "path": format!("/prod{}", self.path), "protocol": "HTTP/1.1", "requestId": "id=",
                "requestTime": "04/Mar/2026:19:15:17 +0000", "requestTimeEpoch": 1_772_651_717_000_i64,
                "resourceId": null, "resourcePath": "/{proxy+}", "stage": "prod"
            },
            "body": self.body, "isBase64Encoded": self.is_base64
        })
    }

    fn payload_2(&self, stage: &str, domain: &str) -> Value {
        let path = match stage {
            "$default" => self.path.to_owned(),
            stage => format!("/{stage}{}", self.path),
        };
        let mut event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
            "headers": self.single_headers(true),
            "requestContext": {
                "accountId": "111111111111", "apiId": "api", "domainName": domain, "domainPrefix": "api",
                "http": {
                    "method": self.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                    "userAgent": "agent"
                },
                "requestId": "id", "routeKey": "$default", "stage": stage,
                "time": "12/Mar/2026:19:03:58 +0000", "timeEpoch": 1_773_342_238_000_i64
            },
            "isBase64Encoded": self.is_base64
        });
        // Missing, and not null, where there is none.
        if let Some(body) = self.body {
            event["body"] = body.into();
        }
        event
    }

    fn balancer(&self, multi_value: bool) -> Value {
        let arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/birthday/49e9d65c45c6791a";
        let mut event = json!({
            "requestContext": { "elb": { "targetGroupArn": arn } },
            "httpMethod": self.method, "path": self.path,
            "body": self.body.unwrap_or_default(), "isBase64Encoded": self.is_base64
        });
        if multi_value {
            event["multiValueQueryStringParameters"] = json!({});
            event["multiValueHeaders"] = self.multiple_headers();
        } else {
            event["queryStringParameters"] = json!({});
            event["headers"] = self.single_headers(false);
        }
        event
    }
}
