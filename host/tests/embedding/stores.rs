//! A store of the embedder that misbehaves: the request gets a clear answer, and the next one is unharmed.

use super::{app, check, get_bob, put_bob};
use http_component_runtime::{
    App, KeyPage, KeyValue, KeyValueError, KeyValueStore, Limits, async_trait,
};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a request may take. An instance is made in it, by a build without optimization, too.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// For how long the store blocks its thread, which is less.
const BLOCKED: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, Default)]
enum Conduct {
    #[default]
    Good,
    Fails,
    Panics,
    NeverAnswers,
    BlocksItsThread,
}

/// Keeps values in memory, and conducts itself as it is told.
#[derive(Default)]
struct Store {
    conduct: Mutex<Conduct>,
    values: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The calls that have begun, and are neither answered nor dropped.
    calls: AtomicUsize,
}

struct Call<'a>(&'a AtomicUsize);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Store {
    async fn behave(&self) -> Result<(), KeyValueError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let _call = Call(&self.calls);
        let conduct = *self.conduct.lock().unwrap();
        match conduct {
            Conduct::Good => {}
            Conduct::Fails => return Err(KeyValueError::Other("no route to the store".into())),
            Conduct::Panics => panic!("the store panics on request"),
            Conduct::NeverAnswers => pending().await,
            Conduct::BlocksItsThread => thread::sleep(BLOCKED),
        }
        Ok(())
    }
}

/// What the library gets; the test keeps the other handle.
struct Shared(Arc<Store>);

#[async_trait]
impl KeyValueStore for Shared {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.0.behave().await?;
        Ok(self.0.values.lock().unwrap().get(key).cloned())
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        self.0.behave().await?;
        let mut values = self.0.values.lock().unwrap();
        values.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.0.behave().await?;
        self.0.values.lock().unwrap().remove(key);
        Ok(())
    }

    async fn list_keys(&self, cursor: Option<&str>, count: u32) -> Result<KeyPage, KeyValueError> {
        self.0.behave().await?;
        let values = self.0.values.lock().unwrap();
        let behind = values
            .keys()
            .filter(|key| cursor.is_none_or(|cursor| key.as_str() > cursor));
        let keys = behind.take(count as usize).cloned().collect();
        Ok(KeyPage::ordered(keys, count))
    }
}

fn app_with_store() -> (App, Arc<Store>) {
    let store = Arc::<Store>::default();
    let app = app()
        .key_value(KeyValue::custom(Shared(store.clone())))
        .limits(Limits {
            request_timeout: REQUEST_TIMEOUT,
            ..Limits::default()
        })
        .build()
        .unwrap();
    (app, store)
}

#[track_caller]
fn check_conduct(conduct: Conduct, status: u16, problem: &str) {
    let (app, store) = app_with_store();
    check(&app, put_bob(), 204, "");
    for request in [get_bob, put_bob] {
        *store.conduct.lock().unwrap() = conduct;
        check(&app, request(), status, problem);
        assert_eq!(store.calls.load(Ordering::Relaxed), 0, "no call is left");
        *store.conduct.lock().unwrap() = Conduct::Good;
        check(&app, get_bob(), 200, "bob");
    }
}

#[test]
fn a_store_that_fails_is_unavailable() {
    check_conduct(Conduct::Fails, 503, "/problems/store-unavailable");
}

#[test]
fn a_store_that_panics_is_unavailable() {
    check_conduct(Conduct::Panics, 503, "/problems/store-unavailable");
}

#[test]
fn a_store_that_never_answers_is_ended_by_the_limit_on_time() {
    check_conduct(Conduct::NeverAnswers, 504, "/problems/timeout");
}

#[test]
fn a_store_that_blocks_its_thread_for_a_moment_only_delays() {
    let (app, store) = app_with_store();
    *store.conduct.lock().unwrap() = Conduct::BlocksItsThread;
    check(&app, put_bob(), 204, "");
    check(&app, get_bob(), 200, "bob");
}
