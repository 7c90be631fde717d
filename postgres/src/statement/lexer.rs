//! The tokens of a statement, as section 4.1 of PostgreSQL's manual has them ("Lexical Structure"), with
//! `standard_conforming_strings` on, which is the default. It does not recurse, and takes time in proportion to the text.

/// One token, as a part of the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// An identifier or keyword without quotes.
    Word(&'a str),
    /// An identifier in quotes, with them.
    Quoted(&'a str),
    /// A constant: a string of any form, a bit string, a number.
    Value(&'a str),
    /// `$1`
    Parameter(&'a str),
    /// Anything else: an operator character, a parenthesis, a comma, …
    Symbol(&'a str),
    /// White space, or a comment.
    Space(&'a str),
}

impl Token<'_> {
    /// Whether it is this word, whose letters are lower-case ASCII.
    pub fn is_word(self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text.eq_ignore_ascii_case(word))
    }

    pub fn is_symbol(self, symbol: &str) -> bool {
        self == Token::Symbol(symbol)
    }
}

/// The tokens of `sql`; `None` if a string, an identifier or a comment has no end.
pub fn tokens(sql: &str) -> Option<Vec<Token<'_>>> {
    let mut lexer = Lexer { rest: sql };
    let mut tokens = Vec::new();
    while !lexer.rest.is_empty() {
        tokens.push(lexer.next()?);
    }
    Some(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.rest.as_bytes();
        let second = bytes.get(1).copied();
        Some(match bytes[0] {
            byte if is_space(byte) => Token::Space(self.take_while(is_space)),
            b'-' if second == Some(b'-') => {
                Token::Space(self.take_while(|byte| !matches!(byte, b'\n' | b'\r')))
            }
            b'/' if second == Some(b'*') => Token::Space(self.comment()?),
            b'\'' => Token::Value(self.quoted(0, b'\'', false)?),
            b'"' => Token::Quoted(self.quoted(0, b'"', false)?),
            b'$' => self.dollar()?,
            b'e' | b'E' if second == Some(b'\'') => {
                let text = self.quoted(1, b'\'', true)?;
                // A string goes on in a string on another line, with escapes there, too. That is too rare to be lexed.
                if self.rest_is_string() {
                    return None;
                }
                Token::Value(text)
            }
            b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if second == Some(b'\'') => {
                Token::Value(self.quoted(1, b'\'', false)?)
            }
            b'u' | b'U' if bytes.get(1..3) == Some(b"&'") => {
                Token::Value(self.quoted(2, b'\'', false)?)
            }
            b'u' | b'U' if bytes.get(1..3) == Some(b"&\"") => {
                Token::Quoted(self.quoted(2, b'"', false)?)
            }
            byte if is_word_start(byte) => Token::Word(self.take_while(is_word_part)),
            byte if byte.is_ascii_digit() => Token::Value(self.number()),
            b'.' if second.is_some_and(|byte| byte.is_ascii_digit()) => Token::Value(self.number()),
            // All other ASCII characters are symbols of their own; no other character gets here.
            _ => Token::Symbol(self.take(1)),
        })
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// The longest prefix of bytes that are all `wanted`. A function that wants one byte of a character beyond ASCII wants all
    /// of them.
    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let bytes = self.rest.bytes();
        self.take(bytes.take_while(|byte| wanted(*byte)).count())
    }

    /// A text in quotes, after a prefix of so many bytes. A quote inside is doubled, or has a backslash before it if there are
    /// `escapes`.
    fn quoted(&mut self, prefix: usize, quote: u8, escapes: bool) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let mut at = prefix + 1;
        loop {
            match *bytes.get(at)? {
                b'\\' if escapes => at += 2,
                byte if byte == quote => {
                    if bytes.get(at + 1) != Some(&quote) {
                        return Some(self.take(at + 1));
                    }
                    at += 2;
                }
                _ => at += 1,
            }
        }
    }

    /// Whether a string follows, after white space and comments to the end of a line.
    fn rest_is_string(&self) -> bool {
        let mut rest = self.rest;
        loop {
            rest = rest.trim_start_matches(|first: char| first.is_ascii() && is_space(first as u8));
            match rest.strip_prefix("--") {
                Some(comment) => {
                    rest = comment.trim_start_matches(|first| !matches!(first, '\n' | '\r'));
                }
                None => return rest.starts_with('\''),
            }
        }
    }

    /// `$1`, or a string such as `$tag$text$tag$`.
    fn dollar(&mut self) -> Option<Token<'a>> {
        let after = &self.rest[1..];
        if after.starts_with(|first: char| first.is_ascii_digit()) {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            return Some(Token::Parameter(self.take(1 + digits)));
        }
        let tag = after
            .bytes()
            .take_while(|byte| is_word_part(*byte) && *byte != b'$');
        let tag = tag.count();
        if after.as_bytes().get(tag) != Some(&b'$') {
            return Some(Token::Symbol(self.take(1)));
        }
        let (delimiter, text) = self.rest.split_at(tag + 2);
        let end = text.find(delimiter)?;
        Some(Token::Value(self.take(end + 2 * delimiter.len())))
    }

    /// A comment in `/*` and `*/`, with others inside.
    fn comment(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let (mut at, mut depth) = (0, 0);
        loop {
            match bytes.get(at..at + 2)? {
                b"/*" => {
                    depth += 1;
                    at += 2;
                }
                b"*/" => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        return Some(self.take(at));
                    }
                }
                _ => at += 1,
            }
        }
    }

    /// Digits and letters (`0x1f`, `1_000`, `1e5`), with a point and the sign of an exponent among them. It takes more than
    /// PostgreSQL does, such as `1abc`, which is an error there.
    fn number(&mut self) -> &'a str {
        let bytes = self.rest.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let is_sign = matches!(byte, b'+' | b'-')
                && at > 0
                && matches!(bytes[at - 1], b'e' | b'E')
                && !self.rest.starts_with("0x")
                && !self.rest.starts_with("0X");
            // Two points are those of a slice: `a[1..2]`.
            let is_point = *byte == b'.' && bytes.get(at + 1) != Some(&b'.');
            if !(byte.is_ascii_alphanumeric() || *byte == b'_' || is_sign || is_point) {
                break;
            }
            at += 1;
        }
        // A point with another one behind it is not a number.
        self.take(at.max(1))
    }
}

/// White space of PostgreSQL's scanner.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::Token::{Parameter, Quoted, Space, Symbol, Value, Word};
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &[Token<'_>]) {
        assert_eq!(tokens(sql).as_deref(), Some(expected), "{sql}");
    }

    #[test]
    fn constants() {
        for sql in [
            "'a'",
            "''",
            "'it''s'",
            "'a\\'",
            "E'it\\'s'",
            "e'\\\\'",
            "B'01'",
            "x'1F'",
            "N'a'",
            "U&'d\\0061t'",
            "$$it's$$",
            "$a$ $$ $b$ $a$",
            "1",
            "1.5",
            ".5",
            "1e5",
            "1E-5",
            "0x1F",
            "1_000",
            "'ä'",
        ] {
            check(sql, &[Value(sql)]);
        }
    }

    #[test]
    fn identifiers_and_parameters() {
        for sql in ["a", "_a1$", "größe", "E", "select"] {
            check(sql, &[Word(sql)]);
        }
        for sql in ["\"a\"", "\"a\"\"b\"", "U&\"d\\0061t\""] {
            check(sql, &[Quoted(sql)]);
        }
        check("$12", &[Parameter("$12")]);
    }

    #[test]
    fn white_space_and_comments() {
        for sql in [" \t\r\n", "-- to the end", "/* a */", "/* /* a */ '*/"] {
            check(sql, &[Space(sql)]);
        }
        check("--a\nb", &[Space("--a"), Space("\n"), Word("b")]);
    }

    #[test]
    fn tokens_side_by_side() {
        check("a.b", &[Word("a"), Symbol("."), Word("b")]);
        check("f(1)", &[Word("f"), Symbol("("), Value("1"), Symbol(")")]);
        check("a-1", &[Word("a"), Symbol("-"), Value("1")]);
        check("1-1", &[Value("1"), Symbol("-"), Value("1")]);
        check("a$$b", &[Word("a$$b")]);
        check("'a''b'", &[Value("'a''b'")]);
        check("'a' 'b'", &[Value("'a'"), Space(" "), Value("'b'")]);
        check("$a", &[Symbol("$"), Word("a")]);
        check("1..2", &[Value("1"), Symbol("."), Value(".2")]);
    }

    #[test]
    fn what_has_no_end_has_no_tokens() {
        for sql in [
            "'", "'a''", "E'a\\'", "\"a", "$$a$", "$a$ $b$", "/* /* */", "U&'", "E'\\",
        ] {
            assert_eq!(tokens(sql), None, "{sql}");
        }
    }

    #[test]
    fn every_byte_is_in_one_token() {
        let texts = [
            "select 'ä' /* ö */ \"ü\" $1 $a$ß$a$ 1e5 größe=:x",
            "\u{0}€\u{7f}",
        ];
        for sql in texts {
            let tokens = tokens(sql).unwrap();
            let whole: String = tokens
                .iter()
                .map(|token| match token {
                    Word(text) | Quoted(text) | Value(text) => *text,
                    Parameter(text) | Symbol(text) | Space(text) => *text,
                })
                .collect();
            assert_eq!(whole, sql);
        }
    }
}
