//! Rows of Postgres as rows of the interface, from their binary forms (`src/backend/utils/adt`).
//!
//! `timestamp` and `timestamptz` become `datetime` (in UTC); `json` is `unsupported`, as on Spin.

use super::bindings::spin::postgres::postgres::{
    Column, DbDataType, DbValue, Error, Interval, RangeBoundKind, RowSet,
};
use super::datetime::{date_parts, datetime_parts, time_parts};
use super::error::BoxError;
use super::numeric;
use bytes::Buf;
use pipelined_postgres::Answer;
use postgres_protocol::types::{self as protocol, Range, RangeBound};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

/// The binary form of `jsonb` starts with this version number.
pub const JSONB_VERSION: u8 = 1;

/// The rows of `answer`.
///
/// # Errors
/// If a value has no counterpart in the interface.
pub fn row_set(answer: &Answer) -> Result<RowSet, Error> {
    let columns = answer.columns().iter().map(|column| Column {
        name: column.name().to_owned(),
        data_type: data_type(column.type_()),
    });
    let rows = answer.rows.iter().map(values);
    Ok(RowSet {
        columns: columns.collect(),
        rows: rows.collect::<Result<_, _>>()?,
    })
}

fn values(row: &Row) -> Result<Vec<DbValue>, Error> {
    let columns = row.columns().iter().enumerate();
    columns
        .map(|(index, column)| {
            let field: Field<'_> = row.get(index);
            field.value(column.type_()).map_err(|reason| {
                Error::ValueConversionFailed(format!("column {}: {reason}", column.name()))
            })
        })
        .collect()
}

/// The type of a column, as the interface names it.
fn data_type(column: &Type) -> DbDataType {
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
struct Field<'a>(Option<&'a [u8]>);

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
    /// If the value has no counterpart (an infinite date, a year beyond 999,999, an array of more than one dimension, …).
    fn value(&self, column: &Type) -> Result<DbValue, BoxError> {
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
            Type::DATE => DbValue::Date(date_parts(raw.try_get_i32()?)?),
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

pub type Bound<T> = Option<(T, RangeBoundKind)>;

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
