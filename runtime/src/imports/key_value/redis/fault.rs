//! What an error of Redis, or of the way to it, means.

use crate::imports::key_value::error::KeyValueError;
use crate::imports::key_value::outage::{Cause, Failure, Fault};
use redis::{ErrorKind, RedisError, ServerErrorKind};

impl From<RedisError> for Cause {
    fn from(error: RedisError) -> Self {
        let server = |fault, reason: &str| Self::Store(Failure::new(fault, reason));
        match error.kind() {
            ErrorKind::AuthenticationFailed => refused_credentials(),
            ErrorKind::Server(ServerErrorKind::ReadOnly) => server(
                Fault::ReadOnly,
                "takes no writes: it is a read-only replica",
            ),
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                server(Fault::Denied, "the user may not do this (NOPERM)")
            }
            ErrorKind::Server(ServerErrorKind::BusyLoading) => {
                server(Fault::Busy, "is loading its data (LOADING)")
            }
            ErrorKind::Server(ServerErrorKind::ResponseError) => of_text(&error),
            ErrorKind::Server(_) | ErrorKind::Extension => of_code(&code(&error)),
            ErrorKind::MasterNameNotFoundBySentinel => {
                server(Fault::Setup, "no sentinel knows a server of this name")
            }
            // Of the address: the file of its password.
            ErrorKind::InvalidClientConfig => server(
                Fault::Setup,
                error.detail().unwrap_or("the address is invalid"),
            ),
            // What the server has sent is not shown: it may be a value.
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                server(Fault::Broken, "its answer is none of Redis")
            }
            _ if error.is_timeout() => Self::Store(Failure::out_of_reach("it does not answer")),
            _ => Self::Store(Failure::out_of_reach(error)),
        }
    }
}

/// The code of a server's error, or of the first one of a pipeline.
fn code(error: &RedisError) -> String {
    let errors = error.clone().into_server_errors();
    let first = errors.as_deref().and_then(<[_]>::first);
    first.map_or_else(String::new, |(_, error)| error.code().to_owned())
}

fn refused_credentials() -> Cause {
    let reason = "refuses the credentials: user or password is wrong";
    Failure::new(Fault::Credentials, reason).into()
}

/// Of an error with a code that the client library does not know.
fn of_code(code: &str) -> Cause {
    let (fault, reason) = match code {
        "WRONGTYPE" => {
            let reason = "redis: the value of the key is not a string";
            return Cause::Call(KeyValueError::Other(reason.to_owned()));
        }
        "NOAUTH" => (
            Fault::Credentials,
            "wants a password, and the address has none (NOAUTH)",
        ),
        "WRONGPASS" => return refused_credentials(),
        "OOM" => (Fault::Busy, "its memory is full (OOM)"),
        "MISCONF" => (
            Fault::ReadOnly,
            "takes no writes: it cannot save them (MISCONF)",
        ),
        "NOREPLICAS" => (
            Fault::ReadOnly,
            "takes no writes: it has too few replicas (NOREPLICAS)",
        ),
        "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" | "MOVED" | "ASK" => {
            let reason = format!("the cluster has no server for the key ({code})");
            return Failure::new(Fault::Broken, reason).into();
        }
        _ => {
            let reason = format!("answers with an error ({code})");
            return Failure::new(Fault::Broken, reason).into();
        }
    };
    Failure::new(fault, reason).into()
}

/// Of an error with no more code than `ERR`. Its text may have a key or a value, and is not shown.
fn of_text(error: &RedisError) -> Cause {
    let detail = error.detail().unwrap_or_default();
    if detail.contains("max number of clients") {
        return Failure::new(Fault::Busy, "has too many clients").into();
    }
    if detail.contains("DB index") {
        return Failure::new(Fault::Setup, "has no database of this number").into();
    }
    of_code("ERR")
}
