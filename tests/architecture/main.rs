//! The invariants of ARCHITECTURE.md that a machine can hold.
//!
//! | module | answers |
//! |---|---|
//! | `packages` | which package depends on which, and what must one not know? |
//! | `circles` | which files use each other? |
//! | `places` | what stands in one place only? |
//! | `documents` | are the documents short, linked and in the words of the field? |
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod circles;
mod documents;
mod packages;
mod places;

use birthday_tests::service::root;
use std::fs;
use std::process::Command;

/// A file that git tracks: its path from the root of the repository, and its text.
struct File {
    path: String,
    text: String,
}

/// The tracked files below `folders` whose names end with `ending`. What is no text is left out.
#[track_caller]
fn files(folders: &[&str], ending: &str) -> Vec<File> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
        ])
        .args(folders)
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let paths = listed.split('\0').filter(|path| path.ends_with(ending));
    let files: Vec<_> = paths
        .filter(|path| !path.is_empty())
        .filter_map(|path| {
            let text = fs::read_to_string(root().join(path)).ok()?;
            let path = path.to_owned();
            Some(File { path, text })
        })
        .collect();
    assert!(!files.is_empty(), "no {ending} below {folders:?}");
    files
}

/// The product's code in `text`: without its tests, which stand at the end.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or(text)
}
