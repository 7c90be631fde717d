//! The errors of the library, as a program passes them on.

use http_component_runtime::{
    BrokenOff, CheckError, CheckpointError, ComponentError, ExporterError, InvalidName,
    InvalidRoute, InvalidRule, KeyValueError, OpenError, TlsError, postgres,
};
use std::error::Error;

/// What other error types take.
fn can_be_passed_on<E: Error + Send + Sync + 'static>() {}

#[test]
fn every_error_can_be_passed_on_between_threads() {
    can_be_passed_on::<BrokenOff>();
    can_be_passed_on::<CheckError>();
    can_be_passed_on::<CheckpointError>();
    can_be_passed_on::<ComponentError>();
    can_be_passed_on::<ExporterError>();
    can_be_passed_on::<InvalidName>();
    can_be_passed_on::<InvalidRoute>();
    can_be_passed_on::<InvalidRule>();
    can_be_passed_on::<KeyValueError>();
    can_be_passed_on::<OpenError>();
    can_be_passed_on::<TlsError>();
    can_be_passed_on::<postgres::CaError>();
}
