//! The public API of each library is the one that its `public-api.txt` lists, so that no change of it goes unnoticed:
//! what is taken away or changed breaks programs that embed the library (<https://semver.org>).
//!
//! `make docs` describes the libraries first, in the folder `public-api` of the target folder. `UPDATE_PUBLIC_API=1 make docs` writes
//! the lists.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

use birthday_tests::service::{root, target};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

const UPDATE: &str = "UPDATE_PUBLIC_API";

/// The public items of the library in `file`, one in each line.
fn public_items(file: &Path) -> String {
    let items = public_api::Builder::from_rustdoc_json(file)
        .omit_auto_derived_impls(true)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .build();
    items.unwrap().to_string()
}

/// The lines of `text` that `other` does not have.
fn lines_missing(text: &str, other: &str) -> String {
    let others: HashSet<_> = other.lines().collect();
    let missing = text.lines().filter(|line| !others.contains(line));
    missing.collect::<Vec<_>>().join("\n")
}

#[test]
fn libraries_have_the_public_items_that_are_listed() {
    for (library, list) in [
        ("http_component_runtime", "runtime/public-api.txt"),
        ("pipelined_postgres", "postgres/public-api.txt"),
    ] {
        let items = public_items(&target().join("public-api").join(format!("{library}.json")));
        let list = root().join(list);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(list, items).unwrap();
            continue;
        }
        let listed = fs::read_to_string(list).unwrap();
        let removed = lines_missing(&listed, &items);
        let added = lines_missing(&items, &listed);
        assert!(
            removed.is_empty() && added.is_empty(),
            "the public API of {library} has changed; if that is meant, run `{UPDATE}=1 make docs`\n\
             no longer there:\n{removed}\nnew:\n{added}"
        );
    }
}
