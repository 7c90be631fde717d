//! Passwords of Postgres that are tokens of AWS IAM, for RDS, Aurora, RDS Proxy and Aurora DSQL.
//!
//! | module | answers |
//! |---|---|
//! | `endpoint` | which service and region is a host of, and what does its token allow? |
//! | `token` | how is a token signed? |
//! | `credentials` | with whose credentials? |
//!
//! A token is a signature with the time, and is made without a request to AWS. So each connection has one of its own, seconds
//! old, and none is kept.

mod credentials;
mod endpoint;
mod token;

use credentials::CredentialsCache;
use endpoint::Endpoint;
use http_component_runtime::postgres::{Account, MakingPassword, Password, PasswordSource};
use std::env;
use std::sync::Arc;
use std::time::SystemTime;

/// The variables that name a region for the SDKs of AWS, the first one first.
const REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// A token for each connection. The threads share the credentials.
pub fn tokens() -> PasswordSource {
    let credentials = Arc::new(CredentialsCache::default());
    Arc::new(
        move |account: Account<'_>| -> Result<MakingPassword, String> {
            let endpoint = Endpoint::of(&account, region_of_environment().as_deref())?;
            let credentials = credentials.clone();
            Ok(Box::pin(async move {
                let credentials = credentials.get(&endpoint.region).await?;
                let now = SystemTime::now();
                let token = token::sign(&endpoint, &credentials, now)?;
                let when = humantime::format_rfc3339_seconds(now);
                let origin = format!("an IAM token for {}, made at {when}", endpoint.region);
                Ok(Password::new(token, origin))
            }))
        },
    )
}

fn region_of_environment() -> Option<String> {
    REGION
        .iter()
        .filter_map(|name| env::var(name).ok())
        .find(|region| !region.is_empty())
}
