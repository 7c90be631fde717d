//! axum and sqlx: the usual way.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use birthday_peers::{Birthday, Hello, Problem, Settings, Username, health, serve};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::error::Error;
use time::Date;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_env()?;
    let pool = PgPoolOptions::new()
        .max_connections(settings.connections)
        .connect(&settings.database_url)
        .await?;
    let router = Router::new()
        .route("/hello/{username}", get(get_hello).put(put_hello))
        .route("/health", get(health))
        .with_state(pool);
    serve(router).await
}

async fn get_hello(
    State(pool): State<PgPool>,
    Path(username): Path<String>,
) -> Result<Json<Hello>, Problem> {
    let username = Username::parse(username)?;
    let born: Option<Date> =
        sqlx::query_scalar("SELECT date_of_birth FROM people WHERE username = $1")
            .bind(username.as_str())
            .fetch_optional(&pool)
            .await
            .map_err(Problem::store)?;
    let born = born.ok_or(Problem::UnknownUser)?;
    Ok(Json(Hello::new(&username, born)))
}

async fn put_hello(
    State(pool): State<PgPool>,
    Path(username): Path<String>,
    Json(birthday): Json<Birthday>,
) -> Result<StatusCode, Problem> {
    let username = Username::parse(username)?;
    let born = birthday.parse()?;
    sqlx::query(
        "INSERT INTO people (username, date_of_birth) VALUES ($1, $2) \
         ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth",
    )
    .bind(username.as_str())
    .bind(born)
    .execute(&pool)
    .await
    .map_err(Problem::store)?;
    Ok(StatusCode::NO_CONTENT)
}
