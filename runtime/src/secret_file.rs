//! Secrets in files, as Kubernetes, the Secrets Store CSI driver and Vault's agent write them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The longest secret in a file, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// Why there is no secret in a file. It says nothing of what was read.
///
/// ```
/// use http_component_runtime::{InvalidSecretFile, read_secret_file};
///
/// let secret = read_secret_file("/nowhere".as_ref());
/// assert!(matches!(secret, Err(InvalidSecretFile::Unreadable(_))));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSecretFile {
    /// It is missing, or this user may not read it.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("is not a file")]
    NotAFile,
    /// It has more than 64 KiB.
    #[error("has more than {MAX_BYTES} bytes")]
    TooLong,
    /// It is no text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// It has nothing but the end of a line. Not taken as no secret: a service without its token would be open to everybody.
    #[error("is empty")]
    Empty,
}

/// The text in the file at `path`, without the end of its line.
///
/// # Errors
/// If there is none, or it is longer than 64 KiB.
///
/// ```
/// use http_component_runtime::{InvalidSecretFile, read_secret_file};
///
/// # fn main() -> Result<(), InvalidSecretFile> {
/// # let path = std::env::temp_dir().join(format!("read-secret-file-{}", std::process::id()));
/// std::fs::write(&path, "s3cret\n")?;
/// assert_eq!(read_secret_file(&path)?, "s3cret");
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
pub fn read_secret_file(path: &Path) -> Result<String, InvalidSecretFile> {
    // Before it is opened, because opening a pipe waits for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(InvalidSecretFile::NotAFile);
    }
    let mut content = Vec::new();
    let mut first_bytes = File::open(path)?.take(MAX_BYTES as u64 + 1);
    first_bytes.read_to_end(&mut content)?;
    if content.len() > MAX_BYTES {
        return Err(InvalidSecretFile::TooLong);
    }
    let mut text = String::from_utf8(content).map_err(|_| InvalidSecretFile::NotUtf8)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    match text.is_empty() {
        true => Err(InvalidSecretFile::Empty),
        false => Ok(text),
    }
}
