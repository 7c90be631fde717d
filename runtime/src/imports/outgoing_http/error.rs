//! What can go wrong with a request, in the words of `wasi:http/types.error-code`.

use crate::egress::Refused;
use hyper_util::client::legacy::Error as ClientError;
use std::error::Error as StdError;
use std::io;
use wasmtime_wasi_http::Error as WasiHttpError;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the name cannot be looked up: {0}")]
    Dns(io::Error),
    #[error("the name has no address")]
    NoAddress,
    #[error("{0}")]
    Io(io::Error),
    #[error("no connection in time")]
    Timeout,
    #[error("too many connections")]
    TooMany,
}

impl From<&ConnectError> for WasiHttpError {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Refused(Refused::Destination(_)) => Self::HttpRequestDenied,
            ConnectError::Refused(Refused::Address(_)) => Self::DestinationIpProhibited,
            // The text of the system's resolver is not for the component.
            ConnectError::Dns(_) => Self::DnsError {
                rcode: None,
                info_code: None,
            },
            ConnectError::NoAddress => Self::DestinationNotFound,
            ConnectError::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Self::ConnectionRefused
            }
            ConnectError::Io(_) => Self::DestinationUnavailable,
            ConnectError::Timeout => Self::ConnectionTimeout,
            ConnectError::TooMany => Self::ConnectionLimitReached,
        }
    }
}

/// Why a request was not answered. The first of the causes of `error` that says something counts.
pub fn of_client(error: &ClientError) -> WasiHttpError {
    let is_connect = error.is_connect();
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<ConnectError>() {
            return error.into();
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return of_tls(error);
        }
        if let Some(error) = error.downcast_ref::<io::Error>()
            && let Some(inner) = error.get_ref()
            && let Some(error) = inner.downcast_ref::<rustls::Error>()
        {
            return of_tls(error);
        }
        cause = error.source();
    }
    match is_connect {
        true => WasiHttpError::TlsProtocolError,
        false => WasiHttpError::HttpProtocolError,
    }
}

fn of_tls(error: &rustls::Error) -> WasiHttpError {
    match error {
        rustls::Error::InvalidCertificate(_) => WasiHttpError::TlsCertificateError,
        _ => WasiHttpError::TlsProtocolError,
    }
}

/// Why the body of a response broke off.
pub fn of_hyper(error: hyper::Error) -> WasiHttpError {
    match error.is_incomplete_message() {
        true => WasiHttpError::HttpResponseIncomplete,
        false => error.into(),
    }
}

/// The kind of `error`, for metrics and traces.
pub fn error_type(error: &WasiHttpError) -> &'static str {
    match error {
        WasiHttpError::HttpRequestDenied => "request_denied",
        WasiHttpError::DestinationIpProhibited => "destination_ip_prohibited",
        WasiHttpError::DnsError { .. } | WasiHttpError::DestinationNotFound => "dns",
        WasiHttpError::ConnectionRefused => "connection_refused",
        WasiHttpError::DestinationUnavailable => "destination_unavailable",
        WasiHttpError::ConnectionTimeout => "connection_timeout",
        WasiHttpError::ConnectionReadTimeout => "read_timeout",
        WasiHttpError::ConnectionLimitReached => "connection_limit",
        WasiHttpError::TlsCertificateError | WasiHttpError::TlsProtocolError => "tls",
        _ => "protocol",
    }
}
