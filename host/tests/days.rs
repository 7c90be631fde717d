//! The table of days, with the clock moved at the border of the component: the host's wall clock is an
//! argument.

use birthday_tests::contract::new_username;
use birthday_tests::days::{ROWS, Row};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use http_component_runtime::{App, Egress, KeyValue, Variables, engine, postgres};
use std::time::Duration;
use tempfile::TempDir;
use test_support::cluster::Cluster;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::runtime;
use wasmtime::component::Component;

fn component() -> Component {
    let engine = engine::engine().unwrap();
    engine::load_file(
        &engine,
        &birthday_tests::service::component("birthday.wasm"),
    )
    .unwrap()
}

/// Checks every row with the store that `key_value` gives, and with `variables`.
fn check(component: &Component, key_value: impl Fn() -> KeyValue, variables: &[(&str, &str)]) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for row in ROWS {
        let app = app(component, row, key_value(), variables);
        runtime.block_on(check_row(&app, row));
    }
}

fn app(component: &Component, row: &Row, key_value: KeyValue, variables: &[(&str, &str)]) -> App {
    let now = OffsetDateTime::parse(row.now, &Rfc3339).unwrap();
    let since_epoch = Duration::from_secs(now.unix_timestamp().unsigned_abs());
    let database_url = variables.iter().find(|(name, _)| *name == "database_url");
    let rules = database_url.map(|(_, address)| postgres::rules(address));
    let own = [("timezone", row.timezone), ("leap_day", row.leap_day)];
    let variables = own
        .iter()
        .chain(variables)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    App::builder(component.clone())
        .variables(Variables::new(std::iter::empty(), variables).unwrap())
        .key_value(key_value)
        .egress(Egress::new(rules.unwrap_or_default()))
        .wall_clock(move || since_epoch)
        .build()
        .unwrap()
}

async fn check_row(app: &App, row: &Row) {
    let username = new_username();
    let put = app.handle(request("PUT", &username, row.body())).await;
    assert_eq!(put.status(), 204);
    let answer = app.handle(request("GET", &username, String::new())).await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let expected = row.answer(&username);
    assert_eq!(
        str::from_utf8(&body),
        Ok(expected.as_str()),
        "{}",
        row.name()
    );
}

fn request(method: &str, username: &str, body: String) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://localhost/hello/{username}"))
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

#[test]
fn days_are_those_of_the_contract_on_every_store() {
    let component = component();
    check(&component, KeyValue::default, &[]);

    let folder = TempDir::new().unwrap();
    let sqlite = KeyValue::sqlite(&folder.path().join("days.db")).unwrap();
    check(&component, || sqlite.clone(), &[]);

    let cluster = Cluster::start(&["fsync=off"]);
    let address = cluster.address("postgres");
    check(&component, KeyValue::default, &[("database_url", &address)]);
}
