//! Parameters of the interface in the binary forms of Postgres (`src/backend/utils/adt`).
//!
//! | interface | Postgres |
//! |---|---|
//! | `str` | `text`, `varchar`, `bpchar`, `name`, enums and other types that travel as text |
//! | `datetime` | `timestamp`, `timestamptz` (in UTC) |
//! | `timestamp` | `timestamptz`, `timestamp` |
//! | `jsonb` | `jsonb`, `json` |

use super::bindings::spin::postgres::postgres::{ParameterValue, RangeBoundKind};
use super::datetime::{datetime, days, micros_of_day, timestamp};
use super::error::{BoxError, bad_parameter as bad};
use super::numeric;
use super::value::{Bound, JSONB_VERSION};
use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull as ElementIsNull;
use postgres_protocol::types::{self as protocol, RangeBound};
use std::fmt;
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

/// A parameter, to be sent as the type that the statement asks for.
#[derive(Clone)]
pub struct Parameter(ParameterValue);

/// All parameters of a statement. (The vector is reused, because the values are the same in memory.)
pub fn all(values: Vec<ParameterValue>) -> Vec<Parameter> {
    values.into_iter().map(Parameter).collect()
}

impl fmt::Debug for Parameter {
    /// Only the type: the driver logs parameters for debugging, and values are not for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(type_name(&self.0))
    }
}

impl pipelined_postgres::Parameter for Parameter {
    /// Types that stand for several of the server's are left to it: their binary forms are the same.
    fn sent_as(&self) -> Type {
        use ParameterValue as V;

        match &self.0 {
            V::DbNull | V::Str(_) | V::Datetime(_) | V::Timestamp(_) => Type::UNKNOWN,
            V::Boolean(_) => Type::BOOL,
            V::Int8(_) => Type::CHAR,
            V::Int16(_) => Type::INT2,
            V::Int32(_) => Type::INT4,
            V::Int64(_) => Type::INT8,
            V::Floating32(_) => Type::FLOAT4,
            V::Floating64(_) => Type::FLOAT8,
            V::Binary(_) => Type::BYTEA,
            V::Date(_) => Type::DATE,
            V::Time(_) => Type::TIME,
            V::Uuid(_) => Type::UUID,
            V::Jsonb(_) => Type::JSONB,
            V::Decimal(_) => Type::NUMERIC,
            V::RangeInt32(_) => Type::INT4_RANGE,
            V::RangeInt64(_) => Type::INT8_RANGE,
            V::RangeDecimal(_) => Type::NUM_RANGE,
            V::ArrayInt32(_) => Type::INT4_ARRAY,
            V::ArrayInt64(_) => Type::INT8_ARRAY,
            V::ArrayDecimal(_) => Type::NUMERIC_ARRAY,
            V::ArrayStr(_) => Type::TEXT_ARRAY,
            V::Interval(_) => Type::INTERVAL,
        }
    }
}

impl ToSql for Parameter {
    to_sql_checked!();

    fn accepts(_: &Type) -> bool {
        // `to_sql` looks at value and type together.
        true
    }

    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        use ParameterValue as V;

        match (&self.0, ty) {
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
                protocol::date_to_sql(days(*parts)?, out);
            }
            (V::Time(parts), &Type::TIME) => {
                protocol::time_to_sql(micros_of_day(*parts)?, out);
            }
            (V::Datetime(parts), &(Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::UNKNOWN)) => {
                protocol::timestamp_to_sql(datetime(*parts)?, out);
            }
            (V::Timestamp(seconds), &(Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::UNKNOWN)) => {
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
                _ => return Err(mismatch(&self.0, ty)),
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
fn is_text(mut ty: &Type) -> bool {
    while let Kind::Domain(base) = ty.kind() {
        ty = base;
    }
    let is_known = matches!(
        *ty,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON
    );
    is_known || matches!(ty.kind(), Kind::Enum(_)) || ty.name() == "citext"
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
    use crate::imports::postgres::error::BadParameter;

    #[track_caller]
    fn check_refused(value: ParameterValue, ty: Type, reason: &str) {
        let error = Parameter(value)
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
