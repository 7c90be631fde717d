//! `spin:postgres@4.0.0`: every value, every error, and the effects of a session.

use crate::{Outcome, debug, same};
use spin_sdk::wit::pg4::{
    Connection, DbDataType as Type, DbValue, Error, Interval, ParameterValue as P, QueryError,
    RangeBoundKind::{Exclusive, Inclusive},
};
use std::cell::Cell;

/// Answers a request. Its query is the address of the database; without one it is the `known` one.
pub fn handle(path: &str, known: impl FnOnce() -> Outcome) -> Outcome {
    let (path, address) = match path.split_once('?') {
        Some((path, address)) => (path, address.to_owned()),
        None => (path, known()?),
    };
    match path {
        "/postgres" => check_values(&address),
        "/postgres-connect" => connect(&address),
        "/postgres-errors" => check_errors(&address),
        "/postgres-kept" => kept(&address),
        "/postgres-many" => many(&address),
        "/postgres-nested" => nested(&address),
        "/postgres-one" => one(&address),
        "/postgres-sessions" => check_sessions(&address),
        "/postgres-sleep" => sleep(&address),
        _ => Err(format!("no such path: {path}")),
    }
}

fn open(address: &str) -> Result<Connection, String> {
    Connection::open(address).map_err(debug)
}

/// Sends each value as a parameter and gets it back.
fn check_values(address: &str) -> Outcome {
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let many_digits =
        "123456789012345678901234567890123456789.000000000000000000000000000000000012345";
    let interval = Interval {
        micros: -5,
        days: 4,
        months: -3,
    };
    let values = [
        (
            "boolean",
            P::Boolean(true),
            DbValue::Boolean(true),
            Type::Boolean,
        ),
        ("\"char\"", P::Int8(-7), DbValue::Int8(-7), Type::Int8),
        (
            "smallint",
            P::Int16(i16::MIN),
            DbValue::Int16(i16::MIN),
            Type::Int16,
        ),
        (
            "int",
            P::Int32(i32::MAX),
            DbValue::Int32(i32::MAX),
            Type::Int32,
        ),
        (
            "bigint",
            P::Int64(i64::MIN),
            DbValue::Int64(i64::MIN),
            Type::Int64,
        ),
        (
            "real",
            P::Floating32(1.5),
            DbValue::Floating32(1.5),
            Type::Floating32,
        ),
        (
            "float8",
            P::Floating64(-0.1),
            DbValue::Floating64(-0.1),
            Type::Floating64,
        ),
        (
            "text",
            P::Str("ü 🎂".into()),
            DbValue::Str("ü 🎂".into()),
            Type::Str,
        ),
        (
            "varchar",
            P::Str("v".into()),
            DbValue::Str("v".into()),
            Type::Str,
        ),
        (
            "char(3)",
            P::Str("c".into()),
            DbValue::Str("c  ".into()),
            Type::Str,
        ),
        (
            "name",
            P::Str("n".into()),
            DbValue::Str("n".into()),
            Type::Str,
        ),
        (
            "bytea",
            P::Binary(vec![0, 255]),
            DbValue::Binary(vec![0, 255]),
            Type::Binary,
        ),
        (
            "date",
            P::Date((1, 1, 1)),
            DbValue::Date((1, 1, 1)),
            Type::Date,
        ),
        (
            "date",
            P::Date((-43, 3, 15)),
            DbValue::Date((-43, 3, 15)),
            Type::Date,
        ),
        (
            "time",
            P::Time((23, 59, 59, 999_999_000)),
            DbValue::Time((23, 59, 59, 999_999_000)),
            Type::Time,
        ),
        (
            "timestamp",
            P::Datetime((1969, 12, 31, 23, 59, 59, 1000)),
            DbValue::Datetime((1969, 12, 31, 23, 59, 59, 1000)),
            Type::Datetime,
        ),
        (
            "timestamptz",
            P::Datetime((2026, 11, 21, 1, 2, 3, 0)),
            DbValue::Datetime((2026, 11, 21, 1, 2, 3, 0)),
            Type::Datetime,
        ),
        (
            "timestamptz",
            P::Timestamp(86_400),
            DbValue::Datetime((1970, 1, 2, 0, 0, 0, 0)),
            Type::Datetime,
        ),
        (
            "uuid",
            P::Uuid(uuid.into()),
            DbValue::Uuid(uuid.into()),
            Type::Uuid,
        ),
        (
            "jsonb",
            P::Jsonb(b"{\"a\": [1]}".into()),
            DbValue::Jsonb(b"{\"a\": [1]}".into()),
            Type::Jsonb,
        ),
        (
            "numeric",
            P::Decimal(many_digits.into()),
            DbValue::Decimal(many_digits.into()),
            Type::Decimal,
        ),
        (
            "numeric",
            P::Decimal("-0.10".into()),
            DbValue::Decimal("-0.10".into()),
            Type::Decimal,
        ),
        (
            "numeric",
            P::Decimal("NaN".into()),
            DbValue::Decimal("NaN".into()),
            Type::Decimal,
        ),
        (
            "int4range",
            P::RangeInt32((Some((1, Inclusive)), Some((5, Exclusive)))),
            DbValue::RangeInt32((Some((1, Inclusive)), Some((5, Exclusive)))),
            Type::RangeInt32,
        ),
        (
            "int8range",
            P::RangeInt64((None, Some((5, Inclusive)))),
            DbValue::RangeInt64((None, Some((6, Exclusive)))),
            Type::RangeInt64,
        ),
        (
            "numrange",
            P::RangeDecimal((Some(("1.5".into(), Exclusive)), None)),
            DbValue::RangeDecimal((Some(("1.5".into(), Exclusive)), None)),
            Type::RangeDecimal,
        ),
        (
            "int4[]",
            P::ArrayInt32(vec![Some(1), None]),
            DbValue::ArrayInt32(vec![Some(1), None]),
            Type::ArrayInt32,
        ),
        (
            "int8[]",
            P::ArrayInt64(vec![]),
            DbValue::ArrayInt64(vec![]),
            Type::ArrayInt64,
        ),
        (
            "numeric[]",
            P::ArrayDecimal(vec![Some("1.50".into()), None]),
            DbValue::ArrayDecimal(vec![Some("1.50".into()), None]),
            Type::ArrayDecimal,
        ),
        (
            "text[]",
            P::ArrayStr(vec![Some("a,\"b".into()), None, Some(String::new())]),
            DbValue::ArrayStr(vec![Some("a,\"b".into()), None, Some(String::new())]),
            Type::ArrayStr,
        ),
        (
            "interval",
            P::Interval(interval),
            DbValue::Interval(interval),
            Type::Interval,
        ),
        ("text", P::DbNull, DbValue::DbNull, Type::Str),
        (
            "inet",
            P::DbNull,
            DbValue::DbNull,
            Type::Other("inet".into()),
        ),
    ];
    let connection = open(address)?;
    for (name, sent, expected, data_type) in values {
        let statement = format!("SELECT $1::{name} AS value");
        let mut set = connection
            .query(&statement, &[sent])
            .map_err(|error| format!("{name}: {error:?}"))?;
        let value = set.rows.pop().and_then(|mut row| row.pop());
        same(name, value, Some(expected))?;
        let column = set.columns.pop().ok_or("no column")?;
        same(name, column.data_type, data_type)?;
        same(name, column.name, "value".to_owned())?;
    }
    // A type without a value of its own arrives as its bytes.
    let set = connection
        .query("SELECT '127.0.0.1'::inet", &[])
        .map_err(debug)?;
    match &set.rows[0][0] {
        DbValue::Unsupported(bytes) if bytes.ends_with(&[127, 0, 0, 1]) => {}
        other => return Err(format!("inet: {other:?}")),
    }
    let set = connection
        .query("SELECT 1 AS a WHERE false", &[])
        .map_err(debug)?;
    same("rows of nothing", set.rows.len(), 0)?;
    same("columns of nothing", set.columns.len(), 1)?;
    let set = connection
        .query(
            "SELECT number, number % 2 = 0 FROM generate_series(1, 1000) AS number",
            &[],
        )
        .map_err(debug)?;
    same("many rows", set.rows.len(), 1000)?;
    Ok("ok".to_owned())
}

/// Provokes each kind of error.
fn check_errors(address: &str) -> Outcome {
    let connection = open(address)?;
    let code = |statement: &str, parameters: &[P]| match connection.query(statement, parameters) {
        Err(Error::QueryFailed(QueryError::DbError(error))) => error.code,
        Err(Error::BadParameter(_)) => "bad-parameter".to_owned(),
        Err(Error::ValueConversionFailed(_)) => "value-conversion-failed".to_owned(),
        Err(Error::Other(_)) => "other".to_owned(),
        other => debug(other),
    };
    for (statement, parameters, expected) in [
        ("SELEC 1", vec![], "42601"),
        ("SELECT * FROM nowhere_to_be_found", vec![], "42P01"),
        ("SELECT 1 / 0", vec![], "22012"),
        ("SELECT $1::int", vec![], "bad-parameter"),
        ("SELECT 1", vec![P::Int32(1)], "bad-parameter"),
        ("SELECT $1::int", vec![P::Str("1".into())], "bad-parameter"),
        (
            "SELECT $1::uuid",
            vec![P::Uuid("no".into())],
            "bad-parameter",
        ),
        (
            "SELECT $1::date",
            vec![P::Date((2001, 2, 29))],
            "bad-parameter",
        ),
        ("SELECT 'infinity'::date", vec![], "value-conversion-failed"),
        (
            "SELECT 'empty'::int4range",
            vec![],
            "value-conversion-failed",
        ),
        ("SELECT ARRAY[[1], [2]]", vec![], "value-conversion-failed"),
        (
            "SELECT repeat('x', 1000000) FROM generate_series(1, 100)",
            vec![],
            "other",
        ),
    ] {
        same(statement, code(statement, &parameters), expected.to_owned())?;
    }
    match connection.execute("INSERT INTO checked VALUES (-1)", &[]) {
        Err(Error::QueryFailed(QueryError::DbError(error))) => {
            same("a check", error.code.as_str(), "23514")?;
            same("its severity", error.severity.as_str(), "ERROR")?;
            let extra = |wanted: &str| error.extras.iter().find(|(name, _)| name == wanted);
            if extra("constraint").is_none() || extra("table").is_none() || error.detail.is_none() {
                return Err(format!("a check without its details: {error:?}"));
            }
        }
        other => return Err(format!("a check: {other:?}")),
    }
    // An error leaves the connection as it was.
    connection.query("SELECT 1", &[]).map_err(debug)?;
    match Connection::open("postgres://nobody@127.0.0.1:1/nothing") {
        Err(Error::ConnectionFailed(_)) => {}
        other => return Err(format!("nobody listens: {other:?}")),
    }
    for address in [
        "postgres://",
        "mysql://a@b/c",
        "postgres://a@b/c?sslmode=perhaps",
    ] {
        match Connection::open(address) {
            Err(Error::BadParameter(_)) => {}
            other => return Err(format!("{address}: {other:?}")),
        }
    }
    let long = format!("SELECT 1{}", "+1".repeat(50_000));
    match connection.query(&long, &[]) {
        // The server has its own limit.
        Ok(_) | Err(Error::QueryFailed(QueryError::DbError(_))) => {}
        other => return Err(format!("a long statement: {other:?}")),
    }
    Ok("ok".to_owned())
}

/// The session of one connection does not affect another connection, and ends when it is closed.
fn check_sessions(address: &str) -> Outcome {
    let (one, two) = (open(address)?, open(address)?);
    let run = |connection: &Connection, statement: &str| {
        connection
            .execute(statement, &[])
            .map_err(|error| format!("{statement}: {error:?}"))
    };
    let number = |connection: &Connection, statement: &str| {
        let set = connection
            .query(statement, &[])
            .map_err(|error| format!("{statement}: {error:?}"))?;
        match set.rows[0][0] {
            DbValue::Int64(number) => Ok(number),
            ref other => Err(format!("{statement}: {other:?}")),
        }
    };
    const COUNT: &str = "SELECT count(*) FROM counted";

    run(&one, "DELETE FROM counted")?;
    run(&one, "BEGIN")?;
    same(
        "rows inserted",
        run(&one, "INSERT INTO counted VALUES (1), (2)")?,
        2,
    )?;
    same("its own rows", number(&one, COUNT)?, 2)?;
    same("rows of another's transaction", number(&two, COUNT)?, 0)?;
    run(&one, "ROLLBACK")?;
    same("rows rolled back", number(&one, COUNT)?, 0)?;

    // A connection that is closed in a transaction, with a setting and a temporary table.
    run(&one, "SET application_name TO 'left behind'")?;
    run(&one, "CREATE TEMP TABLE left_behind (a int)")?;
    run(&one, "BEGIN")?;
    run(&one, "INSERT INTO counted VALUES (3)")?;
    drop(one);
    for _ in 0..20 {
        let next = open(address)?;
        run(&next, "BEGIN")?;
        let left = number(
            &next,
            "SELECT count(*) FROM pg_class WHERE relname = 'left_behind' \
             AND pg_table_is_visible(oid)",
        )?;
        same("temporary tables left behind", left, 0)?;
        let left = number(
            &next,
            "SELECT count(*) FROM pg_settings \
             WHERE name = 'application_name' AND setting = 'left behind'",
        )?;
        same("settings left behind", left, 0)?;
        run(&next, "COMMIT")?;
    }
    same("rows never committed", number(&two, COUNT)?, 0)?;

    // Types that the driver looks up in one session after the other.
    for name in ["mood_one", "mood_two", "mood_three"] {
        let connection = open(address)?;
        run(&connection, "BEGIN")?;
        connection
            .query(&format!("SELECT NULL::{name}"), &[])
            .map_err(|error| format!("{name}: {error:?}"))?;
        run(&connection, "COMMIT")?;
        run(&connection, "PREPARE left_behind AS SELECT 1")?;
        drop(connection);
        let next = open(address)?;
        run(&next, "BEGIN")?;
        run(&next, "PREPARE left_behind AS SELECT 1")?;
        run(&next, "COMMIT")?;
    }

    // A prepared statement whose table has changed under it.
    run(&two, "CREATE TABLE IF NOT EXISTS changing (a int)")?;
    two.query("SELECT * FROM changing", &[]).map_err(debug)?;
    run(&two, "ALTER TABLE changing ADD COLUMN IF NOT EXISTS b int")?;
    let three = open(address)?;
    let set = three.query("SELECT * FROM changing", &[]).map_err(debug)?;
    same("columns of a changed table", set.columns.len(), 2)?;
    run(&three, "DROP TABLE changing")?;
    Ok("ok".to_owned())
}

/// A long statement over a shared connection.
fn sleep(address: &str) -> Outcome {
    let set = open(address)?
        .query("SELECT count(*) FROM slow", &[])
        .map_err(debug)?;
    Ok(debug(set.rows))
}

/// Reads the table `nested`, whatever its columns are.
fn nested(address: &str) -> Outcome {
    let set = open(address)?
        .query("SELECT * FROM nested", &[])
        .map_err(debug)?;
    Ok(set.columns.len().to_string())
}

/// Opens a connection to another server.
fn connect(address: &str) -> Outcome {
    open(address).map(|_| "connected".to_owned())
}

fn one(address: &str) -> Outcome {
    let set = open(address)?.query("SELECT 1", &[]).map_err(debug)?;
    Ok(debug(set.rows))
}

/// A statement over the connection that an earlier request has opened, if it did not fail. Returns the number of its session.
fn kept(address: &str) -> Outcome {
    thread_local! {
        static KEPT: Cell<Option<Connection>> = const { Cell::new(None) };
    }
    let connection = KEPT.take().map_or_else(|| open(address), Ok)?;
    let set = connection
        .query("SELECT pg_backend_pid()", &[])
        .map_err(debug)?;
    KEPT.set(Some(connection));
    Ok(debug(set.rows))
}

/// Opens connections until one is refused; returns how many were open then.
fn many(address: &str) -> Outcome {
    let mut open = Vec::new();
    loop {
        match Connection::open(address) {
            Ok(connection) if open.len() < 1000 => open.push(connection),
            Ok(_) => return Err("connections can be opened without end".to_owned()),
            Err(Error::ConnectionFailed(_)) => return Ok(open.len().to_string()),
            Err(error) => return Err(debug(error)),
        }
    }
}
