//! axum and deadpool-postgres: written by hand for speed.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use birthday_peers::{Birthday, Hello, Problem, Settings, Username, health, serve};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use std::error::Error;
use time::Date;
use tokio_postgres::NoTls;

const GET: &str = "SELECT date_of_birth FROM people WHERE username = $1";
const PUT: &str = "INSERT INTO people (username, date_of_birth) VALUES ($1, $2) \
    ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_env()?;
    let manager = Manager::from_config(
        settings.database_url.parse()?,
        NoTls,
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    let connections = usize::try_from(settings.connections)?;
    let pool = Pool::builder(manager).max_size(connections).build()?;
    let router = Router::new()
        .route("/hello/{username}", get(get_hello).put(put_hello))
        .route("/health", get(health))
        .with_state(pool);
    serve(router).await
}

async fn get_hello(
    State(pool): State<Pool>,
    Path(username): Path<String>,
) -> Result<Json<Hello>, Problem> {
    let username = Username::parse(username)?;
    let client = pool.get().await.map_err(Problem::store)?;
    let statement = client.prepare_cached(GET).await.map_err(Problem::store)?;
    let row = client.query_opt(&statement, &[&username.as_str()]).await;
    let row = row.map_err(Problem::store)?.ok_or(Problem::UnknownUser)?;
    let born: Date = row.try_get(0).map_err(Problem::store)?;
    Ok(Json(Hello::new(&username, born)))
}

async fn put_hello(
    State(pool): State<Pool>,
    Path(username): Path<String>,
    Json(birthday): Json<Birthday>,
) -> Result<StatusCode, Problem> {
    let username = Username::parse(username)?;
    let born = birthday.parse()?;
    let client = pool.get().await.map_err(Problem::store)?;
    let statement = client.prepare_cached(PUT).await.map_err(Problem::store)?;
    client
        .execute(&statement, &[&username.as_str(), &born])
        .await
        .map_err(Problem::store)?;
    Ok(StatusCode::NO_CONTENT)
}
