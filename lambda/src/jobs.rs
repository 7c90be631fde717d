//! What a function does by itself: exporting everybody into a bucket, and importing people from there or from an API.

use crate::bucket::{Bucket, Upload};
use crate::event::Job;
use crate::settings::{BucketSettings, is_key};
use anyhow::{Context, anyhow, bail};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use http_component_runtime::Edge;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout, timeout_at};

/// A part of an upload, in bytes: the instance holds one at a time. S3 takes 10,000 parts, which is 78 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// What a job leaves of the time of its invocation, and how much of that aborting an upload may take. The rest is for saying that
/// the job has failed.
const TIME_TO_FAIL: Duration = Duration::from_secs(3);
const ABORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest answer to a job's own request that is no export.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

const LOCALHOST: HeaderValue = HeaderValue::from_static("localhost");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// What jobs work with.
pub struct Jobs<'a> {
    pub edge: &'a Edge,
    pub bucket: Option<&'a BucketSettings>,
    pub token: Option<&'a str>,
}

impl Jobs<'_> {
    /// Does `job` before `deadline`; returns what the invocation is answered.
    ///
    /// # Errors
    /// If it is not done as a whole. Of an import, a part may be.
    pub async fn run(&self, job: Job, deadline: SystemTime) -> anyhow::Result<Value> {
        let left = deadline
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        let until = Instant::now() + left.saturating_sub(TIME_TO_FAIL);
        match job {
            Job::Export(time) => {
                let time = time.unwrap_or_else(SystemTime::now);
                self.export(time, until).await
            }
            Job::Import(key) => in_time(until, self.import(&key)).await,
            Job::Populate => in_time(until, self.populate()).await,
        }
    }

    async fn export(&self, time: SystemTime, until: Instant) -> anyhow::Result<Value> {
        let settings = self.bucket()?;
        let time = humantime::format_rfc3339_seconds(time).to_string();
        let key = format!("{}people-{}.ndjson", settings.prefix, time.replace(':', ""));
        let bucket = in_time(until, Bucket::open(settings)).await?;
        let mut upload = None;
        let written = in_time(until, self.write_all(&bucket, &key, &mut upload)).await;
        match written {
            Ok(Counted { people, bytes }) => Ok(json!({
                "bucket": settings.name, "key": key, "people": people, "bytes": bytes
            })),
            Err(error) => {
                abort(&bucket, upload).await;
                Err(error)
            }
        }
    }

    async fn write_all(
        &self,
        bucket: &Bucket,
        key: &str,
        upload: &mut Option<Upload>,
    ) -> anyhow::Result<Counted> {
        let request = self.request(Method::GET, "/export", Empty::new())?;
        let response = self.edge.handle(request).await;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            return Err(refusal("GET /export", head.status.as_u16(), body).await);
        }
        let mut parts = Parts {
            body,
            buffer: BytesMut::new(),
            has_ended: false,
        };
        let mut counted = Counted::default();
        while let Some(part) = parts.next().await? {
            counted.add(&part);
            match upload {
                None if parts.is_last() => {
                    bucket.put(key, part).await?;
                    return Ok(counted);
                }
                None => {
                    let begun = upload.insert(bucket.begin(key).await?);
                    bucket.add(begun, part).await?;
                }
                Some(begun) => bucket.add(begun, part).await?,
            }
        }
        match upload {
            Some(upload) => bucket.complete(upload).await?,
            // Nobody is stored.
            None => bucket.put(key, Bytes::new()).await?,
        }
        Ok(counted)
    }

    async fn import(&self, key: &str) -> anyhow::Result<Value> {
        if key.is_empty() || !is_key(key) {
            bail!("key: expected letters, digits, -, _, . and /");
        }
        let content = Bucket::open(self.bucket()?).await?.get(key).await?;
        let mut request = self.request(Method::POST, "/populate", content)?;
        request.headers_mut().insert(CONTENT_TYPE, NDJSON);
        self.answer("POST /populate", request).await
    }

    async fn populate(&self) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, "/populate", Empty::new())?;
        self.answer("POST /populate", request).await
    }

    fn bucket(&self) -> anyhow::Result<&BucketSettings> {
        self.bucket
            .context("BIRTHDAY_EXPORT_BUCKET is not set: this job needs a bucket")
    }

    /// A request as the owner of the token sends it.
    fn request<B>(
        &self,
        method: Method,
        path: &'static str,
        body: B,
    ) -> anyhow::Result<Request<B>> {
        let token = self
            .token
            .context("SPIN_VARIABLE_API_TOKEN is not set: this job needs a token")?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| anyhow!("SPIN_VARIABLE_API_TOKEN is no token of HTTP"))?;
        authorization.set_sensitive(true);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_static(path);
        request.headers_mut().insert(HOST, LOCALHOST);
        request.headers_mut().insert(AUTHORIZATION, authorization);
        Ok(request)
    }

    async fn answer<B>(&self, what: &str, request: Request<B>) -> anyhow::Result<Value>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let (head, body) = self.edge.handle(request).await.into_parts();
        if !head.status.is_success() {
            return Err(refusal(what, head.status.as_u16(), body).await);
        }
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body
            .map_err(anyhow::Error::from_boxed)
            .context("the answer breaks off")?;
        serde_json::from_slice(&body.to_bytes()).context("the answer is no JSON")
    }
}

async fn in_time<T>(
    until: Instant,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match timeout_at(until, work).await {
        Ok(result) => result,
        Err(_) => bail!("the job takes longer than the function may: allow it more time"),
    }
}

async fn abort(bucket: &Bucket, upload: Option<Upload>) {
    let Some(upload) = upload else {
        return;
    };
    let aborted = timeout(ABORT_TIMEOUT, bucket.abort(&upload)).await;
    if !matches!(aborted, Ok(Ok(()))) {
        tracing::warn!("parts of an upload may be left in the bucket");
    }
}

/// What a problem document says: words that a caller may see.
async fn refusal<B>(what: &str, status: u16, body: B) -> anyhow::Error
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let document: Value = serde_json::from_slice(&body).unwrap_or_default();
    let kind = document["type"].as_str().unwrap_or_default();
    let detail = document["detail"].as_str().unwrap_or_default();
    anyhow!("{what} is answered {status} {kind} {detail}")
}

/// What was exported.
#[derive(Default)]
struct Counted {
    people: usize,
    bytes: usize,
}

impl Counted {
    fn add(&mut self, part: &[u8]) {
        self.people += part.iter().filter(|byte| **byte == b'\n').count();
        self.bytes += part.len();
    }
}

/// A body in parts of the same length, but for the last.
struct Parts<B> {
    body: B,
    buffer: BytesMut,
    has_ended: bool,
}

impl<B> Parts<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while !self.has_ended && self.buffer.len() <= PART_BYTES {
            match self.body.frame().await {
                Some(frame) => {
                    let frame = frame.context("the export breaks off")?;
                    self.buffer
                        .extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                }
                None => self.has_ended = true,
            }
        }
        let length = self.buffer.len().min(PART_BYTES);
        Ok((length > 0).then(|| self.buffer.split_to(length).freeze()))
    }

    /// Whether there is nothing after the part that was returned last.
    fn is_last(&self) -> bool {
        self.has_ended && self.buffer.is_empty()
    }
}
