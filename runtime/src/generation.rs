//! The settings that an application has at a time, and the instances that were made with them.

use crate::guest::engine::one_line;
use crate::guest::{GuestConfig, Instance, Pool, State, with_authority};
use crate::imports::Imports;
use crate::request::RequestContext;
use crate::telemetry::GUEST;
use bytes::Bytes;
use http::uri::Authority;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Limited};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// The longest answer to a request that the host itself makes of the component.
const MAX_OWN_ANSWER_BYTES: usize = 1024 * 1024;

/// The type of the problem document by which a component refuses its settings ([`Generation::check`]).
const MISCONFIGURED: &str = "/problems/misconfigured";

/// Settings, with the instances and connections of one thread that have them. Other settings have another generation: this one,
/// with its connections, ends with the last request that it works on.
pub(crate) struct Generation {
    pre: ProxyPre<State>,
    pub config: GuestConfig,
    pub pool: Pool,
}

/// Why an application should not be served.
///
/// ```
/// # use http_component_runtime::{App, CheckError};
/// # async fn example(app: App) {
/// match app.check("/health", std::time::Duration::from_secs(1)).await {
///     Err(CheckError::Misconfigured(reason)) => eprintln!("wrong settings: {reason}"),
///     Err(error) => eprintln!("{error}"),
///     Ok(()) => {}
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// No instance of the component can be made. The text says why, in one line.
    #[error("it does not start: {0}")]
    Start(String),
    /// The component refuses its settings. The text is what it logged, in one line.
    #[error("{0}")]
    Misconfigured(String),
}

impl Generation {
    pub fn new(pre: ProxyPre<State>, config: GuestConfig) -> Self {
        let pool = Pool::new(config.telemetry.metrics.clone());
        Self { pre, config, pool }
    }

    /// The same component and limits with other `imports`, and with instances of its own.
    pub fn with_imports(&self, imports: Imports) -> Self {
        let config = GuestConfig {
            imports,
            ..self.config.clone()
        };
        Self::new(self.pre.clone(), config)
    }

    /// An idle instance, or a new one.
    ///
    /// # Errors
    /// If none can be made.
    pub async fn instance(&self) -> wasmtime::Result<Instance> {
        match self.pool.take() {
            Some(instance) => Ok(instance),
            // In a box, because it is rare, and large in the future of each request.
            None => Box::pin(Instance::new(&self.pre, self.config.clone())).await,
        }
    }

    /// Asks a new instance with a `GET` of `path` whether the component can work with its settings. Waits for at most `patience`;
    /// no answer in that time is no error.
    ///
    /// # Errors
    /// If no instance can be made, or the answer is a problem document of the type `/problems/misconfigured`.
    pub async fn check(&self, path: &str, patience: Duration) -> Result<(), CheckError> {
        let checking = async {
            let instance = Instance::new(&self.pre, self.config.clone()).await;
            let mut instance = instance.map_err(|error| CheckError::Start(one_line(&error)))?;
            instance.output().collect();
            let answer = ask(&mut instance, path).await;
            let lines = instance.output().collected();
            if answer.as_ref().is_some_and(is_misconfigured) {
                return Err(CheckError::Misconfigured(lines.join("; ")));
            }
            for line in lines {
                tracing::info!(target: GUEST, "{line}");
            }
            if answer.is_some() {
                self.pool.give_back(instance);
            }
            Ok(())
        };
        timeout(patience, checking).await.unwrap_or(Ok(()))
    }

    /// What the component answers to a `GET` of `path`, if it does within `patience`.
    pub async fn get(&self, path: &str, patience: Duration) -> Option<Response<Bytes>> {
        let asking = async {
            let mut instance = self.instance().await.ok()?;
            let answer = ask(&mut instance, path).await?;
            self.pool.give_back(instance);
            Some(answer)
        };
        timeout(patience, asking).await.ok().flatten()
    }
}

/// `None` if there is no answer; then `instance` must not be used again.
async fn ask(instance: &mut Instance, path: &str) -> Option<Response<Bytes>> {
    let uri = path.parse().ok()?;
    let mut request = Request::new(Empty::new().map_err(|never: Infallible| match never {}));
    *request.uri_mut() = with_authority(uri, Authority::from_static("localhost"));
    let (sender, head) = oneshot::channel();
    let handling = instance.handle(request, RequestContext::default(), sender);
    let reading = async {
        let (parts, body) = head.await.ok()?.ok()?.into_parts();
        let body = Limited::new(body, MAX_OWN_ANSWER_BYTES)
            .collect()
            .await
            .ok()?;
        Some(Response::from_parts(parts, body.to_bytes()))
    };
    // Together, because the component writes a long answer only while it is read.
    let (handled, answer) = tokio::join!(handling, reading);
    handled.ok()?;
    answer
}

fn is_misconfigured(answer: &Response<Bytes>) -> bool {
    let document: Result<serde_json::Value, _> = serde_json::from_slice(answer.body());
    document.is_ok_and(|document| document["type"] == MISCONFIGURED)
}
