//! Lines of a stream.

/// Newline-delimited JSON.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// The longest line. A person needs up to 110 bytes; the rest is for white space and for unknown fields.
const MAX_LINE_BYTES: usize = 4 * 1024;

/// Puts the lines of a stream together. Keeps at most one of [`MAX_LINE_BYTES`].
#[derive(Default)]
pub struct Lines {
    line: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    /// Calls `take` with each line that ends in `bytes`, without its end; with `None` for one that is too long. Empty lines are
    /// left out.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn push<E>(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ends) = match piece.strip_suffix(b"\n") {
                Some(content) => (content, true),
                None => (piece, false),
            };
            if self.line.len() + content.len() > MAX_LINE_BYTES {
                self.is_too_long = true;
                self.line.clear();
            } else if !self.is_too_long {
                self.line.extend_from_slice(content);
            }
            if ends {
                self.end(&mut take)?;
            }
        }
        Ok(())
    }

    /// The stream has ended, perhaps with a line that has no end.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn end<E>(
        &mut self,
        mut take: impl FnMut(Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let taken = match self.is_too_long {
            true => take(None),
            false if self.line.trim_ascii().is_empty() => Ok(()),
            false => take(Some(&self.line)),
        };
        self.line.clear();
        self.is_too_long = false;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `chunks`; `too long` for one that is.
    fn lines(chunks: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let mut take = |line: Option<&[u8]>| {
            let line = line.map_or("too long".into(), String::from_utf8_lossy);
            found.push(line.into_owned());
            Ok::<(), ()>(())
        };
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.push(chunk.as_bytes(), &mut take).unwrap();
        }
        lines.end(&mut take).unwrap();
        found
    }

    #[test]
    fn lines_may_be_cut_anywhere() {
        assert_eq!(lines(&["a\nb", "c\n", "", "d"]), ["a", "bc", "d"]);
        assert_eq!(lines(&["a\r\n\n  \nb\n"]), ["a\r", "b"]);
        assert!(lines(&[]).is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept() {
        let (longest, long) = ("x".repeat(MAX_LINE_BYTES), "x".repeat(MAX_LINE_BYTES + 1));
        let ended = format!("{longest}\n{long}\nb\n{long}");
        assert_eq!(lines(&[&ended]), [&longest, "too long", "b", "too long"]);
        assert_eq!(lines(&[&longest, &longest, "\nb"]), ["too long", "b"]);
        assert_eq!(lines(&[&longest, "x", "y", "\n"]), ["too long"]);
    }
}
