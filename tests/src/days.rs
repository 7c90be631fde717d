//! The table of the contract for the days until a birthday.

/// The variables of the service, the time of its clock, a date of birth, and the answer.
pub struct Row {
    /// In RFC 3339, in UTC.
    pub now: &'static str,
    pub timezone: &'static str,
    pub leap_day: &'static str,
    pub born: &'static str,
    /// 0: Happy birthday!
    pub days: u16,
}

impl Row {
    /// A name that no other row has.
    pub fn name(&self) -> String {
        let Self {
            now,
            timezone,
            leap_day,
            born,
            ..
        } = self;
        format!("{born} at {now}, {timezone}, {leap_day}")
    }

    /// The body that `PUT` stores the birthday with.
    pub fn body(&self) -> String {
        format!(r#"{{"dateOfBirth":"{}"}}"#, self.born)
    }

    /// The body that `GET` answers for `username`.
    pub fn answer(&self, username: &str) -> String {
        let rest = match self.days {
            0 => "Happy birthday!".to_owned(),
            days => format!("Your birthday is in {days} day(s)"),
        };
        format!(r#"{{"message":"Hello, {username}! {rest}"}}"#)
    }
}

const fn row(
    now: &'static str,
    timezone: &'static str,
    leap_day: &'static str,
    born: &'static str,
    days: u16,
) -> Row {
    Row {
        now,
        timezone,
        leap_day,
        born,
        days,
    }
}

#[rustfmt::skip] // A row is a line.
pub const ROWS: &[Row] = &[
    row("2026-10-01T12:00:00Z", "UTC", "mar-1", "2000-10-01", 0),
    row("2026-09-30T12:00:00Z", "UTC", "mar-1", "2000-10-01", 1),
    row("2026-10-02T12:00:00Z", "UTC", "mar-1", "2000-10-01", 364),
    row("2027-02-28T12:00:00Z", "UTC", "mar-1", "2000-02-29", 1),
    row("2027-02-28T12:00:00Z", "UTC", "feb-28", "2000-02-29", 0),
    row("2027-03-01T12:00:00Z", "UTC", "mar-1", "2000-02-29", 0),
    // Only in common years, as the contract says: 2028 has a 29 February. (Its table has 364 here, as if the
    // rule applied to all years. Then the row for 2028-02-29 would be wrong.)
    row("2027-03-01T12:00:00Z", "UTC", "feb-28", "2000-02-29", 365),
    row("2026-03-01T12:00:00Z", "UTC", "feb-28", "2000-02-29", 364),
    row("2028-02-29T12:00:00Z", "UTC", "mar-1", "2000-02-29", 0),
    row("2028-02-29T12:00:00Z", "UTC", "feb-28", "2000-02-29", 0),
    row("2026-01-01T12:00:00Z", "UTC", "mar-1", "1990-12-31", 364),
    row("2027-12-31T12:00:00Z", "UTC", "mar-1", "1990-01-01", 1),
    // The day begins and ends at midnight in the time zone of the service.
    row("2026-09-30T23:59:59Z", "UTC", "mar-1", "2000-10-01", 1),
    row("2026-10-01T00:00:00Z", "UTC", "mar-1", "2000-10-01", 0),
    row("2026-09-30T21:59:59Z", "Europe/Berlin", "mar-1", "2000-10-01", 1),
    row("2026-09-30T22:00:00Z", "Europe/Berlin", "mar-1", "2000-10-01", 0),
    row("2026-10-02T06:59:59Z", "America/Los_Angeles", "mar-1", "2000-10-01", 0),
    row("2026-10-02T07:00:00Z", "America/Los_Angeles", "mar-1", "2000-10-01", 364),
    row("2026-09-30T10:00:00Z", "Pacific/Kiritimati", "mar-1", "2000-10-01", 0),
    // Summer time begins or ends in between. The count is still in whole days.
    row("2027-03-27T23:30:00Z", "Europe/Berlin", "mar-1", "2000-03-29", 1),
    row("2026-10-25T00:30:00Z", "Europe/Berlin", "mar-1", "2000-10-26", 1),
];
