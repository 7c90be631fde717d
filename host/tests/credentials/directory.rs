//! A directory (LDAP, RFC 4511) that checks passwords for PostgreSQL's method `ldap`, as PAM does on RDS: the server takes the
//! password of a client over TLS, and asks here whether it is right. Only simple binds are understood.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// The operations and results of the protocol that are used.
const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const SIMPLE: u8 = 0x80;
const SEQUENCE: u8 = 0x30;
const SUCCESS: u8 = 0;
const INVALID_CREDENTIALS: u8 = 49;

/// Checks a distinguished name and a password.
type Check = dyn Fn(&str, &str) -> bool + Send + Sync;

/// Starts a directory that knows passwords by `check`, and returns its port. It runs to the end of the process.
pub fn start(check: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let check: Arc<Check> = Arc::new(check);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let check = check.clone();
            thread::spawn(move || serve(stream, &*check));
        }
    });
    port
}

/// Answers until the client unbinds or leaves.
fn serve(mut stream: TcpStream, check: &Check) -> Option<()> {
    loop {
        let (tag, message) = read_element(&mut stream)?;
        assert_eq!(tag, SEQUENCE);
        let mut message = message.as_slice();
        let (_, id) = read_element(&mut message)?;
        let (operation, fields) = read_element(&mut message)?;
        if operation != BIND_REQUEST {
            return None;
        }
        let mut fields = fields.as_slice();
        let (_, _version) = read_element(&mut fields)?;
        let (_, name) = read_element(&mut fields)?;
        let (method, password) = read_element(&mut fields)?;
        assert_eq!(method, SIMPLE);
        let is_right = check(
            &String::from_utf8_lossy(&name),
            &String::from_utf8_lossy(&password),
        );
        let result = if is_right {
            SUCCESS
        } else {
            INVALID_CREDENTIALS
        };
        // An enumerated result, an empty name, an empty message.
        let response = element(BIND_RESPONSE, &[0x0a, 1, result, 4, 0, 4, 0]);
        let answer = element(SEQUENCE, &[element(0x02, &id), response].concat());
        stream.write_all(&answer).ok()?;
    }
}

/// A tag and its content, by the basic encoding rules (BER); `None` at the end.
fn read_element(from: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    from.read_exact(&mut head).ok()?;
    let [tag, short] = head;
    let length = match short {
        0..0x80 => usize::from(short),
        _ => {
            let mut bytes = vec![0; usize::from(short & 0x7f)];
            from.read_exact(&mut bytes).ok()?;
            let append = |length, byte: &u8| length << 8 | usize::from(*byte);
            bytes.iter().fold(0, append)
        }
    };
    assert!(length < 64 * 1024, "a password is shorter");
    let mut content = vec![0; length];
    from.read_exact(&mut content).ok()?;
    Some((tag, content))
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 0x80);
    [&[tag, length], content].concat()
}
