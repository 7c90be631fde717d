//! The client of one thread: it is made when it is needed, and made again when its credentials are refused.

use super::address::Address;
use crate::imports::key_value::outage::{Cause, Failure, Fault};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How often an operation is attempted that was throttled or cut off, with all its time.
const MAX_ATTEMPTS: u32 = 4;

/// How long to wait before the second attempt, and before any: by chance between nothing and twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// How often credentials that are refused are looked for again.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// The client, once it is made.
#[derive(Default)]
pub struct Clients(Mutex<Option<Made>>);

struct Made {
    client: Client,
    at: Instant,
}

impl Clients {
    /// # Errors
    /// If no region is known.
    pub async fn get(&self, address: &Address, timeout: Duration) -> Result<Client, Cause> {
        let mut made = self.0.lock().await;
        if let Some(made) = &*made {
            return Ok(made.client.clone());
        }
        let client = make(address, timeout).await?;
        *made = Some(Made {
            client: client.clone(),
            at: Instant::now(),
        });
        Ok(client)
    }

    /// Looks for credentials again, because those that are there are refused: the client keeps what it has found.
    pub async fn refresh(&self) {
        let mut made = self.0.lock().await;
        if made
            .as_ref()
            .is_some_and(|made| made.at.elapsed() > REFRESH_INTERVAL)
        {
            *made = None;
        }
    }
}

async fn make(address: &Address, timeout: Duration) -> Result<Client, Failure> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(timeout / 3)
        .operation_attempt_timeout(timeout / 2)
        .operation_timeout(timeout)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(MAX_PAUSE);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(retries.clone());
    if let Some(region) = &address.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let found = loader.load().await;
    if found.region().is_none() {
        let reason = "no region is known: add ?region=… to the address, or set AWS_REGION";
        return Err(Failure::new(Fault::Setup, reason));
    }
    // Not that of a profile or the environment, which may have no bound.
    let mut config = Builder::from(&found).retry_config(retries);
    if let Some(endpoint) = &address.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}
