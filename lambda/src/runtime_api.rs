//! The interface by which Lambda hands events to a function (`2018-06-01`), and tells it that the instance ends (`2020-01-01`).
//!
//! Not by the crate lambda_runtime (1.5): it turns on features of serde, futures and tracing that no other package here has, so
//! that the compiler of components and the AWS SDK would be compiled twice.

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, Limited, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use std::convert::Infallible;
use std::future::ready;
use std::time::{Duration, SystemTime};

const ADDRESS: &str = "AWS_LAMBDA_RUNTIME_API";

/// The longest event. Lambda itself has 6 MB.
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// The longest answer to anything else.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How long Lambda may take for anything but the next event, and to take an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
/// Where Lambda has it, it tells this invocation from another attempt with the same id.
const INVOCATION_ID: HeaderName = HeaderName::from_static("lambda-runtime-invocation-id");
const RESPONSE_MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");
const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");
const EXTENSION_NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const EXTENSION_ID: HeaderName = HeaderName::from_static("lambda-extension-identifier");

/// The type of an answer that begins with its status and headers.
const HTTP_ANSWER: HeaderValue =
    HeaderValue::from_static("application/vnd.awslambda.http-integration-response");

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A client of the interface of the instance that this process is in.
#[derive(Clone)]
pub struct RuntimeApi {
    client: Client<HttpConnector, Body>,
    address: String,
}

/// An event that waits for its answer.
pub struct Invocation {
    id: HeaderValue,
    headers: HeaderMap,
    /// When the instance is stopped, if it has not answered.
    pub deadline: SystemTime,
    pub event: Bytes,
}

impl Invocation {
    fn new(headers: HeaderMap, event: Bytes) -> anyhow::Result<Self> {
        let id = headers.get(REQUEST_ID).context("an event has no id")?;
        let deadline = headers.get(DEADLINE).and_then(|value| value.to_str().ok());
        let deadline = deadline.and_then(|text| text.parse().ok());
        let deadline = deadline.context("an event has no deadline")?;
        Ok(Self {
            id: id.clone(),
            deadline: SystemTime::UNIX_EPOCH + Duration::from_millis(deadline),
            event,
            headers,
        })
    }

    /// The name that Lambda gives it in its own log.
    pub fn id(&self) -> &HeaderValue {
        &self.id
    }
}

impl RuntimeApi {
    /// # Errors
    /// If this process is not in Lambda.
    pub fn from_environment() -> anyhow::Result<Self> {
        let address = std::env::var(ADDRESS);
        let address = address
            .with_context(|| format!("{ADDRESS} is not set: this program runs in AWS Lambda"))?;
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            address,
        })
    }

    /// Waits for the next event, as long as it takes: Lambda suspends the instance meanwhile.
    ///
    /// # Errors
    /// If Lambda does not hand one over.
    pub async fn next(&self) -> anyhow::Result<Invocation> {
        let request = self.request(Method::GET, "/2018-06-01/runtime/invocation/next", "")?;
        let response = self.client.request(request).await?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            bail!(
                "Lambda answers {} when it is asked for an event",
                head.status
            );
        }
        let event = Limited::new(body, MAX_EVENT_BYTES).collect().await;
        let event = event.map_err(anyhow::Error::from_boxed);
        Invocation::new(
            head.headers,
            event.context("an event is cut off or too long")?.to_bytes(),
        )
    }

    /// Answers `invocation` with `json`.
    ///
    /// # Errors
    /// If Lambda does not take it.
    pub async fn answer(
        &self,
        invocation: &Invocation,
        json: impl Into<Bytes>,
    ) -> anyhow::Result<()> {
        let mut request = self.request(Method::POST, &path_of(invocation, "response")?, json)?;
        mark(&mut request, invocation);
        expect_success(&self.send(request).await?, "an answer")
    }

    /// Answers `invocation` with `head`, and `body` as it comes. If `body` breaks off, Lambda is told so, and cuts off the
    /// caller's.
    ///
    /// # Errors
    /// If Lambda does not take it.
    pub async fn stream<B>(
        &self,
        invocation: &Invocation,
        head: Bytes,
        body: B,
    ) -> anyhow::Result<()>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        let frames = BodyStream::new(body).filter_map(|frame| {
            ready(match frame {
                // Of the component's own trailers Lambda takes none.
                Ok(frame) => frame.into_data().ok().map(Frame::data),
                Err(error) => Some(Frame::trailers(trailers(&error.to_string()))),
            })
        });
        let first = stream::once(async { Frame::data(head) });
        let frames = Box::pin(first.chain(frames).map(Ok::<_, Infallible>));
        let body = StreamBody::new(frames).boxed_unsync();
        let mut request = self.request(Method::POST, &path_of(invocation, "response")?, "")?;
        *request.body_mut() = body;
        mark(&mut request, invocation);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HTTP_ANSWER);
        headers.insert(RESPONSE_MODE, HeaderValue::from_static("streaming"));
        for name in [ERROR_TYPE, ERROR_BODY] {
            headers.append(TRAILER, name.into());
        }
        // As long as the caller takes; the component itself has a limit, and the instance its deadline.
        let response = self.client.request(request).await?;
        expect_success(&response, "a streamed answer")
    }

    /// Says that `invocation` has failed, and why.
    ///
    /// # Errors
    /// If Lambda does not take it.
    pub async fn fail(
        &self,
        invocation: &Invocation,
        kind: &'static str,
        reason: &str,
    ) -> anyhow::Result<()> {
        let mut request = self.error(&path_of(invocation, "error")?, kind, reason)?;
        mark(&mut request, invocation);
        expect_success(&self.send(request).await?, "an error")
    }

    /// Says that the function cannot start, and why.
    ///
    /// # Errors
    /// If Lambda does not take it.
    pub async fn fail_to_start(&self, reason: &str) -> anyhow::Result<()> {
        let request = self.error(
            "/2018-06-01/runtime/init/error",
            "Runtime.InitError",
            reason,
        )?;
        expect_success(&self.send(request).await?, "an error")
    }

    /// Registers as an extension that wants no events: only then Lambda sends SIGTERM before it ends the instance. What is
    /// returned has to be awaited beside everything else, and never ends while the instance lives.
    ///
    /// # Errors
    /// If Lambda does not take it.
    pub async fn register_extension(
        &self,
        name: &'static str,
    ) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        let events = json!({ "events": [] }).to_string();
        let mut request = self.request(Method::POST, "/2020-01-01/extension/register", events)?;
        let headers = request.headers_mut();
        headers.insert(EXTENSION_NAME, HeaderValue::from_static(name));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = self.send(request).await?;
        expect_success(&response, "an extension")?;
        let id = response
            .headers()
            .get(EXTENSION_ID)
            .context("the extension has no id")?
            .clone();
        let mut request = self.request(Method::GET, "/2020-01-01/extension/event/next", "")?;
        request.headers_mut().insert(EXTENSION_ID, id);
        let client = self.client.clone();
        Ok(async move {
            // There are no events, so this waits until the instance ends.
            let _ = client.request(request).await;
        })
    }

    fn error(&self, path: &str, kind: &'static str, reason: &str) -> anyhow::Result<Request<Body>> {
        let body =
            json!({ "errorType": kind, "errorMessage": reason, "stackTrace": [] }).to_string();
        let mut request = self.request(Method::POST, path, body)?;
        request
            .headers_mut()
            .insert(ERROR_TYPE, HeaderValue::from_static(kind));
        Ok(request)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Request<Body>> {
        let uri: Uri = format!("http://{}{path}", self.address)
            .parse()
            .context(ADDRESS)?;
        let body = Full::new(body.into()).boxed_unsync();
        Ok(Request::builder().method(method).uri(uri).body(body)?)
    }

    async fn send(&self, request: Request<Body>) -> anyhow::Result<Response<Bytes>> {
        let sending = async {
            let (head, body) = self.client.request(request).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(TIMEOUT, sending)
            .await
            .context("Lambda does not answer")?
    }
}

fn path_of(invocation: &Invocation, what: &str) -> anyhow::Result<String> {
    let id = invocation
        .id
        .to_str()
        .context("the id of an event is no text")?;
    Ok(format!("/2018-06-01/runtime/invocation/{id}/{what}"))
}

fn mark(request: &mut Request<Body>, invocation: &Invocation) {
    if let Some(id) = invocation.headers.get(INVOCATION_ID) {
        request.headers_mut().insert(INVOCATION_ID, id.clone());
    }
}

fn expect_success<B>(response: &Response<B>, what: &str) -> anyhow::Result<()> {
    match response.status() {
        status if status.is_success() => Ok(()),
        StatusCode::PAYLOAD_TOO_LARGE => bail!("Lambda does not take {what}: it is too long"),
        status => bail!("Lambda does not take {what}: it answers {status}"),
    }
}

/// What says that a streamed answer breaks off.
fn trailers(reason: &str) -> HeaderMap {
    let body = json!({ "errorType": "Runtime.StreamError", "errorMessage": reason }).to_string();
    let mut trailers = HeaderMap::new();
    trailers.insert(ERROR_TYPE, HeaderValue::from_static("Runtime.StreamError"));
    if let Ok(body) = HeaderValue::from_str(&STANDARD.encode(body)) {
        trailers.insert(ERROR_BODY, body);
    }
    trailers
}
