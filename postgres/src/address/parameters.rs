//! The parameters in the text of an address.

use crate::error::Error;
use percent_encoding::percent_decode_str;

/// A name, and a value.
pub type Parameter = (String, String);

pub fn bad(reason: impl Into<String>) -> Error {
    Error::BadAddress(reason.into())
}

/// Those of `text`, a URL or key-value pairs, in their order.
///
/// # Errors
/// [`Error::BadAddress`]
pub fn read(text: &str) -> Result<Vec<Parameter>, Error> {
    match text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"))
    {
        Some(rest) => of_url(rest),
        None => pairs(text),
    }
}

/// `user:password@host:port,host:port/database?name=value&…`
fn of_url(rest: &str) -> Result<Vec<Parameter>, Error> {
    // Each part ends before the next one is looked for: an `@` in the query is no end of a password.
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (account, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = match account.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (account, None),
    };
    let mut parameters = Vec::new();
    let mut add = |name: &str, value: &str| -> Result<(), Error> {
        parameters.push((decoded(name)?, decoded(value)?));
        Ok(())
    };
    if !user.is_empty() {
        add("user", user)?;
    }
    if let Some(password) = password {
        add("password", password)?;
    }
    if !database.is_empty() {
        add("dbname", database)?;
    }
    if !hosts.is_empty() {
        let split: Vec<_> = hosts.split(',').map(host_and_port).collect();
        let join = |parts: Vec<&str>| parts.join(",");
        add("host", &join(split.iter().map(|(host, _)| *host).collect()))?;
        if split.iter().any(|(_, port)| !port.is_empty()) {
            add("port", &join(split.iter().map(|(_, port)| *port).collect()))?;
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| bad("a parameter of the address has no `=`"))?;
        add(name, value)?;
    }
    Ok(parameters)
}

/// `host:port`, where the host may be an address of IPv6 in brackets.
fn host_and_port(text: &str) -> (&str, &str) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').unwrap_or(rest));
    }
    text.split_once(':').unwrap_or((text, ""))
}

fn decoded(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| bad("the address is not UTF-8"))?;
    Ok(decoded.into_owned())
}

/// `name = value name='a \'quoted\' value'`
fn pairs(text: &str) -> Result<Vec<Parameter>, Error> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| bad("expected postgres://… or name=value pairs"))?;
        let (value, after) = pair_value(after.trim_start())?;
        parameters.push((name.trim_end().to_owned(), value));
        rest = after.trim_start();
    }
    Ok(parameters)
}

/// The value at the beginning of `text`, and what comes after it.
fn pair_value(text: &str) -> Result<(String, &str), Error> {
    let (text, is_quoted) = match text.strip_prefix('\'') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if is_quoted => return Ok((value, &text[index + 1..])),
            space if space.is_whitespace() && !is_quoted => return Ok((value, &text[index..])),
            other => value.push(other),
        }
    }
    match is_quoted {
        true => Err(bad("a quoted value of the address has no end")),
        false => Ok((value, "")),
    }
}
