//! What an address may ask of a session.

use crate::error::chain;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Client, SimpleQueryMessage};

/// # Errors
/// If the session of `client` has not the attributes `wanted`.
pub async fn check_attributes(client: &Client, wanted: TargetSessionAttrs) -> Result<(), String> {
    let (refused, reason) = match wanted {
        TargetSessionAttrs::ReadWrite => ("on", "the database does not allow writes"),
        TargetSessionAttrs::ReadOnly => ("off", "the database allows writes"),
        _ => return Ok(()),
    };
    let answer = client.simple_query("SHOW transaction_read_only").await;
    let is_refused = answer.map_err(|error| chain(&error))?.iter().any(
        |message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some(refused)),
    );
    match is_refused {
        true => Err(reason.to_owned()),
        false => Ok(()),
    }
}
