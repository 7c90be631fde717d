//! The addresses of a name, by `wasi:sockets/ip-name-lookup`.

use crate::bindings::instance_network::instance_network;
use crate::bindings::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
use crate::bindings::network::{ErrorCode, IpAddress};
use crate::executor::Event;
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// # Errors
/// Why there is none, in words for an operator.
pub async fn lookup(name: &str) -> Result<Vec<IpAddr>, String> {
    let failed = |code| format!("{name}: {}", reason(code));
    let answers = resolve_addresses(&instance_network(), name).map_err(failed)?;
    let mut addresses = Vec::new();
    while let Some(address) = next(&answers).await.map_err(failed)? {
        addresses.push(match address {
            IpAddress::Ipv4(parts) => IpAddr::from(<[u8; 4]>::from(parts)),
            IpAddress::Ipv6(parts) => IpAddr::from(<[u16; 8]>::from(parts)),
        });
        if addresses.len() == MAX_ADDRESSES {
            break;
        }
    }
    Ok(addresses)
}

async fn next(answers: &ResolveAddressStream) -> Result<Option<IpAddress>, ErrorCode> {
    let answered = Event::new(answers.subscribe());
    poll_fn(|_| match answers.resolve_next_address() {
        Err(ErrorCode::WouldBlock) => {
            answered.wake();
            Poll::Pending
        }
        ended => Poll::Ready(ended),
    })
    .await
}

/// What an error of the lookup means.
fn reason(code: ErrorCode) -> &'static str {
    match code {
        // What wasmtime answers where names may not be looked up.
        ErrorCode::AccessDenied | ErrorCode::PermanentResolverFailure => {
            "the name cannot be looked up; perhaps the runtime does not permit it"
        }
        other => other.name(),
    }
}
