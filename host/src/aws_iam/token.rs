//! Signing: a token is a request to connect, with the signature in its query (Signature Version 4).

use super::endpoint::{Endpoint, RESERVED};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign as signature,
};
use aws_sigv4::sign::v4::SigningParams;
use percent_encoding::utf8_percent_encode;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// How long a token can be used to log in; AWS allows no more. A connection that is open stays.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The token of `endpoint`, as of the time `now`.
///
/// # Errors
/// If it cannot be signed, which is a defect: the texts of AWS's library do not have the credentials.
pub fn sign(
    endpoint: &Endpoint,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<String, String> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(&endpoint.region)
        .name(endpoint.service)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| cannot_sign(&error))?
        .into();
    let url = format!("https://{}", endpoint.request);
    let request = SignableRequest::new("GET", &url, [].into_iter(), SignableBody::empty());
    let request = request.map_err(|error| cannot_sign(&error))?;
    let signed = signature(request, &params).map_err(|error| cannot_sign(&error))?;
    let mut token = endpoint.request.clone();
    for (name, value) in signed.output().params() {
        let value = utf8_percent_encode(value, RESERVED);
        // A text can always be written to.
        let _ = write!(token, "&{name}={value}");
    }
    Ok(token)
}

fn cannot_sign(error: &dyn std::error::Error) -> String {
    format!("no IAM token can be signed: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_component_runtime::postgres::Account;
    use serde::Deserialize;
    use std::process::{Command, Stdio};

    /// What botocore makes of the same accounts, credentials and times.
    const TABLE: &str = include_str!("../../tests/credentials/botocore_tokens.jsonl");
    const SCRIPT: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/credentials/botocore_tokens.py"
    );

    #[derive(Deserialize)]
    struct Row {
        key: String,
        secret: String,
        session_token: Option<String>,
        time: String,
        host: String,
        port: u16,
        region: String,
        user: String,
        token: String,
    }

    /// Host and port; and the parameters, whose order the server does not mind.
    fn parts(token: &str) -> (&str, Vec<&str>) {
        let (host, query) = token.split_once("/?").unwrap();
        let mut parameters: Vec<_> = query.split('&').collect();
        parameters.sort_unstable();
        (host, parameters)
    }

    #[track_caller]
    fn check_tokens(table: &str) {
        let mut count = 0;
        for line in table.lines() {
            let row: Row = serde_json::from_str(line).unwrap();
            let account = Account {
                host: &row.host,
                port: row.port,
                user: &row.user,
            };
            // A region in the name of the host counts more.
            let endpoint = Endpoint::of(&account, Some("eu-central-1")).unwrap();
            assert_eq!(endpoint.region, row.region);
            let credentials =
                Credentials::new(row.key, row.secret, row.session_token, None, "test");
            let now = humantime::parse_rfc3339(&row.time).unwrap();
            let token = sign(&endpoint, &credentials, now).unwrap();
            assert_eq!(parts(&token), parts(&row.token), "{account:?}");
            count += 1;
        }
        assert_eq!(count, 156);
    }

    #[test]
    fn a_token_is_that_of_botocore() {
        check_tokens(TABLE);
    }

    #[test]
    fn a_token_is_that_of_an_installed_botocore() {
        let python = |arguments: &[&str]| {
            let mut command = Command::new("python3");
            command.args(arguments).stdin(Stdio::null()).output()
        };
        let version = python(&["-c", "import botocore; print(botocore.__version__)"]);
        let Some(version) = version.ok().filter(|output| output.status.success()) else {
            println!("skipped: python3 has no botocore");
            return;
        };
        println!(
            "botocore {}",
            String::from_utf8_lossy(&version.stdout).trim()
        );
        let output = python(&[SCRIPT]).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        check_tokens(&String::from_utf8(output.stdout).unwrap());
    }
}
