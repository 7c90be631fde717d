//! A bucket of S3, of this account or another one: the few requests that export and import need.
//!
//! Not by the crate aws-sdk-s3: it turns on features of the SDK's other crates and of crc32fast that no other package here has, so
//! that wasmtime and the client of DynamoDB would be compiled twice. Credentials, the assumed role and signatures are the SDK's.

mod credentials;

use crate::settings::BucketSettings;
use anyhow::{Context, bail};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::header::ETAG;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};

/// How long one request may take: a part of 8 MiB at 1 Mbit/s.
const TIMEOUT: Duration = Duration::from_secs(70);

/// How often a request is sent that fails by the network, or by S3 itself, and how long to wait after the first time; then twice
/// as long each time. Every request may be repeated: it has the same effect, but for the beginning of an upload, of which an empty
/// one may be left.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest answer but an object.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Who may do what with an object: its bucket's owner everything, which otherwise could not even read what another account wrote.
const ACL: (&str, &str) = ("x-amz-acl", "bucket-owner-full-control");
const PEOPLE: (&str, &str) = ("content-type", "application/x-ndjson");

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A bucket, with credentials for it.
pub struct Bucket {
    client: HttpClient,
    /// The URL that keys are added to.
    base: String,
    region: String,
    credentials: Credentials,
}

/// An upload in parts, which is visible once it is complete.
pub struct Upload {
    key: String,
    id: String,
    /// Of each part, in their order.
    tags: Vec<String>,
}

impl Bucket {
    /// Gets credentials for the bucket, those of its role if it has one.
    ///
    /// # Errors
    /// If there are none, or the role may not be assumed.
    pub async fn open(settings: &BucketSettings) -> anyhow::Result<Self> {
        Ok(Self {
            client: http_client(),
            base: base(settings),
            region: settings.region.clone(),
            credentials: credentials::get(settings).await?,
        })
    }

    /// Writes an object as a whole.
    ///
    /// # Errors
    /// If it is not written, or not known to be.
    pub async fn put(&self, key: &str, content: Bytes) -> anyhow::Result<()> {
        self.send(Method::PUT, key, "", &[ACL, PEOPLE], content)
            .await?;
        Ok(())
    }

    /// Begins an upload in parts.
    ///
    /// # Errors
    /// If S3 does not begin it.
    pub async fn begin(&self, key: &str) -> anyhow::Result<Upload> {
        let answer = self
            .send(Method::POST, key, "uploads=", &[ACL, PEOPLE], Bytes::new())
            .await?;
        let id = element(answer.body(), "UploadId").context("S3 names no upload")?;
        Ok(Upload {
            key: key.to_owned(),
            id: id.to_owned(),
            tags: Vec::new(),
        })
    }

    /// Adds a part.
    ///
    /// # Errors
    /// If it is not stored.
    pub async fn add(&self, upload: &mut Upload, part: Bytes) -> anyhow::Result<()> {
        let query = format!(
            "partNumber={}&uploadId={}",
            upload.tags.len() + 1,
            upload.id
        );
        let answer = self
            .send(Method::PUT, &upload.key, &query, &[], part)
            .await?;
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.filter(|tag| !tag.contains(['<', '&']));
        upload
            .tags
            .push(tag.context("S3 does not confirm a part")?.to_owned());
        Ok(())
    }

    /// Makes the object of the parts.
    ///
    /// # Errors
    /// If there is none, or it is not known whether there is.
    pub async fn complete(&self, upload: &Upload) -> anyhow::Result<()> {
        let parts = upload.tags.iter().enumerate().map(|(index, tag)| {
            format!(
                "<Part><PartNumber>{}</PartNumber><ETag>{tag}</ETag></Part>",
                index + 1
            )
        });
        let body = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}</CompleteMultipartUpload>",
            parts.collect::<String>()
        );
        let query = format!("uploadId={}", upload.id);
        let answer = self
            .send(Method::POST, &upload.key, &query, &[], body.into())
            .await?;
        // S3 answers 200 before it knows.
        match element(answer.body(), "Code") {
            None => Ok(()),
            Some(code) => bail!("S3 does not complete the upload: {code}"),
        }
    }

    /// Removes the parts.
    ///
    /// # Errors
    /// If they may still be there.
    pub async fn abort(&self, upload: &Upload) -> anyhow::Result<()> {
        let query = format!("uploadId={}", upload.id);
        self.send(Method::DELETE, &upload.key, &query, &[], Bytes::new())
            .await?;
        Ok(())
    }

    /// The content of an object, as it comes.
    ///
    /// # Errors
    /// If there is none, or it may not be read.
    pub async fn get(
        &self,
        key: &str,
    ) -> anyhow::Result<impl http_body::Body<Data = Bytes, Error: std::error::Error> + Send + use<>>
    {
        let request = self.signed(&Method::GET, key, "", &[], &Bytes::new())?;
        let response = timeout(TIMEOUT, self.client.request(request)).await;
        let response = response
            .context("S3 does not answer")?
            .context("S3 is out of reach")?;
        let (head, body) = response.into_parts();
        if head.status == StatusCode::OK {
            return Ok(body);
        }
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Err(refusal(head.status, &body))
    }

    async fn send(
        &self,
        method: Method,
        key: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Response<Bytes>> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            // Signed each time, because a signature has the time.
            let request = self.signed(&method, key, query, headers, &body)?;
            let sent = self.send_once(request).await;
            let is_to_repeat = match &sent {
                Ok(answer) => {
                    answer.status().is_server_error()
                        || answer.status() == StatusCode::TOO_MANY_REQUESTS
                }
                Err(_) => true,
            };
            if !is_to_repeat || attempt == ATTEMPTS {
                let answer = sent?;
                return match answer.status().is_success() {
                    true => Ok(answer),
                    false => Err(refusal(answer.status(), answer.body())),
                };
            }
            sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn send_once(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Bytes>> {
        let sending = async {
            let response = self
                .client
                .request(request)
                .await
                .context("S3 is out of reach")?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body
                .map_err(anyhow::Error::from_boxed)
                .context("S3 breaks off")?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(TIMEOUT, sending)
            .await
            .context("S3 does not answer")?
    }

    fn signed(
        &self,
        method: &Method,
        key: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &Bytes,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let separator = if query.is_empty() { "" } else { "?" };
        let uri = format!("{}{key}{separator}{query}", self.base);
        // As S3 has it, and no other service.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = self.credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let signable = SignableRequest::new(
            method.as_str(),
            &uri,
            headers.iter().copied(),
            SignableBody::Bytes(body),
        )?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let mut request = Request::builder().method(method).uri(&uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body.clone()))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// The URL that keys are added to, by the bucket's own name where a certificate of S3 has it.
fn base(settings: &BucketSettings) -> String {
    let BucketSettings {
        name,
        region,
        endpoint,
        ..
    } = settings;
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    match endpoint {
        Some(endpoint) => format!("{}/{name}/", endpoint.trim_end_matches('/')),
        None if name.contains('.') => format!("https://s3.{region}.amazonaws.com{suffix}/{name}/"),
        None => format!("https://{name}.s3.{region}.amazonaws.com{suffix}/"),
    }
}

/// Trusts the authorities of the system.
fn http_client() -> HttpClient {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}

fn refusal(status: StatusCode, body: &[u8]) -> anyhow::Error {
    let code = element(body, "Code").unwrap_or("it does not say why");
    anyhow::anyhow!("S3 answers {}: {code}", status.as_u16())
}

/// The text of the first element of this name, without markup in it.
fn element<'a>(xml: &'a [u8], name: &str) -> Option<&'a str> {
    let xml = std::str::from_utf8(xml).ok()?;
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once('<')?;
    let is_plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'&');
    is_plain.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_where_its_settings_say() {
        let check = |name: &str, region: &str, endpoint: Option<&str>, expected: &str| {
            let settings = BucketSettings {
                name: name.to_owned(),
                prefix: String::new(),
                region: region.to_owned(),
                endpoint: endpoint.map(str::to_owned),
                role: None,
                external_id: None,
            };
            assert_eq!(base(&settings), expected);
        };
        check(
            "people",
            "eu-central-1",
            None,
            "https://people.s3.eu-central-1.amazonaws.com/",
        );
        check(
            "a.b",
            "cn-north-1",
            None,
            "https://s3.cn-north-1.amazonaws.com.cn/a.b/",
        );
        check(
            "people",
            "x",
            Some("http://127.0.0.1:1/"),
            "http://127.0.0.1:1/people/",
        );
    }

    #[test]
    fn elements_are_found_in_answers() {
        let answer = b"<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>a&amp;b</Message><Empty></Empty></Error>";
        assert_eq!(element(answer, "Code"), Some("NoSuchBucket"));
        assert_eq!(element(answer, "Message"), None);
        assert_eq!(element(answer, "Empty"), None);
        assert_eq!(element(answer, "UploadId"), None);
        assert_eq!(element(&[0xff], "Code"), None);
    }
}
