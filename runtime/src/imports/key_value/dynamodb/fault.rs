//! What an error of DynamoDB, or of the way to it, means.

use crate::imports::key_value::error::KeyValueError;
use crate::imports::key_value::outage::{Cause, Failure, Fault};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use std::error::Error;

impl From<BuildError> for Cause {
    fn from(error: BuildError) -> Self {
        Self::Call(KeyValueError::Other(format!("dynamodb: {error}")))
    }
}

impl<E, R> From<SdkError<E, R>> for Cause
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        match &error {
            SdkError::ServiceError(context) => {
                let refusal = context.err();
                of_code(refusal.code(), refusal.message().unwrap_or_default())
            }
            SdkError::TimeoutError(_) => silent().into(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => silent().into(),
            SdkError::ResponseError(_) => not_dynamodb(),
            _ => of_chain(&error),
        }
    }
}

pub fn silent() -> Failure {
    Failure::out_of_reach("it does not answer")
}

fn not_dynamodb() -> Cause {
    Failure::new(
        Fault::Broken,
        "its answer is none of DynamoDB: is the endpoint right?",
    )
    .into()
}

/// Of an error before there was an answer: no connection, no credentials, no region.
fn of_chain(error: &(dyn Error + 'static)) -> Cause {
    let mut last = error;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<CredentialsError>() {
            return no_credentials(error).into();
        }
        last = error;
        next = error.source();
    }
    Failure::out_of_reach(last).into()
}

/// Only the kind of `error` is shown: further causes may have what a provider has read.
fn no_credentials(error: &CredentialsError) -> Failure {
    let kind = match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "none are in the environment, a profile, a web identity, the container or the instance"
        }
        CredentialsError::ProviderTimedOut(_) => "their provider does not answer",
        CredentialsError::InvalidConfiguration(_) => "their configuration is invalid",
        _ => "their provider fails",
    };
    Failure::new(Fault::Credentials, format!("has no credentials: {kind}"))
}

/// Of an error that DynamoDB names.
fn of_code(code: Option<&str>, message: &str) -> Cause {
    let Some(code) = code else {
        return not_dynamodb();
    };
    let failure = |fault, reason: &str| Failure::new(fault, format!("{reason} ({code})"));
    match code {
        "ResourceNotFoundException" => failure(
            Fault::Setup,
            "there is no such table in the region, or it is still being created",
        ),
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "LimitExceededException" => failure(Fault::Busy, "throttles requests"),
        "ExpiredTokenException" | "ExpiredToken" => failure(
            Fault::Credentials,
            "refuses the credentials: they have expired",
        ),
        "RequestTimeTooSkewed" | "RequestExpired" => clock(code),
        "InvalidSignatureException" if is_about_time(message) => clock(code),
        "InvalidSignatureException" if message.contains("scoped") => {
            failure(Fault::Setup, "is of another region")
        }
        "InvalidSignatureException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException" => {
            failure(Fault::Credentials, "refuses the credentials")
        }
        "AccessDeniedException" => {
            failure(Fault::Denied, "does not allow these credentials to do this")
        }
        "ValidationException" if message.contains("key element") || message.contains("schema") => {
            failure(Fault::Setup, "the key of the table is not the one text PK")
        }
        // Its text may have a key, and is not shown.
        "ValidationException" => {
            let reason = "dynamodb: the key or the value is not valid (ValidationException)";
            return Cause::Call(KeyValueError::Other(reason.to_owned()));
        }
        _ => failure(Fault::Broken, "answers with an error"),
    }
    .into()
}

fn is_about_time(message: &str) -> bool {
    ["expired", "not yet current"]
        .iter()
        .any(|text| message.contains(text))
}

fn clock(code: &str) -> Failure {
    let reason = format!("refuses the time of requests: is the clock right? ({code})");
    Failure::new(Fault::Credentials, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dynamodb_says_is_told_apart() {
        let check = |code: &str, message: &str, fault: Fault| match of_code(Some(code), message) {
            Cause::Store(failure) => assert_eq!(failure.fault, fault, "{code} {message}"),
            Cause::Call(error) => panic!("{code}: {error}"),
        };
        check("ResourceNotFoundException", "", Fault::Setup);
        check("ThrottlingException", "", Fault::Busy);
        check("ExpiredTokenException", "", Fault::Credentials);
        check("AccessDeniedException", "", Fault::Denied);
        check("InternalServerError", "", Fault::Broken);
        let expired = "Signature expired: 20260101T000000Z is now earlier than";
        for message in [expired, "Signature not yet current: 20260101T000000Z"] {
            check("InvalidSignatureException", message, Fault::Credentials);
            assert!(is_about_time(message));
        }
        let region = "Credential should be scoped to a valid region";
        check("InvalidSignatureException", region, Fault::Setup);
        let schema = "The provided key element does not match the schema";
        check("ValidationException", schema, Fault::Setup);
    }

    #[test]
    fn an_invalid_key_is_no_outage() {
        let cause = of_code(Some("ValidationException"), "secret-key is invalid");
        match cause {
            Cause::Call(KeyValueError::Other(reason)) => assert!(!reason.contains("secret")),
            other => panic!("{other:?}"),
        }
    }
}
