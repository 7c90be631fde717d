//! The credentials of the process, from where the SDKs of AWS look for them: the environment, a profile, a web identity (IRSA),
//! the container (Pod Identity), the instance.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::timeout;

/// Credentials that end so soon are looked for again; until there are others, they are used to their end.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Credentials without an end, such as those of a profile, are looked for again after so long: somebody may have replaced them.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How long a connection waits for them, if there are none: less than it may take, so that the log says why it is not there.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a search may take. There is one at a time, so that a program that gives credentials and hangs is not started again
/// and again.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause between two searches.
const PAUSE: Duration = Duration::from_secs(1);

/// What was found last.
#[derive(Default)]
pub struct CredentialsCache(Mutex<State>);

#[derive(Default)]
struct State {
    found: Option<Found>,
    /// Why the last search found none, if it did not.
    failure: Option<String>,
    search: Option<Search>,
    /// When the next search may begin; at once, if there was none.
    search_after: Option<Instant>,
}

struct Found {
    credentials: Credentials,
    at: Instant,
}

/// All who need credentials wait for the same one.
type Search = Shared<BoxFuture<'static, Result<Credentials, String>>>;

impl CredentialsCache {
    /// Credentials that are valid now. A service of AWS that gives them is asked in `region`.
    ///
    /// # Errors
    /// Why there are none, in one line without what was read.
    pub async fn get(&self, region: &str) -> Result<Credentials, String> {
        let (search, patience) = self.0.lock().begin(region);
        if let Some(search) = search {
            let ended = timeout(patience, search.clone()).await.ok();
            self.0.lock().end(&search, ended);
        }
        let state = self.0.lock();
        match (state.valid(), &state.failure) {
            (Some(credentials), _) => Ok(credentials.clone()),
            (None, Some(reason)) => Err(format!("no AWS credentials: {reason}")),
            (None, None) => {
                Err("no AWS credentials: those that were found have expired".to_owned())
            }
        }
    }
}

impl State {
    fn valid(&self) -> Option<&Credentials> {
        let found = self.found.as_ref()?;
        found.lasts(Duration::ZERO).then_some(&found.credentials)
    }

    /// The search that runs or is due, and how long to wait for it.
    fn begin(&mut self, region: &str) -> (Option<Search>, Duration) {
        if self.may_search() {
            let search = timeout(SEARCH_TIMEOUT, search(region.to_owned()));
            let search = async { search.await.unwrap_or_else(|_| Err(silent())) };
            // It goes on when nobody waits. It is cut off with the thread that began it, when the process drains.
            let search = tokio::spawn(search).map(|ended| ended.unwrap_or_else(|_| Err(silent())));
            self.search = Some(search.boxed().shared());
        }
        // Those that end soon do for this connection.
        let patience = match self.valid() {
            Some(_) => Duration::ZERO,
            None => PATIENCE,
        };
        (self.search.clone(), patience)
    }

    fn may_search(&self) -> bool {
        self.search.is_none()
            && self.found.as_ref().is_none_or(Found::should_be_replaced)
            && self
                .search_after
                .is_none_or(|after| after <= Instant::now())
    }

    /// Takes what `search` has ended with, if it has, and if nobody did so before.
    fn end(&mut self, search: &Search, ended: Option<Result<Credentials, String>>) {
        if !self.search.as_ref().is_some_and(|s| s.ptr_eq(search)) {
            return;
        }
        match ended {
            None => self.failure = Some(silent()),
            Some(ended) => {
                self.search = None;
                self.search_after = Some(Instant::now() + PAUSE);
                match ended {
                    Ok(credentials) => {
                        let at = Instant::now();
                        self.found = Some(Found { credentials, at });
                        self.failure = None;
                    }
                    Err(reason) => self.failure = Some(reason),
                }
            }
        }
    }
}

impl Found {
    fn should_be_replaced(&self) -> bool {
        match self.credentials.expiry() {
            Some(_) => !self.lasts(MARGIN),
            None => self.at.elapsed() > MAX_AGE,
        }
    }

    /// Whether they are still valid after so long.
    fn lasts(&self, long: Duration) -> bool {
        let end = self.credentials.expiry();
        end.is_none_or(|end| end > SystemTime::now() + long)
    }
}

/// Looks for them anew, also in files that were read before.
async fn search(region: String) -> Result<Credentials, String> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(PATIENCE / 3)
        .operation_attempt_timeout(PATIENCE / 2)
        .operation_timeout(PATIENCE)
        .build();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard())
        .region(Region::new(region))
        .load()
        .await;
    let Some(provider) = config.credentials_provider() else {
        return Err("there is no provider".to_owned());
    };
    let provided = provider.provide_credentials().await;
    provided.map_err(|error| kind(&error).to_owned())
}

fn silent() -> String {
    "their provider does not answer".to_owned()
}

/// Only the kind of `error` is shown: its text may have what a provider has read.
fn kind(error: &CredentialsError) -> &'static str {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "none are in the environment, a profile, a web identity, the container or the instance"
        }
        CredentialsError::ProviderTimedOut(_) => "their provider does not answer",
        CredentialsError::InvalidConfiguration(_) => "their configuration is invalid",
        _ => "their provider fails",
    }
}
