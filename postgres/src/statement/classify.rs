//! Which statements may share a connection.
//!
//! A statement may if no later one in the same session can tell that it was there, apart from the rows that it changed and
//! committed. It is told by its tokens: what is not known to leave no trace gets a dedicated connection. What cannot be seen
//! in a statement (a trigger that sets a variable, a function of the application's own with a name of PostgreSQL's) needs
//! [`Sharing::Exclusive`](crate::Sharing::Exclusive).

use super::keywords::{
    AFTER_OPERAND, BEFORE_NAME, FUNCTIONS_WITHOUT_TRACE, KEYWORDS, PAIRS, SESSION_WORDS,
};
use super::lexer::{Token, tokens};

/// What a statement may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only reads: it may share a connection, and be run again whatever happened to it.
    Read,
    /// It changes rows, and does nothing else: it may share a connection, and a transaction with others of its kind.
    Change,
    /// It changes or locks rows or tables in a transaction of its own: it may share a connection.
    Write,
    /// It may change its session, or the outcome depends on it: it needs a dedicated connection.
    Session,
}

impl Kind {
    /// The kind of a statement, however long it is; in time in proportion to its length.
    pub fn of(sql: &str) -> Self {
        let Some(tokens) = significant(sql) else {
            return Self::Session;
        };
        if leaves_trace(&tokens) {
            return Self::Session;
        }
        let first = tokens.iter().position(|token| !token.is_symbol("("));
        let Some(Token::Word(verb)) = first.map(|first| tokens[first]) else {
            return Self::Session;
        };
        let is_bare = first == Some(0);
        match verb.to_ascii_lowercase().as_str() {
            "select" | "values" | "table" | "with" => kind_of_query(&tokens),
            "insert" | "update" | "delete" if is_bare => Self::Change,
            "create" if is_bare && tokens.get(1).is_some_and(|token| token.is_word("table")) => {
                Self::Write
            }
            _ => Self::Session,
        }
    }
}

/// The tokens of one statement without white space, comments and a semicolon at the end; `None` if there are several
/// statements, or the text cannot be told.
fn significant(sql: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = tokens(sql)?;
    tokens.retain(|token| !matches!(token, Token::Space(_)));
    while tokens.last().is_some_and(|token| token.is_symbol(";")) {
        tokens.pop();
    }
    let is_one = !tokens.iter().any(|token| token.is_symbol(";"));
    is_one.then_some(tokens)
}

/// A query that locks or changes rows is a write. The locks end with its transaction, which has nothing else in it.
fn kind_of_query(tokens: &[Token<'_>]) -> Kind {
    let changes = ["insert", "update", "delete", "merge"];
    let locks = ["update", "share", "no", "key"];
    let is_any = |token: Token<'_>, words: &[&str]| words.iter().any(|word| token.is_word(word));
    let has_change = tokens.iter().any(|token| is_any(*token, &changes));
    let has_lock = tokens
        .windows(2)
        .any(|pair| pair[0].is_word("for") && is_any(pair[1], &locks));
    if has_change || has_lock {
        Kind::Write
    } else {
        Kind::Read
    }
}

/// Whether any token may leave a trace in the session, or depend on it.
fn leaves_trace(tokens: &[Token<'_>]) -> bool {
    let before = |index: usize| index.checked_sub(1).map(|before| tokens[before]);
    tokens.iter().enumerate().any(|(index, token)| {
        let before = before(index);
        let is_column = before.is_some_and(|before| before.is_symbol("."));
        match token {
            // Temporary tables belong to their session.
            Token::Word(text) | Token::Quoted(text)
                if text.to_ascii_lowercase().contains("pg_temp") =>
            {
                true
            }
            // Its escapes may spell anything.
            Token::Quoted(text) if !text.starts_with('"') => true,
            Token::Word(_) if !is_column && is_one_of(*token, SESSION_WORDS) => true,
            // `SELECT … INTO` may make a temporary table.
            Token::Word(_) if token.is_word("into") => {
                !before.is_some_and(|before| before.is_word("insert") || before.is_word("merge"))
            }
            Token::Symbol("(") => may_call(&tokens[..index]),
            _ => false,
        }
    })
}

fn is_one_of(token: Token<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| token.is_word(word))
}

/// Whether a parenthesis behind `tokens` may begin the arguments of a function that leaves a trace.
fn may_call(tokens: &[Token<'_>]) -> bool {
    let Some((&last, before)) = tokens.split_last() else {
        return false;
    };
    if !matches!(last, Token::Word(_) | Token::Quoted(_)) {
        return false;
    }
    let (schema, before_name) = split_schema(before);
    let is_name = before_name
        .last()
        .is_some_and(|token| is_one_of(*token, BEFORE_NAME));
    if is_name {
        return false;
    }
    let Token::Word(name) = last else {
        return true;
    };
    let name = name.to_ascii_lowercase();
    let is_known = FUNCTIONS_WITHOUT_TRACE
        .binary_search(&name.as_str())
        .is_ok();
    match schema {
        Some(schema) => !(schema.is_word("pg_catalog") && is_known),
        None => !(is_known || is_keyword(&name, before)),
    }
}

/// The qualification before a name, and what is before that: of `a b.` it is `b`, and `a`. One of several parts is the symbol
/// before its last part.
fn split_schema<'t, 's>(before: &'t [Token<'s>]) -> (Option<Token<'s>>, &'t [Token<'s>]) {
    let mut rest = before;
    let mut schema = None;
    while let [start @ .., part, Token::Symbol(".")] = rest {
        schema = Some(match schema {
            None => *part,
            Some(_) => Token::Symbol("."),
        });
        rest = start;
    }
    (schema, rest)
}

/// Whether `name`, behind `before`, is a keyword and not a function.
fn is_keyword(name: &str, before: &[Token<'_>]) -> bool {
    if KEYWORDS.binary_search(&name).is_ok() {
        return true;
    }
    let Some(before) = before.last() else {
        return false;
    };
    let is_pair = PAIRS
        .iter()
        .any(|(first, second)| before.is_word(first) && *second == name);
    is_pair || (AFTER_OPERAND.contains(&name) && is_operand(*before))
}

/// Whether `token` is the end of an operand.
fn is_operand(token: Token<'_>) -> bool {
    match token {
        Token::Word(text) => KEYWORDS
            .binary_search(&text.to_ascii_lowercase().as_str())
            .is_err(),
        Token::Quoted(_) | Token::Value(_) | Token::Parameter(_) => true,
        Token::Symbol(text) => matches!(text, ")" | "]"),
        Token::Space(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_may_be_nested_as_deeply_as_it_is_long() {
        let joins = format!("SELECT 1 FROM a {}", "JOIN b ON true ".repeat(500));
        assert_eq!(Kind::of(&joins), Kind::Read);
        let parentheses = format!("SELECT {}1{}", "(".repeat(200_000), ")".repeat(200_000));
        assert_eq!(Kind::of(&parentheses), Kind::Read);
    }

    #[track_caller]
    fn check(sql: &str, expected: Kind) {
        assert_eq!(Kind::of(sql), expected, "{sql}");
    }

    #[test]
    fn reads_may_share_and_repeat() {
        for sql in [
            "SELECT 1",
            "SELECT (SELECT date_of_birth FROM people WHERE username = $1)",
            "select count(*), max(a) from t join u using (id) where b in (select c from d)",
            "WITH a AS (SELECT 1) SELECT * FROM a UNION ALL SELECT 2",
            "SELECT * FROM generate_series(1, 3)",
            "SELECT array_agg(name ORDER BY name), array_agg(to_char(day, 'YYYY') ORDER BY name) \
             FROM (SELECT name, day FROM items WHERE name > $1 ORDER BY name LIMIT 10) AS page",
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
            "INSERT INTO items (name, day) SELECT name, day::date \
             FROM unnest($1::text[], $2::text[]) AS item (name, day) \
             ON CONFLICT (name) DO UPDATE SET day = EXCLUDED.day",
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
    fn what_may_touch_the_session_is_not_shared() {
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
    fn parentheses_of_other_things_are_no_calls() {
        for sql in [
            "SELECT * FROM t WHERE (a, b) IN (VALUES (1, 2)) AND NOT (a = 1) OR (b = 2)",
            "SELECT count(*) FILTER (WHERE a > 1) OVER (PARTITION BY (b) ORDER BY (c)) FROM t",
            "SELECT CAST(a AS numeric(10, 2)), EXTRACT(year FROM b), position('a' IN c) FROM t",
            "SELECT a::varchar(3), ARRAY(SELECT 1), ROW(1, 2) FROM t JOIN (SELECT 1) AS u(x) ON (true)",
            "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t) SELECT * FROM t",
            "WITH t AS MATERIALIZED (SELECT 1) SELECT * FROM t GROUP BY (a) HAVING (a > 1) LIMIT (1)",
            "SELECT pg_catalog.lower('X'), a.\"user\", t.user FROM t",
            "(SELECT 1) UNION (SELECT 2)",
            "TABLE t",
            "SELECT 1;",
            "select'x'like'y'",
        ] {
            check(sql, Kind::Read);
        }
        check(
            "INSERT INTO s.t (a, b) SELECT 1, (2) RETURNING (a)",
            Kind::Change,
        );
        check(
            "INSERT INTO \"T\" (a) VALUES ($1) ON CONFLICT (a) DO NOTHING",
            Kind::Change,
        );
        check(
            "UPDATE t SET (a, b) = (1, 2) WHERE c = ANY ($1)",
            Kind::Change,
        );
        check(
            "CREATE TABLE t (a int REFERENCES u (b), PRIMARY KEY (a), UNIQUE (a))",
            Kind::Write,
        );
    }

    #[test]
    fn calls_are_found_in_any_writing() {
        for sql in [
            "SELECT pg_advisory_lock/* */(1)",
            "SELECT pg_advisory_lock\n-- here\n(1)",
            "SELECT PG_ADVISORY_LOCK (1)",
            "SELECT \"pg_advisory_lock\"(1)",
            "SELECT pg_catalog.pg_advisory_lock(1)",
            "SELECT pg_catalog . set_config('a', 'b', false)",
            "SELECT a.pg_catalog.lower('x')",
            "SELECT U&\"d\\0061t\" FROM t",
            "SELECT 1 OPERATOR(mine.+) 2",
            "SELECT over(1)",
            "SELECT set(1)",
            "SELECT 1 WHERE join(1)",
            "SELECT a, like(b, c) FROM t",
            "SELECT * FROM t TABLESAMPLE mine(1)",
            "SELECT * FROM a, f(1) AS (b int)",
            "DELETE FROM t WHERE nextval('s') > 1",
            "CREATE TABLE t (a int DEFAULT nextval('s'))",
            "SELECT current_user",
            "SELECT USER",
            "SELECT * FROM \"PG_TEMP_3\".t",
            "UPDATE t SET a = 1 WHERE CURRENT OF c",
        ] {
            check(sql, Kind::Session);
        }
    }

    #[test]
    fn text_is_not_code() {
        check("SELECT 'pg_advisory_lock(1); BEGIN'", Kind::Read);
        check("SELECT $x$ ; SET a = 1 $x$ /* ; /* SET */ ; */", Kind::Read);
        check("INSERT INTO t VALUES ('nextval(''s'')')", Kind::Change);
        check("SELECT E'\\'; SET a TO ''b'", Kind::Read);
        check("SELECT 'a\\'; SET a TO 'b'", Kind::Session);
        // The second part of the string has escapes, too.
        check("SELECT E'a'\n'\\' ; SET a TO 1 --'", Kind::Session);
    }

    #[test]
    fn other_verbs_and_several_statements_are_not_shared() {
        for sql in [
            "EXPLAIN ANALYZE DELETE FROM t",
            "EXECUTE p",
            "CALL p()",
            "DO $$ BEGIN END $$",
            "COPY t TO STDOUT",
            "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
            "TRUNCATE t",
            "CREATE UNLOGGED TABLE t (a int)",
            "CREATE LOCAL TEMP TABLE t (a int)",
            "CREATE INDEX i ON t (a)",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "(DELETE FROM t)",
            "SELECT 1;;SELECT 2",
            ";",
            "((",
        ] {
            check(sql, Kind::Session);
        }
    }

    #[test]
    fn locks_and_changes_in_a_query_are_writes() {
        for sql in [
            "SELECT * FROM t FOR NO KEY UPDATE",
            "SELECT * FROM (SELECT * FROM t FOR SHARE) AS u",
            "WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a",
            "WITH a AS (SELECT 1) UPDATE t SET b = 1",
        ] {
            check(sql, Kind::Write);
        }
        check("SELECT substring(a FOR 3) FROM t", Kind::Read);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = "(".repeat(100_000);
        check(
            &format!("SELECT {deep}1{}", ")".repeat(100_000)),
            Kind::Read,
        );
        check(&format!("{deep}SELECT 1"), Kind::Read);
        let comments = "/*".repeat(100_000);
        check(
            &format!("SELECT 1 {comments}{}", "*/".repeat(100_000)),
            Kind::Read,
        );
    }
}
