//! Which connections are open: how many, how many from one address, and how much memory they may hold together. Where there
//! would be too much, those that do least are shed.

use super::activity::{Activity, Unused};
use crate::limits::ConnectionLimits;
use crate::telemetry::Refusal;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a connection counts: its task and its buffers. Measured: 4 kB before the first request, 19 kB after it (HTTP/2: 23 kB).
const CONNECTION_BYTES: usize = 24 * 1024;

/// Of those that do least, one in so many is shed at a time, so that they are not looked for with each new connection.
const SHED_SHARE: usize = 64;

/// Requests of HTTP/2 may hold one part in so many of what connections may hold, so that they do not keep others from
/// connecting.
const REQUESTS_SHARE: usize = 2;

/// The pause between two searches for connections whose requests take long.
const SEARCH_PAUSE: Duration = Duration::from_millis(50);

/// The open connections. Clones are the same ones.
#[derive(Clone)]
pub(super) struct OpenConnections(Arc<Inner>);

struct Inner {
    limits: ConnectionLimits,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next_number: u64,
    members: HashMap<u64, Member>,
    held_bytes: usize,
    /// Of these, for requests.
    request_bytes: usize,
    last_search: Option<Instant>,
    by_address: HashMap<IpAddr, usize>,
}

struct Member {
    activity: Arc<Activity>,
    address: IpAddr,
    held_bytes: usize,
    request_bytes: usize,
}

/// A connection among the open ones, until this is dropped.
pub(super) struct Membership {
    connections: OpenConnections,
    number: u64,
    pub activity: Arc<Activity>,
}

impl OpenConnections {
    pub fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Inner {
            limits,
            open: Mutex::default(),
        }))
    }

    /// Takes in a connection from `address`, in place of others if need be.
    ///
    /// # Errors
    /// If there is no place for it.
    pub fn admit(&self, address: IpAddr, now: Instant) -> Result<Membership, Refusal> {
        let limits = &self.0.limits;
        // An address of IPv4 comes as one of IPv6 where the listener serves both.
        let address = address.to_canonical();
        let mut open = self.0.open.lock();
        if let Some(max) = limits.max_connections_per_address {
            let count = open.by_address.entry(address).or_default();
            if *count >= max {
                return Err(Refusal::ConnectionsPerAddress);
            }
            *count += 1;
        }
        let has_place = |open: &Open| {
            open.members.len() < limits.max_connections
                && open.held_bytes + CONNECTION_BYTES <= limits.memory
        };
        if !open.shed_until(has_place, now) {
            open.forget_address(address);
            return Err(Refusal::Connections);
        }
        let activity = Arc::new(Activity::new(now));
        let number = open.next_number;
        open.next_number += 1;
        open.held_bytes += CONNECTION_BYTES;
        let member = Member {
            activity: activity.clone(),
            address,
            held_bytes: CONNECTION_BYTES,
            request_bytes: 0,
        };
        open.members.insert(number, member);
        Ok(Membership {
            connections: self.clone(),
            number,
            activity,
        })
    }

    /// Sheds some connections, if any may be shed.
    pub fn shed(&self, now: Instant) {
        self.0.open.lock().shed(now);
    }
}

impl Membership {
    /// Whether the connection may hold so many bytes more. Others may be shed for it.
    pub fn hold(&self, bytes: usize, now: Instant) -> bool {
        self.hold_as(bytes, 0, now)
    }

    /// The same for a request of HTTP/2, until it is released.
    pub fn hold_for_request(&self, bytes: usize, now: Instant) -> bool {
        self.hold_as(bytes, bytes, now)
    }

    /// Of `bytes`, `for_request` are for a request.
    fn hold_as(&self, bytes: usize, for_request: usize, now: Instant) -> bool {
        let max = self.connections.0.limits.memory;
        let mut open = self.connections.0.open.lock();
        if for_request > 0 && open.request_bytes + for_request > max / REQUESTS_SHARE {
            open.shed_working(now);
            return false;
        }
        let has_place = |open: &Open| open.held_bytes + bytes <= max;
        if !open.shed_until(has_place, now) {
            return false;
        }
        // It may have been the one that was shed.
        let Some(member) = open.members.get_mut(&self.number) else {
            return false;
        };
        member.held_bytes += bytes;
        member.request_bytes += for_request;
        open.held_bytes += bytes;
        open.request_bytes += for_request;
        true
    }

    pub fn release_request(&self, bytes: usize) {
        let mut open = self.connections.0.open.lock();
        if let Some(member) = open.members.get_mut(&self.number) {
            member.held_bytes -= bytes;
            member.request_bytes -= bytes;
            open.held_bytes -= bytes;
            open.request_bytes -= bytes;
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.connections.0.open.lock().remove(self.number);
    }
}

impl Open {
    /// Sheds connections until `is_enough`. Returns whether it is.
    fn shed_until(&mut self, is_enough: impl Fn(&Self) -> bool, now: Instant) -> bool {
        while !is_enough(self) {
            if !self.shed(now) {
                return false;
            }
        }
        true
    }

    /// Sheds the connections that have been idle longest, or else those whose requests take longest. Returns whether
    /// there were any.
    fn shed(&mut self, now: Instant) -> bool {
        self.shed_among(now, |_| true)
    }

    /// Sheds connections whose requests take long; looks for them now and then only, because there may be a refused
    /// request every few microseconds.
    fn shed_working(&mut self, now: Instant) {
        let is_recent = |last: Instant| now.saturating_duration_since(last) < SEARCH_PAUSE;
        if !self.last_search.is_some_and(is_recent) {
            self.last_search = Some(now);
            self.shed_among(now, |unused| matches!(unused, Unused::Working(_)));
        }
    }

    fn shed_among(&mut self, now: Instant, may_go: impl Fn(Unused) -> bool) -> bool {
        let unused = self.members.iter().filter_map(|(number, member)| {
            let unused = member.activity.unused(now)?;
            may_go(unused).then_some((unused, *number))
        });
        let mut unused: Vec<(Unused, u64)> = unused.collect();
        let count = unused.len().div_ceil(SHED_SHARE);
        if count == 0 {
            return false;
        }
        let by_uselessness = |entry: &(Unused, u64)| Reverse(entry.0);
        unused.select_nth_unstable_by_key(count - 1, by_uselessness);
        for (_, number) in &unused[..count] {
            // What it held counts as free at once: its task ends next.
            if let Some(member) = self.remove(*number) {
                member.activity.shed();
            }
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Member> {
        let member = self.members.remove(&number)?;
        self.held_bytes -= member.held_bytes;
        self.request_bytes -= member.request_bytes;
        self.forget_address(member.address);
        Some(member)
    }

    fn forget_address(&mut self, address: IpAddr) {
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http::Version;
    use std::net::Ipv4Addr;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn connections(max_connections: usize, memory: usize) -> OpenConnections {
        OpenConnections::new(ConnectionLimits {
            max_connections,
            memory,
            max_connections_per_address: Some(3),
            ..ConnectionLimits::default()
        })
    }

    fn is_shed(membership: &Membership) -> bool {
        membership.activity.until_shed().now_or_never().is_some()
    }

    #[test]
    fn the_longest_idle_connection_is_shed() {
        let connections = connections(2, usize::MAX / 2);
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let first = connections.admit(HOME, at(0)).unwrap();
        let second = connections.admit(HOME, at(1)).unwrap();
        let third = connections.admit(HOME, at(2)).unwrap();
        assert_eq!([&first, &second, &third].map(is_shed), [true, false, false]);
        // Its end changes nothing any more.
        drop(first);
        let _request = second.activity.request(Version::HTTP_11);
        let fourth = connections.admit(HOME, at(3)).unwrap();
        assert_eq!(
            [&second, &third, &fourth].map(is_shed),
            [false, true, false]
        );
    }

    #[test]
    fn a_connection_is_refused_where_all_others_work() {
        let connections = connections(1, usize::MAX / 2);
        let now = Instant::now();
        let first = connections.admit(HOME, now).unwrap();
        let request = first.activity.request(Version::HTTP_11);
        let refused = connections.admit(HOME, now);
        assert_eq!(refused.err(), Some(Refusal::Connections));
        drop(request);
        assert!(connections.admit(HOME, now).is_ok());
    }

    #[test]
    fn an_address_has_no_more_than_its_share() {
        let connections = connections(100, usize::MAX / 2);
        let now = Instant::now();
        let mut open = [(); 3].map(|()| connections.admit(HOME, now).unwrap());
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        for same in [HOME, mapped] {
            let refused = connections.admit(same, now);
            assert_eq!(refused.err(), Some(Refusal::ConnectionsPerAddress));
        }
        assert!(connections.admit([10, 0, 0, 1].into(), now).is_ok());
        open[0] = connections.admit([10, 0, 0, 2].into(), now).unwrap();
        assert!(connections.admit(HOME, now).is_ok());
    }

    #[test]
    fn what_connections_hold_is_bounded() {
        let connections = connections(100, 3 * CONNECTION_BYTES);
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let [first, second] = [now, later].map(|now| connections.admit(HOME, now).unwrap());
        assert!(second.hold(CONNECTION_BYTES, later));
        assert!(second.hold(CONNECTION_BYTES, later), "the first is shed");
        assert_eq!([&first, &second].map(is_shed), [true, false]);
        let request = second.activity.request(Version::HTTP_2);
        assert!(!second.hold(1, later));
        drop(request);
    }

    #[test]
    fn requests_hold_half_of_it() {
        let connections = connections(100, 8 * CONNECTION_BYTES);
        let now = Instant::now();
        let first = connections.admit(HOME, now).unwrap();
        let request = first.activity.request(Version::HTTP_2);
        assert!(first.hold_for_request(4 * CONNECTION_BYTES, now));
        let later = now + Duration::from_secs(2);
        let second = connections.admit(HOME, later).unwrap();
        assert!(!second.hold_for_request(1, later));
        assert_eq!([&first, &second].map(is_shed), [true, false]);
        assert!(second.hold_for_request(CONNECTION_BYTES, later));
        second.release_request(CONNECTION_BYTES);
        assert!(second.hold_for_request(4 * CONNECTION_BYTES, later));
        drop(request);
    }
}
