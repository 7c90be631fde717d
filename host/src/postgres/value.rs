//! Values of the interface to and from the binary forms of Postgres (`src/backend/utils/adt`).
//!
//! | interface | Postgres |
//! |---|---|
//! | `str` | `text`, `varchar`, `bpchar`, `name`, enums and other types that travel as text |
//! | `datetime` | `timestamp`, `timestamptz` (in UTC) |
//! | `timestamp` | `timestamptz`, `timestamp` (parameters only) |
//! | `jsonb` | `jsonb`, `json` (`json` as parameter only: as result it is `unsupported`, as on Spin) |

use super::numeric;
use crate::bindings::spin::postgres::postgres::{
    DbDataType, DbValue, Interval, ParameterValue, RangeBoundKind,
};
use bytes::{Buf, BufMut, BytesMut};
use postgres_protocol::IsNull as ElementIsNull;
use postgres_protocol::types::{self as protocol, Range, RangeBound};
use std::error::Error as StdError;
use std::fmt;
use time::{Date, Month, Time};
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

type BoxError = Box<dyn StdError + Send + Sync>;

/// 2000-01-01, from which Postgres counts days and microseconds, as a Julian day and in Unix seconds.
const EPOCH_JULIAN_DAY: i32 = 2_451_545;
const EPOCH_UNIX_SECONDS: i64 = 946_684_800;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// The binary form of `jsonb` starts with this version number.
const JSONB_VERSION: u8 = 1;

/// Why a parameter cannot be sent. The text is for the component.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadParameter(pub String);

/// The type of a column, as the interface names it.
pub fn data_type(column: &Type) -> DbDataType {
    match *column {
        Type::BOOL => DbDataType::Boolean,
        Type::CHAR => DbDataType::Int8,
        Type::INT2 => DbDataType::Int16,
        Type::INT4 => DbDataType::Int32,
        Type::INT8 => DbDataType::Int64,
        Type::FLOAT4 => DbDataType::Floating32,
        Type::FLOAT8 => DbDataType::Floating64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => DbDataType::Str,
        Type::BYTEA => DbDataType::Binary,
        Type::DATE => DbDataType::Date,
        Type::TIME => DbDataType::Time,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DbDataType::Datetime,
        Type::UUID => DbDataType::Uuid,
        Type::JSONB => DbDataType::Jsonb,
        Type::NUMERIC => DbDataType::Decimal,
        Type::INT4_RANGE => DbDataType::RangeInt32,
        Type::INT8_RANGE => DbDataType::RangeInt64,
        Type::NUM_RANGE => DbDataType::RangeDecimal,
        Type::INT4_ARRAY => DbDataType::ArrayInt32,
        Type::INT8_ARRAY => DbDataType::ArrayInt64,
        Type::NUMERIC_ARRAY => DbDataType::ArrayDecimal,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => DbDataType::ArrayStr,
        Type::INTERVAL => DbDataType::Interval,
        ref other => DbDataType::Other(other.name().to_owned()),
    }
}

/// One field of a row, still in its binary form. `None` is NULL.
pub struct Field<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Field<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxError> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Field<'_> {
    /// The field as a value of the interface, given the type of its column.
    ///
    /// # Errors
    /// If the value has no place in the interface (an infinite date, a year beyond 999,999, an array of
    /// more than one dimension, …).
    pub fn value(&self, column: &Type) -> Result<DbValue, BoxError> {
        let Some(mut raw) = self.0 else {
            return Ok(DbValue::DbNull);
        };
        Ok(match *column {
            Type::BOOL => DbValue::Boolean(protocol::bool_from_sql(raw)?),
            Type::CHAR => DbValue::Int8(protocol::char_from_sql(raw)?),
            Type::INT2 => DbValue::Int16(protocol::int2_from_sql(raw)?),
            Type::INT4 => DbValue::Int32(protocol::int4_from_sql(raw)?),
            Type::INT8 => DbValue::Int64(protocol::int8_from_sql(raw)?),
            Type::FLOAT4 => DbValue::Floating32(protocol::float4_from_sql(raw)?),
            Type::FLOAT8 => DbValue::Floating64(protocol::float8_from_sql(raw)?),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => {
                DbValue::Str(protocol::text_from_sql(raw)?.to_owned())
            }
            Type::BYTEA => DbValue::Binary(raw.to_vec()),
            Type::DATE => DbValue::Date(date_parts(date_from_days(raw.try_get_i32()?)?)),
            Type::TIME => DbValue::Time(time_parts(raw.try_get_i64()?)?),
            Type::TIMESTAMP | Type::TIMESTAMPTZ => {
                DbValue::Datetime(datetime_parts(raw.try_get_i64()?)?)
            }
            Type::UUID => {
                let uuid = Uuid::from_bytes(protocol::uuid_from_sql(raw)?);
                DbValue::Uuid(uuid.hyphenated().to_string())
            }
            Type::JSONB => match raw.split_first() {
                Some((&JSONB_VERSION, json)) => DbValue::Jsonb(json.to_vec()),
                _ => return Err("jsonb of an unknown version".into()),
            },
            Type::NUMERIC => DbValue::Decimal(decimal(raw)?),
            Type::INT4_RANGE => {
                let (lower, upper) = range(raw, protocol::int4_from_sql)?;
                DbValue::RangeInt32((lower, upper))
            }
            Type::INT8_RANGE => {
                let (lower, upper) = range(raw, protocol::int8_from_sql)?;
                DbValue::RangeInt64((lower, upper))
            }
            Type::NUM_RANGE => {
                let (lower, upper) = range(raw, decimal)?;
                DbValue::RangeDecimal((lower, upper))
            }
            Type::INT4_ARRAY => DbValue::ArrayInt32(array(raw, protocol::int4_from_sql)?),
            Type::INT8_ARRAY => DbValue::ArrayInt64(array(raw, protocol::int8_from_sql)?),
            Type::NUMERIC_ARRAY => DbValue::ArrayDecimal(array(raw, decimal)?),
            Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => {
                let text = |raw: &[u8]| Ok(protocol::text_from_sql(raw)?.to_owned());
                DbValue::ArrayStr(array(raw, text)?)
            }
            Type::INTERVAL => DbValue::Interval(Interval {
                micros: raw.try_get_i64()?,
                days: raw.try_get_i32()?,
                months: raw.try_get_i32()?,
            }),
            _ => DbValue::Unsupported(raw.to_vec()),
        })
    }

    /// What the field takes up in the answer, in bytes.
    pub fn size(&self) -> usize {
        size_of::<DbValue>() + self.0.map_or(0, <[u8]>::len)
    }
}

fn decimal(raw: &[u8]) -> Result<String, BoxError> {
    numeric::decode(raw).ok_or_else(|| "a numeric in an unknown form".into())
}

fn array<T>(
    raw: &[u8],
    element: impl Fn(&[u8]) -> Result<T, BoxError>,
) -> Result<Vec<Option<T>>, BoxError> {
    use fallible_iterator::FallibleIterator;

    let array = protocol::array_from_sql(raw)?;
    if array.dimensions().count()? > 1 {
        return Err("an array of more than one dimension".into());
    }
    array
        .values()
        .map(|value| value.map(&element).transpose())
        .collect()
}

type Bound<T> = Option<(T, RangeBoundKind)>;

fn range<T>(
    raw: &[u8],
    value: impl Fn(&[u8]) -> Result<T, BoxError>,
) -> Result<(Bound<T>, Bound<T>), BoxError> {
    let bound = |bound: RangeBound<Option<&[u8]>>| -> Result<Bound<T>, BoxError> {
        let (raw, kind) = match bound {
            RangeBound::Inclusive(raw) => (raw, RangeBoundKind::Inclusive),
            RangeBound::Exclusive(raw) => (raw, RangeBoundKind::Exclusive),
            RangeBound::Unbounded => return Ok(None),
        };
        raw.map(|raw| Ok((value(raw)?, kind))).transpose()
    };
    match protocol::range_from_sql(raw)? {
        Range::Empty => Err("an empty range, for which the interface has no value".into()),
        Range::Nonempty(lower, upper) => Ok((bound(lower)?, bound(upper)?)),
    }
}

fn date_from_days(days: i32) -> Result<Date, BoxError> {
    let julian_day = days
        .checked_add(EPOCH_JULIAN_DAY)
        .ok_or("an infinite date")?;
    Date::from_julian_day(julian_day).map_err(|_| "a date out of range".into())
}

fn date_parts(date: Date) -> (i32, u8, u8) {
    (date.year(), date.month().into(), date.day())
}

/// Hour 24 is the end of the day, which Postgres tells from its beginning.
fn time_parts(micros: i64) -> Result<(u8, u8, u8, u32), BoxError> {
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

type DateTimeParts = (i32, u8, u8, u8, u8, u8, u32);

fn datetime_parts(micros: i64) -> Result<DateTimeParts, BoxError> {
    if micros == i64::MAX || micros == i64::MIN {
        return Err("an infinite timestamp".into());
    }
    let days = i32::try_from(micros.div_euclid(MICROS_PER_DAY))?;
    let (year, month, day) = date_parts(date_from_days(days)?);
    let (hour, minute, second, nanos) = time_parts(micros.rem_euclid(MICROS_PER_DAY))?;
    Ok((year, month, day, hour, minute, second, nanos))
}

/// A parameter, to be sent as the type that the statement asks for.
pub struct Parameter<'a>(pub &'a ParameterValue);

impl fmt::Debug for Parameter<'_> {
    /// The driver logs parameters for debugging: their values are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(type_name(self.0))
    }
}

impl ToSql for Parameter<'_> {
    to_sql_checked!();

    fn accepts(_: &Type) -> bool {
        // `to_sql` looks at value and type together.
        true
    }

    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        use ParameterValue as V;

        match (self.0, ty) {
            (V::DbNull, _) => return Ok(IsNull::Yes),
            (V::Boolean(value), &Type::BOOL) => protocol::bool_to_sql(*value, out),
            (V::Int8(value), &Type::CHAR) => protocol::char_to_sql(*value, out),
            (V::Int16(value), &Type::INT2) => protocol::int2_to_sql(*value, out),
            (V::Int32(value), &Type::INT4) => protocol::int4_to_sql(*value, out),
            (V::Int64(value), &Type::INT8) => protocol::int8_to_sql(*value, out),
            (V::Floating32(value), &Type::FLOAT4) => protocol::float4_to_sql(*value, out),
            (V::Floating64(value), &Type::FLOAT8) => protocol::float8_to_sql(*value, out),
            (V::Str(value), ty) if is_text(ty) => protocol::text_to_sql(value, out),
            (V::Binary(value), &Type::BYTEA) => protocol::bytea_to_sql(value, out),
            (V::Date(parts), &Type::DATE) => {
                let days = date(*parts)?.to_julian_day() - EPOCH_JULIAN_DAY;
                protocol::date_to_sql(days, out);
            }
            (V::Time(parts), &Type::TIME) => {
                protocol::time_to_sql(micros_of_day(time_of_day(*parts)?), out);
            }
            (V::Datetime(parts), &(Type::TIMESTAMP | Type::TIMESTAMPTZ)) => {
                protocol::timestamp_to_sql(datetime(*parts)?, out);
            }
            (V::Timestamp(seconds), &(Type::TIMESTAMP | Type::TIMESTAMPTZ)) => {
                protocol::timestamp_to_sql(timestamp(*seconds)?, out);
            }
            (V::Uuid(value), &Type::UUID) => {
                let uuid =
                    Uuid::parse_str(value).map_err(|_| bad(format!("{value:?} is no UUID")))?;
                protocol::uuid_to_sql(uuid.into_bytes(), out);
            }
            (V::Jsonb(json), &Type::JSONB) => {
                out.put_u8(JSONB_VERSION);
                out.put_slice(json);
            }
            (V::Jsonb(json), &Type::JSON) => out.put_slice(json),
            (V::Decimal(value), &Type::NUMERIC) => put_decimal(value, out)?,
            (V::RangeInt32((lower, upper)), &Type::INT4_RANGE) => {
                put_range(lower, upper, out, |value, out| {
                    protocol::int4_to_sql(*value, out);
                    Ok(())
                })?;
            }
            (V::RangeInt64((lower, upper)), &Type::INT8_RANGE) => {
                put_range(lower, upper, out, |value, out| {
                    protocol::int8_to_sql(*value, out);
                    Ok(())
                })?;
            }
            (V::RangeDecimal((lower, upper)), &Type::NUM_RANGE) => {
                put_range(lower, upper, out, |value, out| put_decimal(value, out))?;
            }
            (V::ArrayInt32(values), &Type::INT4_ARRAY) => {
                put_array(values, &Type::INT4, out, |value, out| {
                    protocol::int4_to_sql(*value, out);
                    Ok(())
                })?;
            }
            (V::ArrayInt64(values), &Type::INT8_ARRAY) => {
                put_array(values, &Type::INT8, out, |value, out| {
                    protocol::int8_to_sql(*value, out);
                    Ok(())
                })?;
            }
            (V::ArrayDecimal(values), &Type::NUMERIC_ARRAY) => {
                put_array(values, &Type::NUMERIC, out, |value, out| {
                    put_decimal(value, out)
                })?;
            }
            (V::ArrayStr(values), ty) => match ty.kind() {
                Kind::Array(element) if is_text(element) => {
                    put_array(values, element, out, |value, out| {
                        protocol::text_to_sql(value, out);
                        Ok(())
                    })?;
                }
                _ => return Err(mismatch(self.0, ty)),
            },
            (V::Interval(interval), &Type::INTERVAL) => {
                out.put_i64(interval.micros);
                out.put_i32(interval.days);
                out.put_i32(interval.months);
            }
            (value, ty) => return Err(mismatch(value, ty)),
        }
        Ok(IsNull::No)
    }
}

/// Types whose binary form is their text.
fn is_text(ty: &Type) -> bool {
    match ty.kind() {
        Kind::Enum(_) => true,
        Kind::Domain(base) => is_text(base),
        _ => {
            matches!(
                *ty,
                Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON
            ) || ty.name() == "citext"
        }
    }
}

fn date((year, month, day): (i32, u8, u8)) -> Result<Date, BoxError> {
    Month::try_from(month)
        .ok()
        .and_then(|month| Date::from_calendar_date(year, month, day).ok())
        .ok_or_else(|| bad(format!("there is no day {year}-{month}-{day}")))
}

fn time_of_day((hour, minute, second, nanos): (u8, u8, u8, u32)) -> Result<Time, BoxError> {
    Time::from_hms_nano(hour, minute, second, nanos).map_err(|_| {
        bad(format!(
            "there is no time {hour}:{minute}:{second} and {nanos} ns"
        ))
    })
}

fn micros_of_day(time: Time) -> i64 {
    (time - Time::MIDNIGHT).whole_microseconds() as i64
}

/// Microseconds since the epoch of Postgres.
fn datetime(parts: DateTimeParts) -> Result<i64, BoxError> {
    let (year, month, day, hour, minute, second, nanos) = parts;
    let days = i64::from(date((year, month, day))?.to_julian_day() - EPOCH_JULIAN_DAY);
    let micros = micros_of_day(time_of_day((hour, minute, second, nanos))?);
    days.checked_mul(MICROS_PER_DAY)
        .and_then(|day| day.checked_add(micros))
        .ok_or_else(|| bad(format!("the year {year} is out of range")))
}

/// Microseconds since the epoch of Postgres.
fn timestamp(unix_seconds: i64) -> Result<i64, BoxError> {
    unix_seconds
        .checked_sub(EPOCH_UNIX_SECONDS)
        .and_then(|seconds| seconds.checked_mul(MICROS_PER_SECOND))
        .ok_or_else(|| bad(format!("the timestamp {unix_seconds} is out of range")))
}

fn put_decimal(value: &str, out: &mut BytesMut) -> Result<(), BoxError> {
    numeric::encode(value, out).ok_or_else(|| bad(format!("{value:?} is no decimal number")))
}

fn put_array<T>(
    values: &[Option<T>],
    element: &Type,
    out: &mut BytesMut,
    put: impl Fn(&T, &mut BytesMut) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let dimension = protocol::ArrayDimension {
        len: i32::try_from(values.len())?,
        lower_bound: 1,
    };
    // An empty array has no dimensions.
    let dimensions = (!values.is_empty()).then_some(dimension);
    protocol::array_to_sql(
        dimensions,
        element.oid(),
        values,
        |value, out| match value {
            Some(value) => put(value, out).map(|()| ElementIsNull::No),
            None => Ok(ElementIsNull::Yes),
        },
        out,
    )
}

fn put_range<T>(
    lower: &Bound<T>,
    upper: &Bound<T>,
    out: &mut BytesMut,
    put: impl Fn(&T, &mut BytesMut) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let put_bound = |bound: &Bound<T>, out: &mut BytesMut| match bound {
        None => Ok(RangeBound::Unbounded),
        Some((value, kind)) => {
            put(value, out)?;
            Ok(match kind {
                RangeBoundKind::Inclusive => RangeBound::Inclusive(ElementIsNull::No),
                RangeBoundKind::Exclusive => RangeBound::Exclusive(ElementIsNull::No),
            })
        }
    };
    protocol::range_to_sql(
        |out| put_bound(lower, out),
        |out| put_bound(upper, out),
        out,
    )
}

fn bad(reason: String) -> BoxError {
    Box::new(BadParameter(reason))
}

fn mismatch(value: &ParameterValue, ty: &Type) -> BoxError {
    let given = type_name(value);
    bad(format!("{given} was given where Postgres expects {ty}"))
}

/// As the interface names it.
fn type_name(value: &ParameterValue) -> &'static str {
    use ParameterValue as V;

    match value {
        V::Boolean(_) => "boolean",
        V::Int8(_) => "int8",
        V::Int16(_) => "int16",
        V::Int32(_) => "int32",
        V::Int64(_) => "int64",
        V::Floating32(_) => "floating32",
        V::Floating64(_) => "floating64",
        V::Str(_) => "str",
        V::Binary(_) => "binary",
        V::Date(_) => "date",
        V::Time(_) => "time",
        V::Datetime(_) => "datetime",
        V::Timestamp(_) => "timestamp",
        V::Uuid(_) => "uuid",
        V::Jsonb(_) => "jsonb",
        V::Decimal(_) => "decimal",
        V::RangeInt32(_) => "range-int32",
        V::RangeInt64(_) => "range-int64",
        V::RangeDecimal(_) => "range-decimal",
        V::ArrayInt32(_) => "array-int32",
        V::ArrayInt64(_) => "array-int64",
        V::ArrayDecimal(_) => "array-decimal",
        V::ArrayStr(_) => "array-str",
        V::Interval(_) => "interval",
        V::DbNull => "db-null",
    }
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
        assert!(date_from_days(i32::MAX).is_err());
        assert!(date_from_days(i32::MIN).is_err());
        assert!(datetime_parts(i64::MAX).is_err());
    }

    #[test]
    fn the_end_of_the_day_is_24_hours() {
        assert_eq!(time_parts(MICROS_PER_DAY).unwrap(), (24, 0, 0, 0));
    }

    #[track_caller]
    fn check_refused(value: ParameterValue, ty: Type, reason: &str) {
        let error = Parameter(&value)
            .to_sql(&ty, &mut BytesMut::new())
            .err()
            .unwrap();
        assert!(error.is::<BadParameter>());
        assert_eq!(error.to_string(), reason);
    }

    #[test]
    fn parameters_that_do_not_fit_are_refused_with_the_reason() {
        check_refused(
            ParameterValue::Int32(1),
            Type::INT8,
            "int32 was given where Postgres expects int8",
        );
        check_refused(
            ParameterValue::Date((2001, 2, 29)),
            Type::DATE,
            "there is no day 2001-2-29",
        );
        check_refused(
            ParameterValue::Uuid("x".to_owned()),
            Type::UUID,
            "\"x\" is no UUID",
        );
    }
}
