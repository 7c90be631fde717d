//! An application of axum that has the birthday API at `/birthdays`, beside a route of its own.
//!
//! `axum-example COMPONENT DATABASE ADDRESS`: the file of the component, that of the database, and where to listen.

mod store;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use http_component_runtime::{App, Egress, KeyValue, Variables, engine};
use std::env;
use std::path::Path;
use store::Redb;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = env::args().collect();
    let [_, component, database, address] = arguments.as_slice() else {
        anyhow::bail!("usage: axum-example COMPONENT DATABASE ADDRESS");
    };
    let birthdays = birthdays(component.as_ref(), database.as_ref())?;
    let application = Router::new()
        .route("/", get(|| async { "The birthdays are at /birthdays/.\n" }))
        .nest_service("/birthdays", birthdays);
    let listener = TcpListener::bind(address).await.context("cannot listen")?;
    println!("serving http://{}/birthdays", listener.local_addr()?);
    let mut terminations = signal(SignalKind::terminate())?;
    let stopped = async move {
        terminations.recv().await;
    };
    axum::serve(listener, application)
        .with_graceful_shutdown(stopped)
        .await?;
    Ok(())
}

/// The birthday API as a service of `tower`. It keeps people in `database`, takes its settings from `SPIN_VARIABLE_<NAME>`
/// in the environment, and may fetch people from one server only.
fn birthdays(component: &Path, database: &Path) -> anyhow::Result<App> {
    let engine = engine::engine()?;
    let component = engine::load_file(&engine, component)?;
    let settings = env::vars().filter_map(|(name, value)| {
        let name = name.strip_prefix("SPIN_VARIABLE_")?;
        Some((name.to_ascii_lowercase(), value))
    });
    let app = App::builder(component)
        .key_value(KeyValue::custom(Redb::open(database)?))
        .variables(Variables::new(settings, [])?)
        .egress(Egress::new(vec!["https://randomuser.me".parse()?]))
        .build()?;
    Ok(app)
}
