//! How tests speak to the host where the client of the contract is too polite: bytes, and HTTP/2.

use birthday_tests::service::Service;
use h2::client;
use http::{Request, Version};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

pub fn connect(service: &Service) -> TcpStream {
    let stream = TcpStream::connect(address(service)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

pub fn address(service: &Service) -> &str {
    let url = service.url.split_once("://").unwrap();
    url.1
}

/// Waits until the other side closes `stream`, and returns what it said.
pub fn read_to_end(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Runs `work` on a thread of asynchronous tasks.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

/// An HTTP/2 connection, as if both had agreed on it before.
pub async fn http2(service: &Service) -> client::SendRequest<bytes::Bytes> {
    let stream = tokio::net::TcpStream::connect(address(service))
        .await
        .unwrap();
    let (sender, connection) = client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender.ready().await.unwrap()
}

pub fn get_of(service: &Service, path: &str) -> Request<()> {
    let request = Request::get(format!("http://{}{path}", address(service)));
    request.version(Version::HTTP_2).body(()).unwrap()
}
