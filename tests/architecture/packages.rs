//! Which package depends on which, and what it must not know.

use crate::files;
use birthday_tests::service::root;
use std::fs;

/// The packages of the workspace, each with those that it may depend on.
const MAY_DEPEND_ON: [(&str, &[&str]); 7] = [
    ("component", &["birthday-rule"]),
    ("greeting", &["birthday-rule"]),
    ("postgres", &[]),
    ("rule", &[]),
    ("runtime", &["pipelined-postgres"]),
    ("host", &["http-component-runtime"]),
    ("lambda", &["http-component-runtime"]),
];

const PACKAGES: [&str; 7] = [
    "birthday-component",
    "birthday-greeting",
    "birthday-host",
    "birthday-lambda",
    "birthday-rule",
    "http-component-runtime",
    "pipelined-postgres",
];

/// The names in the section `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let names = section
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split(['.', ' ', '=']).next().unwrap());
    names.collect()
}

#[test]
fn dependencies_run_one_way() {
    for (folder, allowed) in MAY_DEPEND_ON {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let ours: Vec<_> = dependencies(&manifest)
            .into_iter()
            .filter(|name| PACKAGES.contains(name))
            .collect();
        assert_eq!(ours, allowed, "{folder}");
    }
}

#[test]
fn the_libraries_know_no_birthdays() {
    for file in files(&["postgres", "runtime"], "") {
        let line = file
            .text
            .lines()
            .find(|line| line.to_ascii_lowercase().contains("birthday"));
        assert_eq!(line, None, "{}", file.path);
    }
}

#[test]
fn the_postgres_client_knows_no_webassembly() {
    for file in files(&["postgres/src", "postgres/Cargo.toml"], "") {
        for word in ["wasm", "wit_bindgen", "component", "hyper", "http::"] {
            assert!(!file.text.contains(word), "{word:?} in {}", file.path);
        }
    }
}
