//! The code that the native peers share: everything except the access to the database.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::env;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime};
use tokio::net::TcpListener;

/// Our host has it, too, and an engineer would choose it for any server that must be fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ISO_DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// 1 to 64 ASCII letters.
pub struct Username(String);

impl Username {
    pub fn parse(text: String) -> Result<Self, Problem> {
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic());
        valid.then_some(Self(text)).ok_or(Problem::InvalidUsername)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Birthday {
    date_of_birth: String,
}

impl Birthday {
    /// The date, if it is before today.
    pub fn parse(&self) -> Result<Date, Problem> {
        let born = Date::parse(&self.date_of_birth, ISO_DATE).map_err(|_| Problem::InvalidDate)?;
        if born < today() {
            Ok(born)
        } else {
            Err(Problem::DateNotPast)
        }
    }
}

#[derive(Serialize)]
pub struct Hello {
    message: String,
}

impl Hello {
    pub fn new(username: &Username, born: Date) -> Self {
        let Username(username) = username;
        let message = match days_until(born, today()) {
            0 => format!("Hello, {username}! Happy birthday!"),
            days => format!("Hello, {username}! Your birthday is in {days} day(s)"),
        };
        Self { message }
    }
}

#[derive(Serialize)]
pub struct Health {
    status: &'static str,
}

pub async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

fn today() -> Date {
    OffsetDateTime::now_utc().date()
}

fn days_until(born: Date, today: Date) -> i64 {
    let this_year = birthday_in(born, today.year());
    let next = if this_year < today {
        birthday_in(born, today.year() + 1)
    } else {
        this_year
    };
    (next - today).whole_days()
}

fn birthday_in(born: Date, year: i32) -> Date {
    let first_of_march = Date::from_calendar_date(year, Month::March, 1);
    let same_day = Date::from_calendar_date(year, born.month(), born.day());
    same_day.or(first_of_march).unwrap_or(Date::MAX)
}

#[derive(Debug)]
pub enum Problem {
    InvalidUsername,
    InvalidDate,
    DateNotPast,
    UnknownUser,
    StoreUnavailable,
}

impl Problem {
    /// Logs the cause, which the client does not get.
    pub fn store(error: impl std::error::Error) -> Self {
        eprintln!("postgres: {error}");
        Self::StoreUnavailable
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Document {
            r#type: &'static str,
            status: u16,
        }

        let (status, r#type) = match self {
            Self::InvalidUsername => (StatusCode::BAD_REQUEST, "/problems/invalid-username"),
            Self::InvalidDate => (StatusCode::BAD_REQUEST, "/problems/invalid-date"),
            Self::DateNotPast => (StatusCode::BAD_REQUEST, "/problems/date-not-past"),
            Self::UnknownUser => (StatusCode::NOT_FOUND, "/problems/unknown-user"),
            Self::StoreUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "/problems/store-unavailable",
            ),
        };
        let document = Document {
            r#type,
            status: status.as_u16(),
        };
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, content_type, Json(document)).into_response()
    }
}

/// The settings of a peer, from its environment: the address of the database, and the number of connections to it.
pub struct Settings {
    pub database_url: String,
    pub connections: u32,
}

impl Settings {
    pub fn from_env() -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self {
            database_url: env::var("DATABASE_URL")?,
            connections: env::var("DATABASE_CONNECTIONS")?.parse()?,
        })
    }
}

/// Serves `router` on a free port, and prints its address.
pub async fn serve(router: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Without it, an answer could wait for an acknowledgement. It fails only if the client has gone.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}
