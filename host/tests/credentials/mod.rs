//! Secrets: where they may come from, and what happens when they change.
//!
//! | module | answers |
//! |---|---|
//! | `files` | what if a variable is in a file? |
//! | `rotation` | what if the password of the database changes? |
//! | `iam` | what if there is no password, but tokens of AWS IAM? |
//! | `mutual` | what if the database wants a certificate? |
//! | `callers` | what if clients have to show one? |
//! | `aws`, `directory` | is a token right, and who tells PostgreSQL? |

mod aws;
mod callers;
mod directory;
mod files;
mod iam;
mod mutual;
mod rotation;

use std::fs;
use std::path::Path;

/// Replaces the file at `path` as most programs do: by another one with its name.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}
