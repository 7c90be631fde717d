//! The Postgres adapter, composed with the application of the host's tests, in a runtime that is not ours: the command line of
//! wasmtime, where it and `wac` are on PATH.
//!
//! | module | answers |
//! |---|---|
//! | `composition` | how are the components put together and served? |
//! | `interface` | is the interface whole, and what are its bounds? |
//! | `authentication`, `encryption` | which servers and passwords are taken? |
//! | `outages`, `hostile` | what becomes of a request whose server goes away, or means harm? |
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod authentication;
mod composition;
mod encryption;
mod hostile;
mod interface;
mod outages;

use composition::Composition;
use libtest_mimic::{Arguments, Trial};
use std::sync::Arc;
use test_support::machine::find_program;

type Test = fn(&Composition);

const TESTS: [(&str, Test); 14] = [
    (
        "every value, error and session is as in our host",
        interface::is_whole,
    ),
    (
        "types within types are bounded",
        interface::types_are_bounded,
    ),
    (
        "open connections are bounded",
        interface::open_connections_are_bounded,
    ),
    (
        "a statement without end is given up and cancelled",
        interface::a_statement_without_end_is_given_up_and_cancelled,
    ),
    (
        "addresses that cannot be are bad parameters",
        interface::addresses_that_cannot_be_are_bad_parameters,
    ),
    (
        "a connection that is not permitted says so",
        interface::a_connection_that_is_not_permitted_says_so,
    ),
    (
        "passwords are checked by each method, and not told",
        authentication::passwords_are_checked_and_not_told,
    ),
    (
        "encryption is as the address asks",
        encryption::is_as_the_address_asks,
    ),
    (
        "a certificate may be its own authority",
        encryption::a_certificate_may_be_its_own_authority,
    ),
    (
        "encryption that the server does not have is not done without",
        encryption::is_not_done_without,
    ),
    (
        "a connection is kept until the server crashes, and then made anew",
        outages::a_connection_is_kept_until_the_server_crashes,
    ),
    (
        "a server that is silent is given up",
        outages::a_silent_server_is_given_up,
    ),
    (
        "the next host is tried if one is down or may not be written",
        outages::the_next_host_is_tried,
    ),
    (
        "nothing that a server sends is a trap",
        hostile::nothing_that_a_server_sends_is_a_trap,
    ),
];

fn main() {
    let arguments = Arguments::from_args();
    let programs = ["wasmtime", "wac"];
    if let Some(missing) = programs.iter().find(|name| find_program(name).is_none()) {
        let what = format!("the Postgres adapter (no {missing} on PATH)");
        eprintln!("skipped: {what}");
        let skipped = Trial::test(what, || Ok(())).with_ignored_flag(true);
        libtest_mimic::run(&arguments, vec![skipped]).exit();
    }
    let composition = Arc::new(Composition::new());
    let trials = TESTS.iter().map(|(claim, test)| {
        let composition = composition.clone();
        Trial::test(format!("adapter: {claim}"), move || {
            test(&composition);
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // Before the exit, which does not drop it.
    drop(composition);
    conclusion.exit();
}
