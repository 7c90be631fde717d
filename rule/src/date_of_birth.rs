//! Dates of birth, and the days until the next birthday. Pure: the current day is an argument.

use alloc::format;
use alloc::string::String;
use core::fmt;
use time::{Date, Month};

/// The birthday, in a common year, of a person born on 29 February.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeapDay {
    /// On 28 February.
    Feb28,
    /// On 1 March.
    #[default]
    Mar1,
}

/// Why a text is no date of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidDate {
    /// It has another form, or names no day.
    NoDay,
    /// The day is today, or later.
    NotPast,
}

impl fmt::Display for InvalidDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDay => "not a day of the calendar from 0001-01-01 on, written as YYYY-MM-DD",
            Self::NotPast => "not a day before today",
        })
    }
}

impl core::error::Error for InvalidDate {}

/// A day of the Gregorian calendar before today, from 0001-01-01 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateOfBirth(Date);

impl DateOfBirth {
    /// Reads `YYYY-MM-DD`, exactly these ten characters.
    ///
    /// # Errors
    /// [`InvalidDate::NoDay`] if `text` has another form or names no day, [`InvalidDate::NotPast`] if the
    /// day is `today` or later.
    pub fn parse(text: &str, today: Date) -> Result<Self, InvalidDate> {
        Self::new(parse_date(text).ok_or(InvalidDate::NoDay)?, today)
    }

    /// # Errors
    /// [`InvalidDate::NotPast`] if `date` is `today` or later.
    pub fn new(date: Date, today: Date) -> Result<Self, InvalidDate> {
        match date < today {
            true => Ok(Self(date)),
            false => Err(InvalidDate::NotPast),
        }
    }

    /// A date from a store. It was parsed when it was stored, but another program may have changed it
    /// since. `None` if it is not a day of the calendar.
    pub fn from_stored(year: i32, month: u8, day: u8) -> Option<Self> {
        let month = Month::try_from(month).ok()?;
        Date::from_calendar_date(year, month, day).ok().map(Self)
    }

    /// The reverse of [`DateOfBirth::to_text`], for text from a store.
    pub fn from_stored_text(text: &str) -> Option<Self> {
        parse_date(text).map(Self)
    }

    /// `YYYY-MM-DD`, the form that `parse` reads.
    pub fn to_text(self) -> String {
        let (year, month, day) = self.to_parts();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Year, month 1 to 12, day 1 to 31.
    pub fn to_parts(self) -> (i32, u8, u8) {
        (self.0.year(), self.0.month().into(), self.0.day())
    }

    /// Whole calendar days from `today` to the next birthday, 0 on the day itself, at most 366.
    pub fn days_until(self, today: Date, leap_day: LeapDay) -> u16 {
        let today_ordinal = today.ordinal();
        let this_year = self.birthday_ordinal(today.year(), leap_day);
        if this_year >= today_ordinal {
            return this_year - today_ordinal;
        }
        let rest_of_year = time::util::days_in_year(today.year()) - today_ordinal;
        rest_of_year + self.birthday_ordinal(today.year() + 1, leap_day)
    }

    /// The day of the birthday in `year`, counted from 1.
    fn birthday_ordinal(self, year: i32, leap_day: LeapDay) -> u16 {
        // Days of January and February in a common year.
        const END_OF_FEBRUARY: u16 = 59;
        // All years of the same length have the same days. These two are within the calendar of `time`.
        let like_year = if time::util::is_leap_year(year) {
            2000
        } else {
            2001
        };
        match Date::from_calendar_date(like_year, self.0.month(), self.0.day()) {
            Ok(date) => date.ordinal(),
            // Only 29 February does not exist in every year.
            Err(_) => match leap_day {
                LeapDay::Feb28 => END_OF_FEBRUARY,
                LeapDay::Mar1 => END_OF_FEBRUARY + 1,
            },
        }
    }
}

fn parse_date(text: &str) -> Option<Date> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *bytes else {
        return None;
    };
    let year = i32::from(number(&[y0, y1, y2, y3])?);
    let month = u8::try_from(number(&[m0, m1])?).ok()?;
    let day = u8::try_from(number(&[d0, d1])?).ok()?;
    date(year, month, day)
}

/// The day of the Gregorian calendar with this year, 1 to 9999, month and day, if there is one.
pub fn date(year: i32, month: u8, day: u8) -> Option<Date> {
    let month = Month::try_from(month).ok()?;
    Date::from_calendar_date(year, month, day)
        .ok()
        .filter(|date| date.year() > 0)
}

/// Up to four ASCII digits as a number.
fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u16::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        parse_date(text).unwrap()
    }

    #[track_caller]
    fn check(born: &str, today: &str, leap_day: LeapDay, expected: u16) {
        let born = DateOfBirth(date(born));
        assert_eq!(born.days_until(date(today), leap_day), expected);
    }

    #[test]
    fn the_days_of_the_contract() {
        for (born, today, days) in [
            ("2000-10-01", "2026-10-01", 0),
            ("2000-10-01", "2026-09-30", 1),
            ("2000-10-01", "2026-10-02", 364),
            ("2000-02-29", "2027-02-28", 1),
            ("2000-02-29", "2027-03-01", 0),
            ("2000-02-29", "2028-02-29", 0),
            ("1990-12-31", "2026-01-01", 364),
            ("1990-01-01", "2027-12-31", 1),
        ] {
            check(born, today, LeapDay::Mar1, days);
        }
    }

    #[test]
    fn leap_day_counts_as_28_february_on_request() {
        check("2000-02-29", "2027-02-28", LeapDay::Feb28, 0);
        // Only in common years: 2028 has a 29 February.
        check("2000-02-29", "2027-03-01", LeapDay::Feb28, 365);
        check("2000-02-29", "2026-03-01", LeapDay::Feb28, 364);
        check("2000-02-29", "2028-02-28", LeapDay::Feb28, 1);
        check("2000-02-29", "2028-02-29", LeapDay::Feb28, 0);
    }

    #[test]
    fn every_day_of_eight_years_is_one_nearer_than_the_day_before() {
        for born in [
            "1999-01-01",
            "2000-02-28",
            "2000-02-29",
            "2001-03-01",
            "1996-12-31",
        ] {
            let born = DateOfBirth(date(born));
            for leap_day in [LeapDay::Feb28, LeapDay::Mar1] {
                let mut today = date("2023-01-01");
                let mut before = born.days_until(today, leap_day);
                while today < date("2031-01-01") {
                    today = today.next_day().unwrap();
                    let days = born.days_until(today, leap_day);
                    if before == 0 {
                        assert!((364..=365).contains(&days), "{today}: {days}");
                    } else {
                        assert_eq!(days, before - 1, "{today}");
                    }
                    before = days;
                }
            }
        }
    }

    #[test]
    fn the_last_year_of_the_calendar_has_a_next_birthday() {
        check("2000-01-01", "9999-12-31", LeapDay::Mar1, 1);
    }

    #[track_caller]
    fn check_parse(text: &str, expected: Result<(), InvalidDate>) {
        let parsed = DateOfBirth::parse(text, date("2026-11-21"));
        assert_eq!(
            parsed.map(|born| assert_eq!(born.to_text(), text)),
            expected
        );
    }

    #[test]
    fn days_of_the_calendar_are_accepted() {
        for text in ["2000-10-01", "0001-01-01", "2000-02-29", "2026-11-20"] {
            check_parse(text, Ok(()));
        }
    }

    #[test]
    fn today_and_later_are_not_past() {
        for text in ["2026-11-21", "2026-11-22", "9999-12-31"] {
            check_parse(text, Err(InvalidDate::NotPast));
        }
    }

    #[test]
    fn anything_else_is_not_a_date() {
        for text in [
            "",
            "2001-02-29",
            "1900-02-29",
            "2000-1-01",
            "2000-10-01T00:00:00Z",
            " 2000-10-01",
            "2000-10-01 ",
            "2000/10/01",
            "0000-01-01",
            "-001-01-01",
            "+200-01-01",
            "2000-13-01",
            "2000-00-10",
            "2000-01-00",
            "2000-04-31",
            "２０００-１０-０１",
            "٢٠-01-01",
            "2000-10-0١",
        ] {
            check_parse(text, Err(InvalidDate::NoDay));
        }
    }
}
