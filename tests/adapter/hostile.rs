//! A server that means harm.

use crate::composition::Composition;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// `AuthenticationOk`, `BackendKeyData` and `ReadyForQuery`.
const READY: &[u8] =
    b"R\x00\x00\x00\x08\x00\x00\x00\x00K\x00\x00\x00\x0c\x00\x00\x00\x01\x00\x00\x00\x02Z\x00\x00\x00\x05I";

/// `NoticeResponse` without fields.
const NOTICE: &[u8] = b"N\x00\x00\x00\x05\x00";

/// What a server sends after each request, one after the other, and whether it sends the last of them without end.
const ANSWERS: [(&[&[u8]], bool); 12] = [
    (&[], false),
    (&[b"\x00"], false),
    (&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], false),
    // Longer than anything, and shorter than its own length.
    (&[b"R\xff\xff\xff\xff"], true),
    (&[b"R\x00\x00\x00\x03"], false),
    (&[b"R\x00\x00\x00\x08\x00\x00\x00\xff"], false),
    // SASL by no mechanism.
    (&[b"R\x00\x00\x00\x09\x00\x00\x00\x0a\x00"], false),
    (&[NOTICE], true),
    (&[READY], false),
    (&[READY, b"D\x00\x00\x00\x06\x00\x01"], false),
    (&[READY, b"T\x00\x00\x00\x06\xff\xff"], false),
    (
        &[READY, b"1\x00\x00\x00\x04t\x00\x00\x00\x06\x7f\xff"],
        true,
    ),
];

pub fn nothing_that_a_server_sends_is_a_trap(composition: &Composition) {
    let application = composition.serve(&[]);
    for (answers, is_endless) in ANSWERS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            // The adapter may have hung up.
            let _ = serve(stream, answers, is_endless);
        });
        let address = format!("postgres://u:p@{server}/d?sslmode=disable&connect_timeout=2");
        application.check_failed("/postgres-one", &address, "Error::");
        serving.join().unwrap();
    }
}

fn serve(mut stream: TcpStream, answers: &[&[u8]], is_endless: bool) -> std::io::Result<()> {
    let mut request = [0; 1024];
    for answer in answers {
        if stream.read(&mut request)? == 0 {
            return Ok(());
        }
        stream.write_all(answer)?;
    }
    let last = answers.last().copied().unwrap_or_default().repeat(1000);
    if !is_endless {
        return Ok(());
    }
    loop {
        stream.write_all(&last)?;
    }
}
