//! The settings of the service: the variables of the runtime, read once per instance.

use crate::bindings::variables;
use crate::error::Error;
use crate::log::log;
use crate::url::{Url, has_valid_port};
use birthday_rule::LeapDay;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use time::{Date, OffsetDateTime, UtcOffset};
use tz::TimeZoneRef;

#[derive(Debug)]
pub struct Settings {
    pub store: StoreSettings,
    pub leap_day: LeapDay,
    /// The token that clients must send, if one is set.
    pub api_token: Option<String>,
    /// Where people may be fetched from.
    pub populate: Option<Source>,
    timezone: TimeZoneRef<'static>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// The runtime's key-value store `default`.
    KeyValue,
    /// A Postgres database at this address, which includes the password.
    Postgres { address: String },
}

/// A server that people are fetched from.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    pub url: Url,
    /// What its server wants to see.
    pub key: Option<String>,
}

impl Settings {
    /// The settings of this instance.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] if a variable is invalid. The log names it, once.
    pub fn get() -> Result<&'static Self, Error> {
        static SETTINGS: OnceLock<Settings> = OnceLock::new();
        static LOGGED: AtomicBool = AtomicBool::new(false);

        if let Some(settings) = SETTINGS.get() {
            return Ok(settings);
        }
        let settings = Self::read(runtime_variable).map_err(|reason| {
            if !LOGGED.swap(true, Ordering::Relaxed) {
                log(&reason);
            }
            Error::Misconfigured
        })?;
        Ok(SETTINGS.get_or_init(|| settings))
    }

    /// Reads every variable by `variable`, which returns the empty string if the variable is not set.
    ///
    /// # Errors
    /// One line that names the variable and what is expected. It never contains a secret.
    fn read(variable: impl Fn(&str) -> Result<String, String>) -> Result<Self, String> {
        let variable = |name| printable(name, variable(name)?);
        let timezone = match variable("timezone")?.as_str() {
            "" => TimeZoneRef::utc(),
            name => *tzdb_data::find_tz(name.as_bytes()).ok_or_else(|| {
                format!("timezone: {name:?} is not an IANA time zone such as Europe/Berlin")
            })?,
        };
        let leap_day = match variable("leap_day")?.as_str() {
            "" | "mar-1" => LeapDay::Mar1,
            "feb-28" => LeapDay::Feb28,
            other => return Err(format!("leap_day: {other:?} is neither mar-1 nor feb-28")),
        };
        let url = variable("database_url")?;
        let store = if url.is_empty() {
            StoreSettings::KeyValue
        } else {
            let address = postgres_address(&url, &variable("database_password")?)
                .map_err(|reason| format!("database_url: {reason}"))?;
            StoreSettings::Postgres { address }
        };
        let url = variable("populate_url")?;
        let populate = match url.as_str() {
            "" => None,
            url => Some(Source {
                url: Url::parse(url).map_err(|reason| format!("populate_url: {reason}"))?,
                key: secret("populate_key", variable("populate_key")?)?,
            }),
        };
        let api_token = secret("api_token", variable("api_token")?)?;
        Ok(Self {
            store,
            leap_day,
            api_token,
            populate,
            timezone,
        })
    }

    /// The calendar day at `now` in the time zone of the service.
    ///
    /// # Errors
    /// [`Error::Internal`] if the clock of the runtime is set outside the years 1970 to 9999.
    pub fn today(&self, now: SystemTime) -> Result<Date, Error> {
        let seconds = now
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_secs()).ok())
            .ok_or(Error::Internal)?;
        let zone = self
            .timezone
            .find_local_time_type(seconds)
            .map_err(|_| Error::Internal)?;
        let offset =
            UtcOffset::from_whole_seconds(zone.ut_offset()).map_err(|_| Error::Internal)?;
        OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|utc| utc.checked_to_offset(offset))
            .map(OffsetDateTime::date)
            .ok_or(Error::Internal)
    }
}

/// A secret that is sent in a header; `None` if it is empty.
fn secret(name: &str, value: String) -> Result<Option<String>, String> {
    match value.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Some(value).filter(|value| !value.is_empty())),
        false => Err(format!(
            "{name}: has spaces or letters that no header carries"
        )),
    }
}

/// A variable of the runtime; empty if the runtime does not have it.
fn runtime_variable(name: &str) -> Result<String, String> {
    match variables::get(name) {
        Ok(value) => Ok(value),
        Err(variables::Error::Undefined(_)) => Ok(String::new()),
        Err(error) => Err(format!("{name}: the runtime cannot give it: {error}")),
    }
}

/// Refuses a value with a line end, which files of secrets often have at their end, or another control character.
fn printable(name: &str, value: String) -> Result<String, String> {
    match value.chars().any(char::is_control) {
        true => Err(format!(
            "{name}: has a line end or another control character"
        )),
        false => Ok(value),
    }
}

/// The address for `spin:postgres`: `url` with `password`, which may have any characters.
///
/// # Errors
/// What is wrong with `url`. It does not quote `url`, which may contain a password.
fn postgres_address(url: &str, password: &str) -> Result<String, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("is not a URL")?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err("is not of the form postgres://user@host:port/db");
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user_info, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user_info.contains('@') {
        return Err("has more than one @: those of a password are written %40");
    }
    // The authority cannot contain a Unix socket: `postgres://user@/db?host=/run/postgresql`.
    if hosts.is_empty() && !path.contains("host=") {
        return Err("names no host");
    }
    if !hosts.split(',').all(has_valid_port) {
        return Err("has a port that is not a number from 1 to 65535");
    }
    let path = with_portable_ssl_mode(path)?;
    if password.is_empty() {
        return Ok(format!("{scheme}://{authority}{path}"));
    }
    let user = user_info.split(':').next().unwrap_or_default();
    if user.is_empty() {
        return Err("names no user, to whom database_password could belong");
    }
    let password = utf8_percent_encode(password, NON_ALPHANUMERIC);
    Ok(format!("{scheme}://{user}:{password}@{hosts}{path}"))
}

/// The path and the query of an address, with an `sslmode` that every runtime knows and takes for the same. Spin knows three of
/// libpq's six; `require` verifies the certificate for the host's name in Spin, as it does in our host.
fn with_portable_ssl_mode(path: &str) -> Result<String, &'static str> {
    let Some((path, query)) = path.split_once('?') else {
        return Ok(path.to_owned());
    };
    let translated = |parameter| match parameter {
        "sslmode=verify-full" | "sslmode=verify-ca" | "sslmode=require" => Ok("sslmode=require"),
        "sslmode=allow" | "sslmode=prefer" => Ok("sslmode=prefer"),
        "sslmode=disable" => Ok(parameter),
        other if other.starts_with("sslmode=") => Err(
            "has an sslmode other than disable, allow, prefer, require, verify-ca and verify-full",
        ),
        other => Ok(other),
    };
    let parameters: Vec<_> = query.split('&').map(translated).collect::<Result<_, _>>()?;
    Ok(format!("{path}?{}", parameters.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| {
            let value = variables.iter().find(|(known, _)| *known == name);
            Ok(value
                .map(|(_, value)| (*value).to_owned())
                .unwrap_or_default())
        })
    }

    #[test]
    fn nothing_needs_to_be_set() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.store, StoreSettings::KeyValue);
        assert_eq!(settings.leap_day, LeapDay::Mar1);
        assert_eq!(settings.api_token, None);
    }

    #[track_caller]
    fn check_refused(name: &str, value: &str, reason: &str) {
        let error = read(&[(name, value), ("database_password", "pa55word")]).unwrap_err();
        assert_eq!(error, format!("{name}: {reason}"));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        check_refused(
            "timezone",
            "Mars/Olympus",
            "\"Mars/Olympus\" is not an IANA time zone such as Europe/Berlin",
        );
        check_refused("leap_day", "1", "\"1\" is neither mar-1 nor feb-28");
        let form = "is not of the form postgres://user@host:port/db";
        check_refused("database_url", "mysql://u@h/db", form);
        check_refused("database_url", "nothing", "is not a URL");
        check_refused("database_url", "postgres://u@/db", "names no host");
        check_refused("database_url", "postgres://", "names no host");
        check_refused(
            "database_url",
            "postgres://u:a@b@h/db",
            "has more than one @: those of a password are written %40",
        );
        for token in [" ", "a b", "tök"] {
            let reason = "has spaces or letters that no header carries";
            check_refused("api_token", token, reason);
        }
        for (name, value) in [
            ("api_token", "token\n"),
            ("database_url", "postgres://h/db\n"),
            ("timezone", "UTC\r"),
            ("leap_day", "\0"),
        ] {
            check_refused(name, value, "has a line end or another control character");
        }
        let port = "has a port that is not a number from 1 to 65535";
        check_refused("database_url", "postgres://u@h:x/db", port);
        check_refused("database_url", "postgres://u@h:0", port);
        check_refused("database_url", "postgres://u@h:1,h:70000/db", port);
        check_refused("database_url", "postgres://u@[::1]:x/db", port);
        check_refused(
            "database_url",
            "postgres://h/db",
            "names no user, to whom database_password could belong",
        );
        check_refused(
            "database_url",
            "postgres://u@h/db?sslmode=yes",
            "has an sslmode other than disable, allow, prefer, require, verify-ca and verify-full",
        );
    }

    #[test]
    fn a_source_is_a_url_of_http() {
        for (url, reason) in [
            ("nothing", "is not a URL"),
            ("ftp://h/", "is not of the form https://host/path"),
            ("https://", "names no host"),
            ("https:///path", "names no host"),
            ("https://:443/", "names no host"),
            (
                "https://u:p@h/",
                "has a user or a password: use populate_key",
            ),
            (
                "http://h:0/",
                "has a port that is not a number from 1 to 65535",
            ),
            (
                "http://h:x/",
                "has a port that is not a number from 1 to 65535",
            ),
            (
                "http://h/a b",
                "has spaces or letters that no URL has: percent-encode them",
            ),
        ] {
            check_refused("populate_url", url, reason);
        }
        let key = [("populate_url", "https://h"), ("populate_key", "a b")];
        let reason = "populate_key: has spaces or letters that no header carries";
        assert_eq!(read(&key).unwrap_err(), reason);
        let source = |url| {
            read(&[("populate_url", url)])
                .unwrap()
                .populate
                .unwrap()
                .url
        };
        let url = source("HTTPS://h:8443?a=b#c");
        assert_eq!((url.is_encrypted, url.authority.as_str()), (true, "h:8443"));
        assert_eq!(url.path_with_query, "/?a=b");
        assert_eq!(source("http://[::1]/x/y?z").path_with_query, "/x/y?z");
    }

    #[track_caller]
    fn check_address(url: &str, password: &str, expected: &str) {
        assert_eq!(postgres_address(url, password).as_deref(), Ok(expected));
    }

    #[test]
    fn a_password_may_have_any_characters() {
        check_address(
            "postgres://bob@db:5432/people?sslmode=require",
            "p@ss/w:o?r%d ü",
            "postgres://bob:p%40ss%2Fw%3Ao%3Fr%25d%20%C3%BC@db:5432/people?sslmode=require",
        );
    }

    #[test]
    fn the_variable_replaces_the_password_in_the_url() {
        check_address("postgres://bob:old@db", "new", "postgres://bob:new@db");
        check_address("postgres://bob:old@db", "", "postgres://bob:old@db");
    }

    #[test]
    fn an_sslmode_is_one_that_every_runtime_knows() {
        for (mode, expected) in [
            ("verify-full", "require"),
            ("verify-ca", "require"),
            ("require", "require"),
            ("allow", "prefer"),
            ("prefer", "prefer"),
            ("disable", "disable"),
        ] {
            let address = |mode| format!("postgres://a@h/d?x=sslmode=allow&sslmode={mode}&y=1");
            check_address(&address(mode), "", &address(expected));
        }
    }

    #[test]
    fn several_hosts_and_sockets_are_addresses() {
        for url in [
            "postgresql://u@a:1,b:2,[::1]:3/db?target_session_attrs=read-write",
            "postgres://u@[::1]/db",
            "postgres://u@/db?host=/run/postgresql",
            "postgres://db",
        ] {
            check_address(url, "", url);
        }
    }

    #[track_caller]
    fn check_today(timezone: &str, seconds: u64, expected: &str) {
        let settings = read(&[("timezone", timezone)]).unwrap();
        let today = settings.today(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(today.map(|date| date.to_string()).as_deref(), Ok(expected));
    }

    #[test]
    fn the_day_is_that_of_the_time_zone() {
        // 2026-11-21T12:00:00Z and the same at 23:59:59.
        let (noon, night) = (1_795_262_400, 1_795_305_599);
        check_today("", noon, "2026-11-21");
        check_today("UTC", night, "2026-11-21");
        check_today("Europe/Berlin", night, "2026-11-22");
        check_today("Pacific/Kiritimati", noon, "2026-11-22");
        check_today("America/Los_Angeles", night, "2026-11-21");
        check_today("Pacific/Niue", noon - 12 * 3600, "2026-11-20");
    }

    #[test]
    fn summer_time_moves_midnight() {
        // Berlin is two hours ahead of UTC in July: 2026-07-01T22:00:00Z is midnight.
        check_today("Europe/Berlin", 1_782_943_199, "2026-07-01");
        check_today("Europe/Berlin", 1_782_943_200, "2026-07-02");
    }

    #[test]
    fn a_clock_out_of_range_is_an_error() {
        let settings = read(&[]).unwrap();
        let far = UNIX_EPOCH + Duration::from_secs(400_000_000_000);
        assert_eq!(settings.today(far), Err(Error::Internal));
        let early = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(settings.today(early), Err(Error::Internal));
    }
}
