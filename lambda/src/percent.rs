//! Paths and queries as a URI has them (RFC 3986).

/// Adds `text` to `target`, with every byte percent-encoded that is not to be kept.
pub fn encode(text: &str, is_kept: fn(u8) -> bool, target: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = text.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        let is_encoded = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        let is_kept = match byte {
            // What is encoded already. A sign that is decoded, and alone, would make the path none.
            b'%' => is_kept(b'%') && is_encoded(index + 1) && is_encoded(index + 2),
            byte => is_kept(byte),
        };
        if is_kept {
            target.push(char::from(byte));
        } else {
            target.push('%');
            target.push(char::from(DIGITS[usize::from(byte >> 4)]));
            target.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What a path has (RFC 3986, 3.3), with what is encoded in it.
pub fn is_of_path(byte: u8) -> bool {
    is_unreserved(byte) || b"%/!$&'()*+,;=:@".contains(&byte)
}

/// What a query has (RFC 3986, 3.4), likewise.
pub fn is_of_query(byte: u8) -> bool {
    is_of_path(byte) || byte == b'?'
}

/// What a parameter that is decoded has, without being taken for something else.
pub fn is_of_parameter(byte: u8) -> bool {
    is_unreserved(byte)
}
