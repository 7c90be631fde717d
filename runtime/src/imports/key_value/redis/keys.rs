//! The keys of a server, or of all servers of a cluster, by `SCAN`.

use super::link::{Connection, Link, Request};
use crate::imports::key_value::custom::KeyPage;
use crate::imports::key_value::error::KeyValueError;
use crate::imports::key_value::outage::{Cause, Failure, Fault};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, RedisResult, Value, from_redis_value};
use std::collections::BTreeMap;
use tokio::time::timeout;

/// What `SCAN` answers: where it goes on (0: nowhere), and keys.
type Found = (u64, Vec<Vec<u8>>);

/// How far a walk over all keys has come: in a cluster over those of the server that has this slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    slot: u16,
    position: u64,
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let (slot, position) = text.split_once('-')?;
        Some(Self {
            slot: slot.parse().ok()?,
            position: position.parse().ok()?,
        })
    }

    fn to_text(self) -> String {
        format!("{}-{}", self.slot, self.position)
    }
}

/// The page at `cursor`. A key may be on two pages.
pub async fn list(link: &Link, cursor: Option<&str>, count: u32) -> Result<KeyPage, Cause> {
    let cursor = match cursor {
        Some(text) => Cursor::parse(text).ok_or_else(|| {
            let reason = "redis: the cursor is not one of this store";
            Cause::Call(KeyValueError::Other(reason.to_owned()))
        })?,
        None => Cursor::default(),
    };
    let (next, keys) = match link.connection().await? {
        Connection::Single(_) => {
            let request = Request::Command(scan(cursor.position, count));
            let (position, keys): Found = link.query(&request).await?;
            let next = (position > 0).then_some(Cursor { slot: 0, position });
            (next, keys)
        }
        Connection::Cluster(connection) => {
            let scanning = scan_cluster(connection, cursor, count);
            let scanned = timeout(link.server.timeout, scanning).await;
            scanned.map_err(|_| Failure::out_of_reach("it does not answer"))??
        }
    };
    Ok(KeyPage {
        // Keys of the interface are Unicode, so no component has stored the others.
        keys: keys
            .into_iter()
            .filter_map(|key| String::from_utf8(key).ok())
            .collect(),
        cursor: next.map(Cursor::to_text),
    })
}

fn scan(position: u64, count: u32) -> Cmd {
    let mut command = redis::cmd("SCAN");
    command.arg(position).arg("COUNT").arg(count);
    command
}

async fn scan_cluster(
    mut connection: ClusterConnection,
    cursor: Cursor,
    count: u32,
) -> Result<(Option<Cursor>, Vec<Vec<u8>>), Cause> {
    let slots = first_slots(&mut connection).await?;
    // Those that are behind the cursor, of which the first may be in the middle.
    let mut ahead = slots.into_iter().filter(|slot| *slot >= cursor.slot);
    let Some(slot) = ahead.next() else {
        return Ok((None, Vec::new()));
    };
    let position = if slot == cursor.slot {
        cursor.position
    } else {
        0
    };
    let route = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
    let answer = connection
        .route_command(scan(position, count), RoutingInfo::SingleNode(route))
        .await?;
    let (position, keys) = from_redis_value::<Found>(answer).map_err(|_| not_redis())?;
    let next = match position {
        0 => ahead.next().map(|slot| Cursor { slot, position: 0 }),
        position => Some(Cursor { slot, position }),
    };
    Ok((next, keys))
}

/// The first slot of each server that takes writes, in their order.
async fn first_slots(connection: &mut ClusterConnection) -> Result<Vec<u16>, Cause> {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let ranges: RedisResult<Vec<Vec<Value>>> = command.query_async(connection).await;
    let mut first: BTreeMap<Vec<u8>, u16> = BTreeMap::new();
    for range in ranges? {
        let (slot, server) = first_slot(range).ok_or_else(not_redis)?;
        let known = first.entry(server).or_insert(slot);
        *known = slot.min(*known);
    }
    let mut slots: Vec<_> = first.into_values().collect();
    slots.sort_unstable();
    Ok(slots)
}

/// Of a range of slots: first slot, last slot, the server (host, port, id, …), its replicas.
fn first_slot(range: Vec<Value>) -> Option<(u16, Vec<u8>)> {
    let mut parts = range.into_iter();
    let slot = from_redis_value(parts.next()?).ok()?;
    let Value::Array(server) = parts.nth(1)? else {
        return None;
    };
    let id = server.into_iter().nth(2)?;
    Some((slot, from_redis_value(id).ok()?))
}

fn not_redis() -> Cause {
    Failure::new(Fault::Broken, "its answer is none of Redis").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor {
            slot: 5461,
            position: u64::MAX,
        };
        assert_eq!(Cursor::parse(&cursor.to_text()), Some(cursor));
        for text in ["", "0", "0-", "-0", "70000-0", "0-0-0"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_range_of_slots_names_its_first_server() {
        let server = |id: &str| {
            let id = Value::BulkString(id.as_bytes().to_vec());
            Value::Array(vec![Value::Nil, Value::Int(7000), id])
        };
        let range = vec![Value::Int(5), Value::Int(9), server("a"), server("b")];
        assert_eq!(first_slot(range), Some((5, b"a".to_vec())));
        assert_eq!(first_slot(vec![Value::Int(5), Value::Int(9)]), None);
    }
}
