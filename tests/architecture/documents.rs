//! The documents: their length, their links, their words.

use crate::{File, files};
use birthday_tests::service::root;
use std::fs;

#[test]
fn the_readme_has_at_most_100_lines() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().count();
    assert!(lines <= 100, "{lines} lines");
}

/// The targets of links in Markdown that are files of the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split([')', ' ']).next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .filter_map(|target| target.split('#').next())
}

#[test]
fn links_lead_to_files() {
    for File { path, text } in files(&["*.md"], ".md") {
        let page = root().join(&path);
        for link in links(&text) {
            let target = page.parent().unwrap().join(link);
            assert!(target.exists(), "{path} links to {link}");
        }
    }
}

/// Metaphors of earlier days. The field has words for these things.
const RETIRED: [&str; 9] = [
    "house is full",
    "full house",
    "surroundings",
    "abreast",
    "holds nobody up",
    "held up",
    "crowded",
    "go apart",
    "makes way",
];

#[test]
fn retired_words_are_not_used() {
    let folders = [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
        "adapters",
        "bench/README.md",
        "component/src",
        "docs",
        "greeting",
        "host",
        "lambda",
        "postgres",
        "rule",
        "runtime",
        "tests/src",
        "tests/support",
        "tests/tests",
    ];
    for File { path, text } in files(&folders, "") {
        for word in RETIRED {
            let line = text.lines().find(|line| line.to_lowercase().contains(word));
            assert_eq!(line, None, "{word:?} in {path}");
        }
    }
}
