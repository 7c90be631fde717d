//! What a program sees that embeds the library: an `App` alone, without a server around it, and stores of its own.

mod apps;
mod components;
mod errors;
mod stores;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use http_component_runtime::{App, Body, Builder, Variables, engine};
use std::sync::LazyLock;
use wasmtime::component::Component;

/// Compiled once, because all tests here serve it.
static COMPONENT: LazyLock<Component> = LazyLock::new(|| {
    let engine = engine::engine().unwrap();
    let path = birthday_tests::service::component("birthday.wasm");
    engine::load_file(&engine, &path).unwrap()
});

fn app() -> Builder {
    App::builder(COMPONENT.clone())
}

fn variables(given: &[(&str, &str)]) -> Variables {
    let given = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Variables::new(std::iter::empty(), given).unwrap()
}

/// Bob is stored.
fn put_bob() -> Request<Full<Bytes>> {
    request("PUT", "/hello/bob", r#"{"dateOfBirth":"2000-10-01"}"#)
}

/// Bob is looked up.
fn get_bob() -> Request<Full<Bytes>> {
    request("GET", "/hello/bob", "")
}

fn request(method: &str, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://localhost{path}"))
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

/// The status and the body of `answer`.
async fn read(answer: Response<Body>) -> (StatusCode, String) {
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[track_caller]
fn check(app: &App, request: Request<Full<Bytes>>, status: u16, text: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (found, body) = runtime.block_on(async { read(app.handle(request).await).await });
    assert_eq!(found, status, "{body}");
    assert!(body.contains(text), "{body}");
}
