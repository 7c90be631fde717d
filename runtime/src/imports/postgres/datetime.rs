//! Days and times of the interface to and from the binary forms of Postgres (`src/backend/utils/adt/date.c` and
//! `timestamp.c`).

use super::error::{BoxError, bad_parameter as bad};
use time::{Date, Month, Time};

/// 2000-01-01, from which Postgres counts days and microseconds, as a Julian day and in Unix seconds.
const EPOCH_JULIAN_DAY: i32 = 2_451_545;
const EPOCH_UNIX_SECONDS: i64 = 946_684_800;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Year, month and day.
pub type DateParts = (i32, u8, u8);

/// Hour, minute, second and nanosecond.
pub type TimeParts = (u8, u8, u8, u32);

/// The parts of a day, then those of a time.
pub type DateTimeParts = (i32, u8, u8, u8, u8, u8, u32);

/// The day that is `days` after the epoch of Postgres.
pub fn date_parts(days: i32) -> Result<DateParts, BoxError> {
    let julian_day = days
        .checked_add(EPOCH_JULIAN_DAY)
        .ok_or("an infinite date")?;
    match Date::from_julian_day(julian_day) {
        Ok(date) => Ok(parts(date)),
        Err(_) => Err("a date out of range".into()),
    }
}

fn parts(date: Date) -> DateParts {
    (date.year(), date.month().into(), date.day())
}

/// The time that is `micros` after midnight. Hour 24 is the end of the day, which Postgres tells from its beginning.
pub fn time_parts(micros: i64) -> Result<TimeParts, BoxError> {
    let seconds = micros / MICROS_PER_SECOND;
    let nanos = u32::try_from(micros % MICROS_PER_SECOND)? * 1000;
    let hours = u8::try_from(seconds / 3600)?;
    Ok((
        hours,
        (seconds / 60 % 60) as u8,
        (seconds % 60) as u8,
        nanos,
    ))
}

/// The time that is `micros` after the epoch of Postgres.
pub fn datetime_parts(micros: i64) -> Result<DateTimeParts, BoxError> {
    if micros == i64::MAX || micros == i64::MIN {
        return Err("an infinite timestamp".into());
    }
    let days = i32::try_from(micros.div_euclid(MICROS_PER_DAY))?;
    let (year, month, day) = date_parts(days)?;
    let (hour, minute, second, nanos) = time_parts(micros.rem_euclid(MICROS_PER_DAY))?;
    Ok((year, month, day, hour, minute, second, nanos))
}

fn date((year, month, day): DateParts) -> Result<Date, BoxError> {
    Month::try_from(month)
        .ok()
        .and_then(|month| Date::from_calendar_date(year, month, day).ok())
        .ok_or_else(|| bad(format!("there is no day {year}-{month}-{day}")))
}

/// Microseconds since midnight.
pub fn micros_of_day((hour, minute, second, nanos): TimeParts) -> Result<i64, BoxError> {
    let time = Time::from_hms_nano(hour, minute, second, nanos).map_err(|_| {
        bad(format!(
            "there is no time {hour}:{minute}:{second} and {nanos} ns"
        ))
    })?;
    Ok((time - Time::MIDNIGHT).whole_microseconds() as i64)
}

/// Days since the epoch of Postgres.
pub fn days(parts: DateParts) -> Result<i32, BoxError> {
    Ok(date(parts)?.to_julian_day() - EPOCH_JULIAN_DAY)
}

/// Microseconds since the epoch of Postgres.
pub fn datetime(parts: DateTimeParts) -> Result<i64, BoxError> {
    let (year, month, day, hour, minute, second, nanos) = parts;
    let days = i64::from(days((year, month, day))?);
    let micros = micros_of_day((hour, minute, second, nanos))?;
    days.checked_mul(MICROS_PER_DAY)
        .and_then(|day| day.checked_add(micros))
        .ok_or_else(|| bad(format!("the year {year} is out of range")))
}

/// Microseconds since the epoch of Postgres.
pub fn timestamp(unix_seconds: i64) -> Result<i64, BoxError> {
    unix_seconds
        .checked_sub(EPOCH_UNIX_SECONDS)
        .and_then(|seconds| seconds.checked_mul(MICROS_PER_SECOND))
        .ok_or_else(|| bad(format!("the timestamp {unix_seconds} is out of range")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_datetime(micros: i64, expected: DateTimeParts) {
        assert_eq!(datetime_parts(micros).unwrap(), expected);
        assert_eq!(datetime(expected).unwrap(), micros);
    }

    #[test]
    fn datetimes_before_and_after_the_epoch() {
        check_datetime(0, (2000, 1, 1, 0, 0, 0, 0));
        check_datetime(-1, (1999, 12, 31, 23, 59, 59, 999_999_000));
        check_datetime(MICROS_PER_DAY + 1, (2000, 1, 2, 0, 0, 0, 1000));
    }

    #[test]
    fn timestamps_are_unix_seconds() {
        assert_eq!(timestamp(EPOCH_UNIX_SECONDS).unwrap(), 0);
        assert_eq!(
            timestamp(1).unwrap(),
            datetime((1970, 1, 1, 0, 0, 1, 0)).unwrap()
        );
        assert!(timestamp(i64::MAX).is_err());
    }

    #[test]
    fn infinity_is_no_date() {
        assert!(date_parts(i32::MAX).is_err());
        assert!(date_parts(i32::MIN).is_err());
        assert!(datetime_parts(i64::MAX).is_err());
    }

    #[test]
    fn the_end_of_the_day_is_24_hours() {
        assert_eq!(time_parts(MICROS_PER_DAY).unwrap(), (24, 0, 0, 0));
    }
}
