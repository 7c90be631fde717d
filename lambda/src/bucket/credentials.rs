//! The credentials for a bucket, from the SDK's own chain.

use crate::settings::BucketSettings;
use anyhow::Context;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use std::time::Duration;

/// What the role's owner sees in the log of its account.
const SESSION_NAME: &str = "birthday-lambda";

/// How long getting credentials may take, with all its attempts.
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;

/// Those of the function, or of the role that is assumed for the bucket.
///
/// # Errors
/// If there are none, or the role may not be assumed.
pub async fn get(settings: &BucketSettings) -> anyhow::Result<Credentials> {
    let got = match &settings.role {
        Some(role) => assume(role, settings).await,
        None => own(settings).await,
    };
    got.context(match settings.role {
        Some(_) => "the role of the bucket cannot be assumed",
        None => "there are no credentials for the bucket",
    })
}

async fn own(settings: &BucketSettings) -> anyhow::Result<Credentials> {
    let provider = config(settings).await.credentials_provider();
    let provider = provider.context("none are configured")?;
    Ok(provider.provide_credentials().await?)
}

async fn assume(role: &str, settings: &BucketSettings) -> anyhow::Result<Credentials> {
    let mut provider = AssumeRoleProvider::builder(role)
        .configure(&config(settings).await)
        .session_name(SESSION_NAME);
    if let Some(external_id) = &settings.external_id {
        provider = provider.external_id(external_id);
    }
    Ok(provider.build().await.provide_credentials().await?)
}

async fn config(settings: &BucketSettings) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(TIMEOUT)
        .operation_attempt_timeout(TIMEOUT / 2)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(settings.region.clone()))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts)
        .load()
        .await
}
