//! The HTTP client of one thread: connections that are kept for a while, and how long a request may take.

use super::body::ResponseBody;
use super::connector::Connector;
use super::error::of_client;
use super::per_host::PerHost;
use super::timeouts::Timeouts;
use crate::client_tls::client_config;
use crate::egress::Egress;
use crate::limits::Slot;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use rustls::ClientConfig;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error as WasiHttpError, WasiBody};

/// How long a connection is kept without a request, and how many of one host are. Most servers keep theirs longer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_IDLE_PER_HOST: usize = 8;

/// The longest head of a response, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

type HyperClient = legacy::Client<HttpsConnector<Connector>, WasiBody>;

pub struct Client {
    connector: Connector,
    per_host: PerHost,
    /// The authorities to trust, which all threads share. Read when they are needed.
    tls: Arc<OnceLock<ClientConfig>>,
    /// Made for the first request.
    hyper: Mutex<Option<HyperClient>>,
}

impl Client {
    /// Connects to where `egress` allows.
    pub fn new(egress: Egress) -> Self {
        Self {
            connector: Connector::new(egress),
            per_host: PerHost::default(),
            tls: Arc::default(),
            hyper: Mutex::default(),
        }
    }

    /// The same with connections of its own.
    pub fn for_another_thread(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            per_host: PerHost::default(),
            tls: self.tls.clone(),
            hyper: Mutex::default(),
        }
    }

    /// Sends `request`, which has an absolute URI; `slot` is held until the body of the response is dropped.
    ///
    /// # Errors
    /// Why there is no response.
    pub async fn send(
        &self,
        request: Request<WasiBody>,
        timeouts: Timeouts,
        slot: Slot,
    ) -> Result<Response<WasiBody>, WasiHttpError> {
        let uri = request.uri();
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(WasiHttpError::HttpRequestUriInvalid);
        };
        if authority.as_str().contains('@') {
            return Err(WasiHttpError::HttpRequestUriInvalid);
        }
        // Here, too, because a kept connection is not connected once more, and so that nothing waits for what is refused.
        let named = self.connector.destination(uri);
        named.map_err(|error| WasiHttpError::from(&error))?;
        let host = format!("{scheme}://{authority}").to_ascii_lowercase();
        let turn = timeout(timeouts.connect, self.per_host.turn(host));
        let turn = turn.await.map_err(|_| WasiHttpError::ConnectionTimeout)?;
        let patience = timeouts.connect.saturating_add(timeouts.first_byte);
        let sending = timeout(patience, self.hyper().request(request));
        let response = sending
            .await
            .map_err(|_| WasiHttpError::ConnectionReadTimeout)?;
        let response = response.map_err(|error| {
            if matches!(of_client(&error), WasiHttpError::ConnectionLimitReached) {
                // Those that are kept without a request are closed.
                self.hyper.lock().take();
            }
            of_client(&error)
        })?;
        let between_bytes = timeouts.between_bytes;
        Ok(response
            .map(|incoming| ResponseBody::new(incoming, between_bytes, slot, turn).boxed_unsync()))
    }

    fn hyper(&self) -> HyperClient {
        let mut hyper = self.hyper.lock();
        if let Some(client) = &*hyper {
            return client.clone();
        }
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.get_or_init(client_config).clone())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(self.connector.clone());
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .http2_max_header_list_size(MAX_HEAD_BYTES as u32)
            .build(connector);
        hyper.insert(client).clone()
    }
}
