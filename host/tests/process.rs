//! What an application leaves alone in the process that embeds it. A process of its own, because other tests change it.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

use birthday_tests::service::component;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use http_component_runtime::{App, Egress, KeyValue, engine};
use procfs::process::Process;
use rustix::process::Signal;
use rustls::crypto::CryptoProvider;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// The signals by which wasmtime notices that a component has trapped. It passes on those that are not its own.
const TRAPS: [Signal; 4] = [Signal::ILL, Signal::FPE, Signal::SEGV, Signal::BUS];

/// The signals that have handlers, as bits.
fn handled() -> u64 {
    Process::myself().unwrap().status().unwrap().sigcgt
}

/// An application that has done all that one does: called its imports, trapped, and connected over TLS.
fn use_an_app(engine: &wasmtime::Engine) {
    let folder = TempDir::new().unwrap();
    let guest = engine::load_file(engine, &component("birthday_test_guest.wasm")).unwrap();
    let rules = ["https://127.0.0.1:*", "postgres://127.0.0.1:*"];
    let app = App::builder(guest)
        .key_value(KeyValue::sqlite(&folder.path().join("guest.db")).unwrap())
        .egress(Egress::new(
            rules.map(|rule| rule.parse().unwrap()).to_vec(),
        ))
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (path, status) in [
        ("/key-value", 200),
        ("/panic", 500),
        ("/fetch?https://127.0.0.1:1/", 500),
        (
            "/postgres-connect?postgres://127.0.0.1:1/a?sslmode=require",
            500,
        ),
        ("/count", 200),
    ] {
        let request = Request::get(format!("http://localhost{path}")).body(Empty::<Bytes>::new());
        let (found, body) = runtime.block_on(async {
            let answer = app.handle(request.unwrap()).await;
            let status = answer.status();
            (
                status,
                answer.into_body().collect().await.unwrap().to_bytes(),
            )
        });
        assert_eq!(found, status, "{path}: {body:?}");
    }
}

#[test]
fn an_app_sets_nothing_for_the_whole_process() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }));

    let at_start = handled();
    let engine = engine::engine().unwrap();
    let traps = TRAPS.map(|signal| 1 << (signal.as_raw() - 1));
    let traps: u64 = traps.into_iter().sum();
    let with_engine = handled();
    assert_eq!(with_engine & !traps, at_start & !traps, "the engine");
    use_an_app(&engine);
    assert_eq!(handled(), with_engine, "the application");

    assert!(!tracing::dispatcher::has_been_set(), "the log");
    assert!(CryptoProvider::get_default().is_none(), "TLS");
    let before = PANICS.load(Ordering::Relaxed);
    assert!(panic::catch_unwind(|| panic!("as a program does")).is_err());
    // Before the assertion, whose message the hook would take.
    drop(panic::take_hook());
    assert_eq!(PANICS.load(Ordering::Relaxed), before + 1, "panics");
}
