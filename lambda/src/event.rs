//! What an invocation asks for: the answer to an HTTP request, or a job.

use crate::request::{HttpEvent, HttpRequest};
use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::time::SystemTime;

/// The source of the events of a schedule, as EventBridge writes it.
const SCHEDULE: &str = "aws.events";

/// An event that has been read.
pub enum Event {
    Http(Box<HttpRequest>),
    Job(Job),
}

/// What a function does by itself, and not for a caller over HTTP.
#[derive(Debug, PartialEq, Eq)]
pub enum Job {
    /// Writes everybody into the bucket, under a key with this time; without one, the current time.
    Export(Option<SystemTime>),
    /// Stores the people of an object of the bucket.
    Import(String),
    /// Stores the people of the configured API.
    Populate,
}

/// The fields by which events are told apart. Each is missing in some.
#[derive(Deserialize)]
struct Fields {
    job: Option<String>,
    key: Option<String>,
    source: Option<String>,
    time: Option<String>,
    #[serde(rename = "requestContext")]
    request_context: Option<IgnoredAny>,
}

impl Event {
    /// Reads an event as Lambda hands it over. `base_path` is what its path has in front of that of the API.
    ///
    /// # Errors
    /// If it is none of those that this function knows. What it contains is not shown.
    pub fn read(payload: &[u8], base_path: Option<&str>) -> anyhow::Result<Self> {
        let fields: Fields = parse(payload, "an event of this function")?;
        if fields.request_context.is_some() {
            let event: HttpEvent = parse(payload, "an HTTP request")?;
            let request = event.into_request(base_path)?;
            return Ok(Self::Http(Box::new(request)));
        }
        fields.into_job().map(Self::Job)
    }
}

/// Reads JSON. Of an error only the place is said: its text has values, however long and secret they are.
fn parse<T: DeserializeOwned>(payload: &[u8], expected: &str) -> anyhow::Result<T> {
    serde_json::from_slice(payload).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        anyhow!("the event is not {expected}: see its line {line}, column {column}")
    })
}

impl Fields {
    fn into_job(self) -> anyhow::Result<Job> {
        match (self.job.as_deref(), self.source.as_deref()) {
            (Some("export"), _) | (None, Some(SCHEDULE)) => {
                let time = self
                    .time
                    .as_deref()
                    .map(humantime::parse_rfc3339)
                    .transpose();
                Ok(Job::Export(time.context(
                    "time: expected a time such as 2026-10-01T06:00:00Z",
                )?))
            }
            (Some("import"), _) => match self.key {
                Some(key) => Ok(Job::Import(key)),
                None => bail!("the job import needs the key of an object"),
            },
            (Some("populate"), _) => Ok(Job::Populate),
            (Some(_), _) => bail!("job: expected export, import or populate"),
            (None, _) => {
                bail!("the event is neither an HTTP request, nor that of a schedule, nor a job")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn job(payload: &str) -> Result<Job, String> {
        match Event::read(payload.as_bytes(), None) {
            Ok(Event::Job(job)) => Ok(job),
            Ok(Event::Http(_)) => panic!("{payload} is an HTTP request"),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn jobs_are_told_by_their_name_or_by_the_schedule() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_444_323_186);
        // As in the documentation of EventBridge.
        let scheduled = r#"{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event",
            "source":"aws.events","account":"123456789012","time":"2015-10-08T16:53:06Z","region":"us-east-1",
            "resources":["arn:aws:events:us-east-1:123456789012:rule/my-scheduled-rule"],"detail":{}}"#;
        assert_eq!(job(scheduled), Ok(Job::Export(Some(at))));
        assert_eq!(job(r#"{"job":"export"}"#), Ok(Job::Export(None)));
        assert_eq!(
            job(r#"{"job":"export","time":"2015-10-08T16:53:06Z"}"#),
            Ok(Job::Export(Some(at)))
        );
        assert_eq!(job(r#"{"job":"populate"}"#), Ok(Job::Populate));
        let import = Job::Import("a/b.ndjson".to_owned());
        assert_eq!(job(r#"{"job":"import","key":"a/b.ndjson"}"#), Ok(import));
    }

    #[test]
    fn what_is_no_event_is_refused_without_being_shown() {
        for payload in [
            "",
            "{",
            "null",
            "[]",
            r#""s3cret""#,
            "{}",
            r#"{"source":"s3cret"}"#,
            r#"{"job":"s3cret"}"#,
            r#"{"job":"import"}"#,
            r#"{"job":"export","time":"s3cret"}"#,
            r#"{"requestContext":"s3cret"}"#,
            r#"{"requestContext":{"elb":{}},"headers":"s3cret"}"#,
            r#"{"requestContext":{"elb":{}},"isBase64Encoded":"s3cret"}"#,
            r#"{"requestContext":{"elb":{}},"httpMethod":"s3cret("}"#,
            r#"{"requestContext":{"elb":{}},"httpMethod":"GET","headers":{"s3cret ":""}}"#,
            r#"{"requestContext":{"elb":{}},"httpMethod":"GET","headers":{"host":"s3cret\n"}}"#,
            r#"{"requestContext":{"elb":{}},"httpMethod":"GET","body":"s3cret!","isBase64Encoded":true}"#,
        ] {
            let error = job(payload).expect_err(payload);
            assert!(!error.contains("s3cret"), "{payload}: {error}");
        }
    }
}
