//! The rule of the birthday API as a WebAssembly component (`wit/greeting.wit`).
//!
//! It imports nothing, so it runs wherever components do. That is why it is built for `wasm32-unknown-unknown`: on `wasm32-wasip2`
//! the standard library imports WASI.

#[cfg_attr(
    target_family = "wasm",
    expect(
        unsafe_code,
        reason = "wit-bindgen generates the calls across the boundary of the component"
    )
)]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "library" });
    // Only for wasm: a linker for this machine does not accept the names of exports.
    #[cfg(target_family = "wasm")]
    export!(Component);
    #[cfg(target_family = "wasm")]
    use super::Component;

    pub use exports::birthday::greeting::greeting::{Date, Error, Guest, LeapDay};
}

#[cfg(target_family = "wasm")]
#[path = "../../component/src/metadata.rs"]
mod metadata;

use bindings::{Date, Error, Guest, LeapDay};
use birthday_rule::{DateOfBirth, InvalidDate, InvalidUsername, Username};

struct Component;

impl Guest for Component {
    fn parse(date_of_birth: String, today: Date) -> Result<Date, Error> {
        let born = DateOfBirth::parse(&date_of_birth, day(today)?)?;
        let (year, month, day) = born.to_parts();
        let year = u16::try_from(year).map_err(|_| Error::InvalidDate)?;
        Ok(Date { year, month, day })
    }

    fn days_until(born: Date, today: Date, leap_day: LeapDay) -> Result<u16, Error> {
        let leap_day = match leap_day {
            LeapDay::MarchFirst => birthday_rule::LeapDay::Mar1,
            LeapDay::FebruaryLast => birthday_rule::LeapDay::Feb28,
        };
        let (born, today) = (day(born)?, day(today)?);
        Ok(DateOfBirth::new(born, today)?.days_until(today, leap_day))
    }

    fn message(username: String, days: u16) -> Result<String, Error> {
        Ok(birthday_rule::message(&Username::parse(&username)?, days))
    }
}

fn day(Date { year, month, day }: Date) -> Result<birthday_rule::Date, Error> {
    birthday_rule::date(year.into(), month, day).ok_or(Error::InvalidDate)
}

impl From<InvalidDate> for Error {
    fn from(invalid: InvalidDate) -> Self {
        match invalid {
            InvalidDate::NoDay => Self::InvalidDate,
            InvalidDate::NotPast => Self::DateNotPast,
        }
    }
}

impl From<InvalidUsername> for Error {
    fn from(InvalidUsername: InvalidUsername) -> Self {
        Self::InvalidUsername
    }
}
