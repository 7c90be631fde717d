//! Which statements may share a connection with those of other instances.
//!
//! A statement may if nothing that comes after it in the same session can tell that it was there, apart
//! from the rows that it changed and committed. Whatever is not known to be of that kind is not.

use super::link::MAX_REMEMBERED_BYTES;
use sqlparser::ast::{
    CreateTable, Expr, Insert, ObjectName, Query, SetExpr, Statement, TableFactor, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};
use std::ops::ControlFlow;

/// `sql` with `?` for every value that is written into it, and without comments, for those who may know what
/// was asked but not about whom. `None` if it cannot be told what is a value.
pub fn without_values(sql: &str) -> Option<String> {
    if sql.len() > MAX_REMEMBERED_BYTES {
        return None;
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize().ok()?;
    let texts = tokens.iter().map(|token| match token {
        Token::Whitespace(_) => " ".to_owned(),
        Token::Number(..)
        | Token::Char(_)
        | Token::SingleQuotedString(_)
        | Token::TripleSingleQuotedString(_)
        | Token::TripleDoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::TripleSingleQuotedByteStringLiteral(_)
        | Token::TripleDoubleQuotedByteStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_)
        | Token::DoubleQuotedRawStringLiteral(_)
        | Token::TripleSingleQuotedRawStringLiteral(_)
        | Token::TripleDoubleQuotedRawStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::QuoteDelimitedStringLiteral(_)
        | Token::NationalQuoteDelimitedStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => "?".to_owned(),
        other => other.to_string(),
    });
    Some(texts.collect())
}

/// What a statement may be done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only reads: it may share a connection, and be run again whatever happened to it.
    Read,
    /// It changes rows, and does nothing else: it may share a connection, and a transaction with others of its
    /// kind.
    Change,
    /// It changes or locks rows or tables in a transaction of its own: it may share a connection.
    Write,
    /// It may change its session, or the outcome depends on it: it needs a connection of its own.
    Session,
}

impl Kind {
    pub fn of(sql: &str) -> Self {
        let Ok(statements) = Parser::parse_sql(&PostgreSqlDialect {}, sql) else {
            return Self::Session;
        };
        let [statement] = statements.as_slice() else {
            return Self::Session;
        };
        let kind = match statement {
            Statement::Query(query) => kind_of_query(query),
            Statement::Insert(Insert { .. })
            | Statement::Update { .. }
            | Statement::Delete { .. } => Self::Change,
            Statement::CreateTable(CreateTable {
                temporary: false, ..
            }) => Self::Write,
            _ => Self::Session,
        };
        match statement.visit(&mut Traces) {
            ControlFlow::Continue(()) => kind,
            ControlFlow::Break(()) => Self::Session,
        }
    }
}

fn kind_of_query(query: &Query) -> Kind {
    let in_with = query.with.iter().flat_map(|with| &with.cte_tables);
    let all_read = in_with
        .map(|table| kind_of_query(&table.query))
        .chain([kind_of_body(&query.body)])
        .all(|kind| kind == Kind::Read);
    // Locks are let go with the transaction, which is the statement's own.
    if all_read && query.locks.is_empty() {
        Kind::Read
    } else {
        Kind::Write
    }
}

fn kind_of_body(body: &SetExpr) -> Kind {
    match body {
        SetExpr::Select(select) if select.into.is_none() => Kind::Read,
        SetExpr::Query(query) => kind_of_query(query),
        SetExpr::SetOperation { left, right, .. } => {
            match (kind_of_body(left), kind_of_body(right)) {
                (Kind::Read, Kind::Read) => Kind::Read,
                _ => Kind::Write,
            }
        }
        SetExpr::Values(_) | SetExpr::Table(_) => Kind::Read,
        _ => Kind::Write,
    }
}

/// Looks for what may leave a trace in the session, and stops there.
struct Traces;

impl Visitor for Traces {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        match query.body.as_ref() {
            // SELECT INTO may make a temporary table.
            SetExpr::Select(select) if select.into.is_some() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table {
                name,
                args: Some(_),
                ..
            } => allow_function(name),
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::UNNEST { .. } => ControlFlow::Continue(()),
            TableFactor::Function { name, .. } => allow_function(name),
            _ => ControlFlow::Break(()),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        // Temporary tables are seen by their session alone; others may hide behind any name, but then
        // the statement that made them has already taken a connection of its own.
        let schema = relation.0.first().map(ToString::to_string);
        match schema {
            Some(schema) if schema.to_ascii_lowercase().contains("pg_temp") => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Function(function) => allow_function(&function.name),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn allow_function(name: &ObjectName) -> ControlFlow<()> {
    let name = name.to_string().to_ascii_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    if FUNCTIONS_WITHOUT_TRACE.binary_search(&name).is_ok() {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

/// Functions of Postgres that neither read nor change the state of a session, sorted; but for those with a name
/// that applications are likely to give to functions of their own. A function that is not here costs a
/// statement its place on the shared connections, nothing else.
const FUNCTIONS_WITHOUT_TRACE: &[&str] = &[
    "abs",
    "any_value",
    "array_agg",
    "array_append",
    "array_length",
    "array_position",
    "array_remove",
    "array_to_string",
    "avg",
    "bool_and",
    "bool_or",
    "btrim",
    "cardinality",
    "ceil",
    "ceiling",
    "char_length",
    "clock_timestamp",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "current_date",
    "current_time",
    "current_timestamp",
    "date_part",
    "date_trunc",
    "decode",
    "dense_rank",
    "encode",
    "exp",
    "first_value",
    "floor",
    "gen_random_uuid",
    "generate_series",
    "greatest",
    "initcap",
    "int4range",
    "int8range",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "jsonb_agg",
    "jsonb_array_elements",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_set",
    "lag",
    "last_value",
    "lead",
    "least",
    "left",
    "length",
    "ln",
    "localtime",
    "localtimestamp",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "make_timestamp",
    "max",
    "md5",
    "min",
    "mod",
    "now",
    "ntile",
    "nullif",
    "numrange",
    "octet_length",
    "power",
    "rank",
    "regexp_match",
    "regexp_replace",
    "repeat",
    "reverse",
    "right",
    "round",
    "row_number",
    "row_to_json",
    "rpad",
    "rtrim",
    "sign",
    "split_part",
    "sqrt",
    "starts_with",
    "statement_timestamp",
    "string_agg",
    "string_to_array",
    "substr",
    "substring",
    "sum",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "translate",
    "trim",
    "trunc",
    "unnest",
    "upper",
    "version",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: Kind) {
        assert_eq!(Kind::of(sql), expected, "{sql}");
    }

    #[test]
    fn functions_are_sorted() {
        assert!(FUNCTIONS_WITHOUT_TRACE.is_sorted());
    }

    #[test]
    fn reads_may_share_and_repeat() {
        for sql in [
            "SELECT 1",
            "SELECT (SELECT date_of_birth FROM people WHERE username = $1)",
            "select count(*), max(a) from t join u using (id) where b in (select c from d)",
            "WITH a AS (SELECT 1) SELECT * FROM a UNION ALL SELECT 2",
            "SELECT * FROM generate_series(1, 3)",
            "VALUES (1), (2)",
        ] {
            check(sql, Kind::Read);
        }
    }

    #[test]
    fn changes_may_share_a_transaction() {
        for sql in [
            "INSERT INTO people (username, date_of_birth) VALUES ($1, $2) \
             ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth",
            "UPDATE t SET a = a + 1 WHERE id = $1 RETURNING a",
            "DELETE FROM t",
        ] {
            check(sql, Kind::Change);
        }
    }

    #[test]
    fn other_writes_may_share_a_connection() {
        for sql in [
            "CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY CHECK (id > 0))",
            "SELECT * FROM t FOR UPDATE",
            "WITH gone AS (DELETE FROM t RETURNING *) SELECT count(*) FROM gone",
        ] {
            check(sql, Kind::Write);
        }
    }

    #[test]
    fn whatever_touches_the_session_has_a_connection_of_its_own() {
        for sql in [
            "BEGIN",
            "COMMIT",
            "START TRANSACTION",
            "SET search_path TO x",
            "PREPARE p AS SELECT 1",
            "LISTEN x",
            "LOCK TABLE t",
            "CREATE TEMP TABLE t (a int)",
            "CREATE TEMPORARY TABLE t AS SELECT 1",
            "SELECT 1 INTO TEMP t",
            "DECLARE c CURSOR FOR SELECT 1",
            "SELECT set_config('a.b', 'c', false)",
            "SELECT pg_catalog.set_config('a.b', 'c', false)",
            "SELECT pg_advisory_lock(1)",
            "SELECT * FROM pg_advisory_lock(1)",
            "SELECT a FROM t WHERE pg_try_advisory_lock(a)",
            "SELECT (SELECT pg_advisory_lock(1))",
            "INSERT INTO t SELECT nextval('s')",
            "SELECT lastval()",
            "SELECT current_setting('a.b')",
            "SELECT \"Lower\"('x')",
            "SELECT mine.lower('x')",
            "SELECT * FROM pg_temp.t",
            "SELECT pg_sleep(1)",
            "SELECT 1; SELECT 2",
            "this is no SQL",
            "",
        ] {
            check(sql, Kind::Session);
        }
    }

    #[test]
    fn a_statement_can_be_told_without_its_values() {
        for (sql, told) in [
            ("SELECT 1", "SELECT ?"),
            (
                "INSERT INTO people (username) VALUES ($1) -- for bob",
                "INSERT INTO people (username) VALUES ($1)  ",
            ),
            (
                "SELECT \"born\" FROM people WHERE username='bob' AND born > E'2000\\n' OR x=$$bob$$",
                "SELECT \"born\" FROM people WHERE username=? AND born > ? OR x=?",
            ),
        ] {
            assert_eq!(without_values(sql).as_deref(), Some(told));
        }
        assert_eq!(without_values("SELECT 'bob"), None);
    }
}
