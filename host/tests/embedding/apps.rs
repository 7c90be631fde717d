//! Applications in one process, and an application as a `tower` service.

use super::{app, check, get_bob, put_bob, read, variables};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use http_component_runtime::{Body, KeyValue};
use std::convert::Infallible;
use std::future::poll_fn;
use tokio::runtime;
use tower_service::Service;

const MAX_BYTES: usize = 1024 * 1024;

fn with_token(mut request: Request<Full<Bytes>>, token: &'static str) -> Request<Full<Bytes>> {
    let value = HeaderValue::from_static(token);
    request.headers_mut().insert(AUTHORIZATION, value);
    request
}

#[test]
fn two_apps_of_one_process_have_settings_and_stores_of_their_own() {
    let [first, second] = ["first", "second"].map(|token| {
        app()
            .variables(variables(&[("api_token", token)]))
            .key_value(KeyValue::memory(MAX_BYTES))
            .build()
            .unwrap()
    });
    check(&first, with_token(put_bob(), "Bearer first"), 204, "");
    check(&first, with_token(get_bob(), "Bearer first"), 200, "bob");
    check(&second, with_token(get_bob(), "Bearer first"), 401, "");
    check(&second, with_token(get_bob(), "Bearer second"), 404, "");
}

#[test]
fn two_apps_share_a_store_where_they_are_given_the_same() {
    let store = KeyValue::memory(MAX_BYTES);
    let [first, second] = [(); 2].map(|()| app().key_value(store.clone()).build().unwrap());
    check(&first, put_bob(), 204, "");
    check(&second, get_bob(), 200, "bob");
}

/// Calls `service` as a framework does, by the trait alone.
async fn call<S>(service: &mut S, request: Request<Full<Bytes>>) -> u16
where
    S: Service<Request<Full<Bytes>>, Response = Response<Body>, Error = Infallible>,
{
    let Ok(()) = poll_fn(|context| service.poll_ready(context)).await;
    let Ok(answer) = service.call(request).await;
    read(answer).await.0.as_u16()
}

fn check_service(mut runtime: runtime::Builder) {
    let mut service = app().build().unwrap();
    let runtime = runtime.enable_all().build().unwrap();
    // In a task, which may move from thread to thread.
    let statuses = runtime.spawn(async move {
        [
            call(&mut service, put_bob()).await,
            call(&mut service, get_bob()).await,
        ]
    });
    assert_eq!(runtime.block_on(statuses).unwrap(), [204, 200]);
}

#[test]
fn an_app_is_a_service_on_either_runtime_of_tokio() {
    check_service(runtime::Builder::new_current_thread());
    check_service(runtime::Builder::new_multi_thread());
}
