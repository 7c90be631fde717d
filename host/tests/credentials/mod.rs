//! Secrets in files: where they may come from, and what happens when they change.

mod files;
mod rotation;

use std::fs;
use std::path::Path;

/// Replaces the file at `path` as most programs do: by another one with its name.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}
