//! Which connections are open: how many, how many from one address, and how much memory they may hold together. Where there
//! would be too much, those that do least are shed, and what takes their place waits until they have ended.

use super::activity::{Activity, Unused};
use crate::limits::ConnectionLimits;
use crate::telemetry::Refusal;
use futures_util::future::try_join;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::PollSemaphore;

/// What a connection counts: its task and its buffers. Measured: 4 kB before the first request, 19 kB after it (HTTP/2: 23 kB).
const CONNECTION_BYTES: u32 = 24 * 1024;

/// Of those that do least, one in so many is shed at a time, so that they are not looked for with each new connection.
const SHED_SHARE: usize = 64;

/// Requests of HTTP/2 may hold one part in so many of what connections may hold, so that they do not keep others from
/// connecting.
const REQUESTS_SHARE: usize = 2;

/// The pause between two searches for connections whose requests take long.
const SEARCH_PAUSE: Duration = Duration::from_millis(50);

/// How long a new connection waits for those that were shed for it. They end as soon as their threads come to them.
const SHED_TIME: Duration = Duration::from_secs(1);

/// The open connections. Clones are the same ones.
#[derive(Clone)]
pub(super) struct OpenConnections(Arc<Inner>);

struct Inner {
    limits: ConnectionLimits,
    /// Permits, which a connection that is shed keeps until it has ended: another that `open` has a place for waits for it.
    places: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    open: Mutex<Open>,
}

/// The connections that are not shed.
#[derive(Default)]
struct Open {
    next_number: u64,
    members: HashMap<u64, Member>,
    /// What they hold, or wait for.
    held_bytes: usize,
    /// What requests of HTTP/2 hold, those of connections that are shed included.
    request_bytes: usize,
    last_search: Option<Instant>,
    by_address: HashMap<IpAddr, usize>,
}

struct Member {
    activity: Arc<Activity>,
    address: IpAddr,
    held_bytes: usize,
}

/// A connection among the open ones, until this is dropped.
pub(super) struct Membership {
    connections: OpenConnections,
    number: u64,
    pub activity: Arc<Activity>,
    /// Its place, and the memory that each connection takes.
    permits: Option<[OwnedSemaphorePermit; 2]>,
}

/// Memory that a connection may hold, from when it is granted until this is dropped.
pub(super) struct Claim {
    memory: PollSemaphore,
    bytes: u32,
    permit: Option<OwnedSemaphorePermit>,
}

impl OpenConnections {
    pub fn new(limits: ConnectionLimits) -> Self {
        let semaphore =
            |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner {
            limits,
            places: semaphore(limits.max_connections),
            memory: semaphore(limits.memory),
            open: Mutex::default(),
        }))
    }

    /// Takes in a connection from `address`, in place of others if need be, which have ended then.
    ///
    /// # Errors
    /// If there is no place for it.
    pub async fn admit(&self, address: IpAddr, now: Instant) -> Result<Membership, Refusal> {
        let mut membership = self.enter(address, now)?;
        let Inner { places, memory, .. } = &*self.0;
        let permits = try_join(
            places.clone().acquire_owned(),
            memory.clone().acquire_many_owned(CONNECTION_BYTES),
        );
        let Ok(Ok((place, memory))) = timeout(SHED_TIME, permits).await else {
            return Err(Refusal::Connections);
        };
        membership.permits = Some([place, memory]);
        Ok(membership)
    }

    fn enter(&self, address: IpAddr, now: Instant) -> Result<Membership, Refusal> {
        const BYTES: usize = CONNECTION_BYTES as usize;
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
            open.members.len() < limits.max_connections && open.held_bytes + BYTES <= limits.memory
        };
        if !open.shed_until(has_place, now) {
            open.forget_address(address);
            return Err(Refusal::Connections);
        }
        let activity = Arc::new(Activity::new(now));
        let number = open.next_number;
        open.next_number += 1;
        open.held_bytes += BYTES;
        let member = Member {
            activity: activity.clone(),
            address,
            held_bytes: BYTES,
        };
        open.members.insert(number, member);
        Ok(Membership {
            connections: self.clone(),
            number,
            activity,
            permits: None,
        })
    }

    /// Sheds some connections, if any may be shed.
    pub fn shed(&self, now: Instant) {
        self.0.open.lock().shed(now);
    }
}

impl Membership {
    /// So many bytes more for the connection, if it may hold them. Others may be shed for it.
    pub fn hold(&self, bytes: u32, now: Instant) -> Option<Claim> {
        let inner = &self.connections.0;
        let may_hold =
            inner
                .open
                .lock()
                .hold(self.number, bytes as usize, inner.limits.memory, now);
        may_hold.then(|| Claim {
            memory: PollSemaphore::new(inner.memory.clone()),
            bytes,
            permit: None,
        })
    }

    /// Whether a request of HTTP/2 may hold so many bytes, until they are released. Others may be shed for it.
    pub fn hold_for_request(&self, bytes: usize, now: Instant) -> bool {
        let max = self.connections.0.limits.memory;
        let mut open = self.connections.0.open.lock();
        if open.request_bytes + bytes > max / REQUESTS_SHARE {
            open.shed_working(now);
            return false;
        }
        let may_hold = open.hold(self.number, bytes, max, now);
        if may_hold {
            open.request_bytes += bytes;
        }
        may_hold
    }

    /// To be called once for each [`Self::hold_for_request`] that returned true.
    pub fn release_request(&self, bytes: usize) {
        let mut open = self.connections.0.open.lock();
        open.request_bytes -= bytes;
        if let Some(member) = open.members.get_mut(&self.number) {
            member.held_bytes -= bytes;
            open.held_bytes -= bytes;
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.connections.0.open.lock().remove(self.number);
    }
}

impl Claim {
    /// Waits for those that were shed.
    pub fn poll_granted(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.permit.is_none() {
            self.permit = ready!(self.memory.poll_acquire_many(context, self.bytes));
        }
        Poll::Ready(())
    }
}

impl Open {
    /// Whether connection `number` may hold `bytes` more, of `max`.
    fn hold(&mut self, number: u64, bytes: usize, max: usize, now: Instant) -> bool {
        if !self.shed_until(|open| open.held_bytes + bytes <= max, now) {
            return false;
        }
        // It may have been the one that was shed.
        let Some(member) = self.members.get_mut(&number) else {
            return false;
        };
        member.held_bytes += bytes;
        self.held_bytes += bytes;
        true
    }

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
            if let Some(member) = self.remove(*number) {
                member.activity.shed();
            }
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Member> {
        let member = self.members.remove(&number)?;
        self.held_bytes -= member.held_bytes;
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
    use std::pin::pin;
    use std::task::Waker;

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

    fn is_granted(claim: &mut Claim) -> bool {
        claim
            .poll_granted(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[tokio::test]
    async fn the_longest_idle_connection_is_shed() {
        let connections = connections(2, usize::MAX / 2);
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let first = connections.admit(HOME, at(0)).await.unwrap();
        let second = connections.admit(HOME, at(1)).await.unwrap();
        let mut third = pin!(connections.admit(HOME, at(2)));
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!([&first, &second].map(is_shed), [true, false]);
        drop(first);
        let third = third.await.unwrap();
        let _request = second.activity.request(Version::HTTP_11);
        let fourth = connections.admit(HOME, at(3));
        assert!(fourth.now_or_never().is_none());
        assert_eq!([&second, &third].map(is_shed), [false, true]);
    }

    #[tokio::test]
    async fn a_connection_is_refused_where_those_that_were_shed_do_not_end() {
        let connections = connections(1, usize::MAX / 2);
        let now = Instant::now();
        let first = connections.admit(HOME, now).await.unwrap();
        let refused = connections.admit(HOME, now).await;
        assert_eq!(refused.err(), Some(Refusal::Connections));
        drop(first);
        assert!(connections.admit(HOME, now).await.is_ok());
    }

    #[tokio::test]
    async fn a_connection_is_refused_where_all_others_work() {
        let connections = connections(1, usize::MAX / 2);
        let now = Instant::now();
        let first = connections.admit(HOME, now).await.unwrap();
        let request = first.activity.request(Version::HTTP_11);
        let refused = connections.admit(HOME, now).await;
        assert_eq!(refused.err(), Some(Refusal::Connections));
        drop((request, first));
        assert!(connections.admit(HOME, now).await.is_ok());
    }

    #[tokio::test]
    async fn an_address_has_no_more_than_its_share() {
        let connections = connections(100, usize::MAX / 2);
        let now = Instant::now();
        let admit = async |address| connections.admit(address, now).await;
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(admit(HOME).await.unwrap());
        }
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        for same in [HOME, mapped] {
            let refused = admit(same).await;
            assert_eq!(refused.err(), Some(Refusal::ConnectionsPerAddress));
        }
        assert!(admit([10, 0, 0, 1].into()).await.is_ok());
        open[0] = admit([10, 0, 0, 2].into()).await.unwrap();
        assert!(admit(HOME).await.is_ok());
    }

    #[tokio::test]
    async fn what_connections_hold_is_bounded() {
        let connections = connections(100, 3 * CONNECTION_BYTES as usize);
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let first = connections.admit(HOME, now).await.unwrap();
        let second = connections.admit(HOME, later).await.unwrap();
        let mut claim = second.hold(CONNECTION_BYTES, later).unwrap();
        assert!(is_granted(&mut claim));
        let mut more = second.hold(CONNECTION_BYTES, later).unwrap();
        assert_eq!([&first, &second].map(is_shed), [true, false]);
        assert!(!is_granted(&mut more), "the first has not ended");
        drop(first);
        assert!(is_granted(&mut more));
        let request = second.activity.request(Version::HTTP_2);
        assert!(second.hold(1, later).is_none());
        drop(request);
    }

    #[tokio::test]
    async fn requests_hold_half_of_it() {
        const BYTES: usize = CONNECTION_BYTES as usize;
        let connections = connections(100, 8 * BYTES);
        let now = Instant::now();
        let first = connections.admit(HOME, now).await.unwrap();
        let request = first.activity.request(Version::HTTP_2);
        assert!(first.hold_for_request(4 * BYTES, now));
        let later = now + Duration::from_secs(2);
        let second = connections.admit(HOME, later).await.unwrap();
        assert!(!second.hold_for_request(1, later));
        assert_eq!([&first, &second].map(is_shed), [true, false]);
        let even_later = later + SEARCH_PAUSE;
        assert!(
            !second.hold_for_request(1, even_later),
            "the first has not ended"
        );
        first.release_request(4 * BYTES);
        drop((request, first));
        assert!(second.hold_for_request(BYTES, later));
        second.release_request(BYTES);
        assert!(second.hold_for_request(4 * BYTES, later));
    }
}
