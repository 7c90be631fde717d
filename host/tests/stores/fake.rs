//! A DynamoDB that answers as a test wants, or passes requests on to dynalite in its own way.

use birthday_tests::client;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// The status and the body of an answer. `None`: there is none, for ever.
pub type Reply = Option<(u16, String)>;

/// Listens on a port of its own until the test ends, and answers each operation by `reply`. Returns its endpoint.
pub fn start(reply: impl Fn(&str, Value) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let reply = Arc::new(reply);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let reply = reply.clone();
            thread::spawn(move || serve(&stream.unwrap(), &*reply));
        }
    });
    endpoint
}

/// Until the client closes the connection.
fn serve(stream: &TcpStream, reply: &dyn Fn(&str, Value) -> Reply) {
    let mut reader = BufReader::new(stream);
    while let Some((operation, body)) = read(&mut reader) {
        let Some((status, body)) = reply(&operation, body) else {
            loop {
                thread::park();
            }
        };
        let head = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        if stream
            .write_all(format!("{head}{body}").as_bytes())
            .is_err()
        {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<(String, Value)> {
    let (mut operation, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "x-amz-target" => operation = value.rsplit('.').next()?.trim().to_owned(),
                "content-length" => length = value.trim().parse().ok()?,
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((operation, serde_json::from_slice(&body).ok()?))
}

/// An error as DynamoDB says it.
pub fn error(code: &str, message: &str) -> Reply {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
    let body = serde_json::json!({"__type": kind, "message": message});
    Some((400, body.to_string()))
}

/// What the DynamoDB at `endpoint` answers.
pub fn pass_on(endpoint: &str, operation: &str, body: &Value) -> Reply {
    let target = format!("DynamoDB_20120810.{operation}");
    let authorization = "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/dynamodb/aws4_request, \
         SignedHeaders=host, Signature=0";
    let headers = [
        ("x-amz-target", target.as_str()),
        ("x-amz-date", "20260101T000000Z"),
        ("content-type", "application/x-amz-json-1.0"),
        ("authorization", authorization),
    ];
    let body = body.to_string();
    let answer = client::send("POST", endpoint, &headers, body.as_bytes()).ok()?;
    Some((answer.status, answer.body))
}
