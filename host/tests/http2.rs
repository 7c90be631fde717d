//! HTTP/2 by hand, for what no library sends.

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What a client sends first, with settings of its own.
pub fn preface(settings: &[u8]) -> Vec<u8> {
    let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    preface.extend(frame(SETTINGS, 0, 0, settings));
    preface
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A head of literals without Huffman coding (RFC 7541, 6.2.2).
pub fn head(method: &str, path: &str, content_length: Option<usize>) -> Vec<u8> {
    const METHOD: &[u8] = &[2];
    const PATH: &[u8] = &[4];
    const AUTHORITY: &[u8] = &[1];
    const CONTENT_LENGTH: &[u8] = &[0x0f, 13];
    let mut head = vec![0x86];
    let mut literal = |index: &[u8], value: &str| {
        head.extend(index);
        head.push(u8::try_from(value.len()).unwrap());
        head.extend(value.as_bytes());
    };
    literal(METHOD, method);
    literal(PATH, path);
    literal(AUTHORITY, "a");
    if let Some(length) = content_length {
        literal(CONTENT_LENGTH, &length.to_string());
    }
    head
}
