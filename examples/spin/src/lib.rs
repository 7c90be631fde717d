//! An application of Spin: `GET /greet/Bob?born=2000-10-01` says what the birthday API would say today.
//!
//! The rule is not in here: the manifest names the component that has it.
#![cfg(target_family = "wasm")]
#![expect(
    unsafe_code,
    reason = "what the macros generate crosses the boundary of the component"
)]

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package example:spin;
            world greeter {
                import birthday:greeting/greeting@0.1.0;
            }
        ",
        path: "../../greeting/wit",
        world: "example:spin/greeter",
        generate_all,
    });
    pub use birthday::greeting::greeting::{Date, Error, LeapDay, days_until, message, parse};
}

use bindings::{Date, Error, LeapDay, days_until, message, parse};
use spin_sdk::http::{IntoResponse, Method, Request, Response};
use spin_sdk::http_component;
use time::OffsetDateTime;

#[http_component]
fn handle(request: Request) -> impl IntoResponse {
    let (status, text) = match (request.method(), request.path().strip_prefix("/greet/")) {
        (Method::Get, Some(username)) => match greet(username, born(request.query())) {
            Ok(message) => (200, message),
            Err(error) => (400, reason(error).to_owned()),
        },
        _ => (404, "try GET /greet/Bob?born=2000-10-01".to_owned()),
    };
    Response::builder()
        .status(status)
        .header("content-type", "text/plain")
        .body(text + "\n")
        .build()
}

/// The value of `born` in `query`; nothing if there is none, which is no date.
fn born(query: &str) -> &str {
    let mut values = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("born="));
    values.next().unwrap_or_default()
}

fn greet(username: &str, born: &str) -> Result<String, Error> {
    let today = OffsetDateTime::now_utc().date();
    let today = Date {
        year: u16::try_from(today.year()).map_err(|_| Error::InvalidDate)?,
        month: today.month().into(),
        day: today.day(),
    };
    let born = parse(born, today)?;
    message(username, days_until(born, today, LeapDay::MarchFirst)?)
}

fn reason(error: Error) -> &'static str {
    match error {
        Error::InvalidUsername => "a username is 1 to 64 ASCII letters",
        Error::InvalidDate => "born is a day of the calendar, as YYYY-MM-DD",
        Error::DateNotPast => "born is before today",
    }
}
