//! Which changes are committed together.

use super::transaction::{Outcome, Statement, commit};
use crate::answer::Answer;
use crate::database::Database;
use crate::dedicated::Lease;
use crate::error::Error;
use crate::link::{Parameter, Want};
use crate::patience::STALLED_AFTER;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

/// The most changes of one group: enough that each has a small part of the commit, and few enough that they take
/// milliseconds.
const MAX_CHANGES: usize = 128;

/// The most groups of one thread at a time: one, and one that takes over while it is stalled.
const MAX_GROUPS: usize = 2;

/// How long a group that has ended waits for more changes at most.
const MAX_GATHER_TIME: Duration = Duration::from_millis(5);

/// For so long after a group was rolled back, or there was no connection for one, every change runs by itself: changes that
/// keep failing do not cost twice the work.
const SUSPENSION: Duration = Duration::from_secs(1);

/// The database of one thread, with the changes that wait for a commit.
pub struct GroupCommit<P: Parameter> {
    database: Database,
    queue: Mutex<Queue<P>>,
    /// As many changes wait as are wanted.
    gathered: Notify,
}

/// How a change is to be run.
pub enum Admitted<P: Parameter> {
    /// By the caller itself. It was not run yet. Others may wait until the guard is dropped.
    Single(Option<InProgress<P>>),
    /// In a group, with this result.
    Grouped(Result<Answer, Error>),
}

/// A commit that the changes in the queue wait for, until this is dropped or the commit is stalled.
pub struct InProgress<P: Parameter> {
    number: u64,
    is_group: bool,
    group_commit: Arc<GroupCommit<P>>,
}

impl<P: Parameter> Drop for InProgress<P> {
    fn drop(&mut self) {
        let is_last = self
            .group_commit
            .queue
            .lock()
            .end(self.number, self.is_group);
        if is_last {
            self.group_commit.next();
        }
    }
}

/// A change whose caller waits.
struct Change<P: Parameter> {
    statement: Statement<P>,
    caller: Caller<P>,
}

type Caller<P> = oneshot::Sender<Admitted<P>>;

impl<P: Parameter> GroupCommit<P> {
    pub fn new(database: Database) -> Self {
        Self {
            database,
            queue: Mutex::default(),
            gathered: Notify::new(),
        }
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Waits until a change may run, and for its result if it runs in a group.
    pub async fn admit(self: &Arc<Self>, sql: &str, parameters: &[P], want: Want) -> Admitted<P> {
        // A group would need its statements prepared.
        if self.database.endpoint.pooler.is_there() {
            return Admitted::Single(None);
        }
        let mut admitted = {
            let mut queue = self.queue.lock();
            match queue.admit(Instant::now()) {
                Admission::Suspended => return Admitted::Single(None),
                Admission::Now(number) => {
                    drop(queue);
                    return Admitted::Single(Some(self.in_progress(number, false)));
                }
                Admission::Wait => {}
            }
            let (caller, admitted) = oneshot::channel();
            let statement = Statement {
                sql: sql.to_owned(),
                parameters: parameters.to_vec(),
                want,
            };
            queue.waiting.push_back(Change { statement, caller });
            if queue.waiting.len() == queue.wanted {
                self.gathered.notify_one();
            }
            admitted
        };
        loop {
            match timeout(STALLED_AFTER, &mut admitted).await {
                Ok(Ok(admitted)) => return admitted,
                Ok(Err(_)) => {
                    let reason = "the process ended its work on it".to_owned();
                    return Admitted::Grouped(Err(Error::Lost(reason)));
                }
                Err(_) => {
                    let is_stalled = self.queue.lock().is_stalled(Instant::now());
                    if is_stalled {
                        self.next();
                    }
                }
            }
        }
    }

    fn in_progress(self: &Arc<Self>, number: u64, is_group: bool) -> InProgress<P> {
        InProgress {
            number,
            is_group,
            group_commit: self.clone(),
        }
    }

    /// Starts the changes that wait, if any do. What is started is decided under the lock, and done after it.
    fn next(self: &Arc<Self>) {
        let runtime = Handle::try_current();
        let decision = self
            .queue
            .lock()
            .decide(Instant::now(), runtime.is_ok(), || {
                self.database.dedicated.try_lease()
            });
        match (decision, runtime) {
            (Decision::Nothing, _) => {}
            (Decision::Group(number, lease, changes), Ok(runtime)) => {
                let in_progress = self.in_progress(number, true);
                runtime.spawn(run_group(in_progress, lease, changes));
            }
            (Decision::Singles(number, changes, needs_connection), runtime) => {
                if needs_connection && let Ok(runtime) = runtime {
                    runtime.spawn(add_connection(self.clone()));
                }
                // The others wait for the first of them. If its caller has just left, the guard is dropped.
                let mut in_progress = Some(self.in_progress(number, false));
                for change in changes {
                    let _ = change.caller.send(Admitted::Single(in_progress.take()));
                }
            }
            // A group is only decided where there is a runtime.
            (Decision::Group(..), Err(_)) => {}
        }
    }

    /// Waits until `wanted` changes wait. Callers that were answered together often come back together: without this, the
    /// first of them would take a commit for itself, and the others would wait for it. It takes no longer than the last group
    /// `took`, so that it pays even if few come.
    async fn gather(&self, wanted: usize, took: Duration) {
        let gathered = async {
            loop {
                {
                    let mut queue = self.queue.lock();
                    if queue.waiting.len() >= wanted {
                        break;
                    }
                    queue.wanted = wanted;
                }
                self.gathered.notified().await;
            }
        };
        let _ = timeout(took.min(MAX_GATHER_TIME), gathered).await;
    }

    /// Has every change run by itself for a while, those that wait first.
    fn suspend(&self) {
        let waiting = self.queue.lock().suspend(Instant::now());
        for change in waiting {
            let _ = change.caller.send(Admitted::Single(None));
        }
    }
}

/// Commits `changes`, tells their callers, and waits for more.
async fn run_group<P: Parameter>(
    in_progress: InProgress<P>,
    lease: Lease,
    changes: Vec<Change<P>>,
) {
    let group_commit = &in_progress.group_commit;
    let (count, began) = (changes.len(), Instant::now());
    let (statements, mut callers): (Vec<_>, Vec<_>) = changes
        .into_iter()
        .map(|change| (change.statement, change.caller))
        .unzip();
    let all_left = async {
        for caller in &mut callers {
            caller.closed().await;
        }
    };
    let database = &group_commit.database;
    let outcome = commit(&lease.link, &statements, all_left).await;
    match outcome {
        // No caller waits any more.
        None => {}
        Some(Outcome::Committed(results)) => {
            database.dedicated.give_back(lease.link);
            for (caller, result) in callers.into_iter().zip(results) {
                let admitted = result.map_or(Admitted::Single(None), |result| {
                    database.endpoint.outage.observe(&result);
                    Admitted::Grouped(result)
                });
                let _ = caller.send(admitted);
            }
        }
        Some(Outcome::RolledBack(refused)) => {
            group_commit.suspend();
            // The refused one runs last: if it was refused because it waited for a lock, it waits again.
            let refused = refused.map(|index| callers.remove(index));
            for caller in callers.into_iter().chain(refused) {
                let _ = caller.send(Admitted::Single(None));
            }
        }
        Some(Outcome::Unknown(reason)) => {
            for caller in callers {
                let result = Err(Error::Lost(reason.clone()));
                database.endpoint.outage.observe(&result);
                let _ = caller.send(Admitted::Grouped(result));
            }
        }
    }
    group_commit.gather(count, began.elapsed()).await;
}

/// Connects for later groups. No caller waits for it.
async fn add_connection<P: Parameter>(group_commit: Arc<GroupCommit<P>>) {
    let is_there = group_commit.database.add_idle().await;
    group_commit.queue.lock().is_connecting = false;
    if !is_there {
        group_commit.suspend();
    }
}

/// What the lock guards.
struct Queue<P: Parameter> {
    /// The changes that wait: not more than callers do.
    waiting: VecDeque<Change<P>>,
    /// The commit that they wait for: its number, and when it began.
    in_progress: Option<(u64, Instant)>,
    last_number: u64,
    /// How many changes a group that has ended waits for.
    wanted: usize,
    /// Groups in progress, stalled ones included.
    groups: usize,
    is_connecting: bool,
    suspended_until: Option<Instant>,
}

impl<P: Parameter> Default for Queue<P> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_progress: None,
            last_number: 0,
            wanted: 0,
            groups: 0,
            is_connecting: false,
            suspended_until: None,
        }
    }
}

/// What becomes of a change that has just come.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    /// It runs by itself, and others do not wait for it.
    Suspended,
    /// It runs by itself, under this number.
    Now(u64),
    /// It waits.
    Wait,
}

/// Which changes run next. `L` is a lease of a dedicated connection.
enum Decision<P: Parameter, L> {
    Nothing,
    /// All together, under this number.
    Group(u64, L, Vec<Change<P>>),
    /// Each by itself, the first under this number; and whether a connection for groups is to be made.
    Singles(u64, Vec<Change<P>>, bool),
}

impl<P: Parameter> Queue<P> {
    fn admit(&mut self, now: Instant) -> Admission {
        if let Some(until) = self.suspended_until {
            if now < until {
                return Admission::Suspended;
            }
            self.suspended_until = None;
        }
        if self.in_progress.is_none() || (self.waiting.is_empty() && self.is_stalled(now)) {
            Admission::Now(self.begin(now))
        } else {
            Admission::Wait
        }
    }

    /// Begins a commit. One that has not ended is no longer waited for.
    fn begin(&mut self, now: Instant) -> u64 {
        self.last_number += 1;
        self.in_progress = Some((self.last_number, now));
        self.last_number
    }

    /// Ends a commit. Returns whether the queue waits for it.
    fn end(&mut self, number: u64, is_group: bool) -> bool {
        self.groups -= usize::from(is_group);
        self.in_progress
            .is_some_and(|(in_progress, _)| in_progress == number)
    }

    fn is_stalled(&self, now: Instant) -> bool {
        self.in_progress
            .is_some_and(|(_, began)| now.saturating_duration_since(began) > STALLED_AFTER)
    }

    /// Takes out the changes that run next, and begins their commit.
    fn decide<L>(
        &mut self,
        now: Instant,
        has_runtime: bool,
        lease: impl FnOnce() -> Option<L>,
    ) -> Decision<P, L> {
        let changes = self.take();
        if changes.is_empty() {
            self.in_progress = None;
            return Decision::Nothing;
        }
        let number = self.begin(now);
        if changes.len() == 1 || !has_runtime || self.groups == MAX_GROUPS {
            return Decision::Singles(number, changes, false);
        }
        if let Some(lease) = lease() {
            self.groups += 1;
            return Decision::Group(number, lease, changes);
        }
        let needs_connection = !mem::replace(&mut self.is_connecting, true);
        Decision::Singles(number, changes, needs_connection)
    }

    /// The changes that wait, up to a group of them. Those whose caller has left are dropped.
    fn take(&mut self) -> Vec<Change<P>> {
        let mut changes = Vec::new();
        while changes.len() < MAX_CHANGES
            && let Some(change) = self.waiting.pop_front()
        {
            if !change.caller.is_closed() {
                changes.push(change);
            }
        }
        changes
    }

    /// Suspends group commit, and takes out all that wait.
    fn suspend(&mut self, now: Instant) -> VecDeque<Change<P>> {
        self.suspended_until = Some(now + SUSPENSION);
        mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Receiver = oneshot::Receiver<Admitted<String>>;

    fn change() -> (Change<String>, Receiver) {
        let (caller, receiver) = oneshot::channel();
        let statement = Statement {
            sql: String::new(),
            parameters: Vec::new(),
            want: Want::Count,
        };
        (Change { statement, caller }, receiver)
    }

    /// A queue behind a commit in progress, with so many changes.
    fn queue(changes: usize) -> (Queue<String>, Vec<Receiver>, Instant) {
        let now = Instant::now();
        let mut queue = Queue::default();
        assert_eq!(queue.admit(now), Admission::Now(1));
        let receivers = (0..changes).map(|_| {
            assert_eq!(queue.admit(now), Admission::Wait);
            let (change, receiver) = change();
            queue.waiting.push_back(change);
            receiver
        });
        let receivers = receivers.collect();
        (queue, receivers, now)
    }

    /// A decision in words. There is a connection for a group if `has_lease`.
    fn decide(queue: &mut Queue<String>, now: Instant, has_lease: bool) -> String {
        match queue.decide(now, true, || has_lease.then_some(())) {
            Decision::Nothing => "nothing".to_owned(),
            Decision::Group(_, (), changes) => format!("group of {}", changes.len()),
            Decision::Singles(_, changes, needs_connection) => {
                let connect = if needs_connection { ", connect" } else { "" };
                format!("{} single{connect}", changes.len())
            }
        }
    }

    #[test]
    fn changes_that_wait_are_committed_together() {
        let (mut queue, _receivers, now) = queue(3);
        assert!(queue.end(1, false));
        assert_eq!(decide(&mut queue, now, true), "group of 3");
        assert!(queue.end(2, true));
        assert_eq!(decide(&mut queue, now, true), "nothing");
        assert_eq!(queue.admit(now), Admission::Now(3));
    }

    #[test]
    fn a_change_that_waits_alone_runs_by_itself() {
        let (mut queue, _receivers, now) = queue(1);
        assert_eq!(decide(&mut queue, now, true), "1 single");
    }

    #[test]
    fn groups_are_bounded() {
        let (mut queue, _receivers, now) = queue(MAX_CHANGES + 1);
        let all = format!("group of {MAX_CHANGES}");
        assert_eq!(decide(&mut queue, now, true), all);
        assert_eq!(queue.waiting.len(), 1);
    }

    #[test]
    fn changes_whose_caller_has_left_are_not_run() {
        let (mut queue, mut receivers, now) = queue(3);
        receivers.truncate(1);
        assert_eq!(decide(&mut queue, now, true), "1 single");
        drop(receivers);
        let (change, _) = change();
        queue.waiting.push_back(change);
        assert_eq!(decide(&mut queue, now, true), "nothing");
    }

    #[test]
    fn without_a_connection_changes_run_by_themselves_and_one_is_made() {
        let (mut queue, _receivers, now) = queue(2);
        assert_eq!(decide(&mut queue, now, false), "2 single, connect");
        let (mut more, _more): (VecDeque<_>, Vec<_>) = (0..2).map(|_| change()).unzip();
        queue.waiting.append(&mut more);
        assert_eq!(decide(&mut queue, now, false), "2 single");
    }

    #[test]
    fn a_stalled_commit_is_not_waited_for() {
        let (mut queue, receivers, now) = queue(1);
        assert_eq!(queue.admit(now + STALLED_AFTER), Admission::Wait);
        let later = now + STALLED_AFTER + Duration::from_millis(1);
        assert!(queue.is_stalled(later));
        // Those that wait come first.
        assert_eq!(queue.admit(later), Admission::Wait);
        drop(receivers);
        queue.waiting.clear();
        assert_eq!(queue.admit(later), Admission::Now(2));
        assert!(!queue.end(1, false), "the queue waits for the second");
    }

    #[test]
    fn two_stalled_groups_are_the_most() {
        let (mut queue, mut receivers, now) = queue(0);
        for expected in ["group of 2", "group of 2", "2 single"] {
            for _ in 0..2 {
                let (change, receiver) = change();
                queue.waiting.push_back(change);
                receivers.push(receiver);
            }
            assert_eq!(decide(&mut queue, now, true), expected);
        }
    }

    #[test]
    fn while_group_commit_is_suspended_changes_do_not_wait() {
        let (mut queue, _receivers, now) = queue(2);
        assert_eq!(queue.suspend(now).len(), 2);
        assert_eq!(queue.admit(now), Admission::Suspended);
        assert_eq!(queue.admit(now + SUSPENSION), Admission::Now(2));
    }
}
