//! Group commit: changes that come while another one is under way wait for its end, and then go as one
//! transaction, so that a single commit makes all of them durable.
//!
//! A change that comes alone goes by itself, over a shared connection, at no cost. A transaction goes over a
//! connection that nobody else has meanwhile, and nobody is told of success before its `COMMIT` has succeeded.
//! One that fails was rolled back: then each change of it is run by itself, and has its own outcome.

use super::database::{ABANDONED, BETWEEN_CANCELLATIONS, Database, HELD_UP, Lease, MAX_LOOKS};
use super::link::{Answer, Failure, Link, Want};
use super::lock;
use crate::bindings::spin::postgres::postgres::ParameterValue;
use futures_util::future::{maybe_done, try_join_all};
use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Write};
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};

/// The changes of one transaction: enough that a commit costs each of them little, and few enough that they
/// take milliseconds.
const MAX_CHANGES: usize = 128;

/// The transactions of one thread at a time: one, and one that takes over from it if it is held up.
const MAX_BATCHES: usize = 2;

/// The longest that a transaction is waited with for more changes.
const MAX_GATHERING: Duration = Duration::from_millis(5);

/// For so long after a transaction has failed, or there was no connection for one, every change goes by itself:
/// what keeps failing does not cost double work.
const APART: Duration = Duration::from_secs(1);

/// The changes of one thread to one database.
#[derive(Default)]
pub struct Changes {
    state: Mutex<State>,
    /// As many wait as are wanted.
    gathered: Notify,
}

impl Changes {
    /// Waits until `wanted` changes wait. Callers who have just been answered together often come back together:
    /// without this, the first of them would take a commit for itself, and have the others wait for it. It takes
    /// no longer than what they waited for already, so that it pays even if few come.
    async fn gather(&self, wanted: usize, took: Duration) {
        let gathered = async {
            loop {
                {
                    let mut state = lock(&self.state);
                    if state.waiting.len() >= wanted {
                        break;
                    }
                    state.wanted = wanted;
                }
                self.gathered.notified().await;
            }
        };
        let _ = timeout(took.min(MAX_GATHERING), gathered).await;
    }
}

#[derive(Default)]
struct State {
    /// Those that wait for their turn: not more than requests are under way (`--max-in-flight`).
    waiting: VecDeque<Change>,
    /// What the others wait for: its number, and when it began.
    turn: Option<(u64, Instant)>,
    last_turn: u64,
    wanted: usize,
    batches: usize,
    is_connecting: bool,
    apart_until: Option<Instant>,
}

impl State {
    /// Begins a turn, also where another has not ended: that one is no longer waited for.
    fn begin(&mut self, database: &Arc<Database>, is_batch: bool) -> Turn {
        self.last_turn += 1;
        self.turn = Some((self.last_turn, Instant::now()));
        self.batches += usize::from(is_batch);
        Turn {
            number: self.last_turn,
            is_batch,
            database: database.clone(),
        }
    }

    fn is_held_up(&self) -> bool {
        self.turn
            .is_some_and(|(_, began)| began.elapsed() > HELD_UP)
    }
}

/// The others wait for it, until it is dropped or held up.
pub struct Turn {
    number: u64,
    is_batch: bool,
    database: Arc<Database>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = lock(&self.database.changes.state);
        state.batches -= usize::from(self.is_batch);
        if state.turn.is_some_and(|(number, _)| number == self.number) {
            drop(state);
            next(&self.database);
        }
    }
}

/// How a change is to go on.
pub enum Way {
    /// It was not run, and is to be run by itself.
    Alone(Option<Turn>),
    /// It went with others.
    Together(Result<Answer, Failure>),
}

/// A change whose caller waits.
struct Change {
    statement: Statement,
    caller: Caller,
}

type Caller = oneshot::Sender<Way>;

struct Statement {
    sql: String,
    parameters: Vec<ParameterValue>,
    want: Want,
}

/// Waits for the turn of a change, and for what comes of it if it does not go alone.
pub async fn join(
    database: &Arc<Database>,
    sql: &str,
    parameters: &[ParameterValue],
    want: Want,
) -> Way {
    let mut way = {
        let mut state = lock(&database.changes.state);
        if let Some(until) = state.apart_until {
            if Instant::now() < until {
                return Way::Alone(None);
            }
            state.apart_until = None;
        }
        if state.turn.is_none() || (state.waiting.is_empty() && state.is_held_up()) {
            return Way::Alone(Some(state.begin(database, false)));
        }
        let (caller, way) = oneshot::channel();
        let statement = Statement {
            sql: sql.to_owned(),
            parameters: parameters.to_vec(),
            want,
        };
        state.waiting.push_back(Change { statement, caller });
        if state.waiting.len() == state.wanted {
            database.changes.gathered.notify_one();
        }
        way
    };
    loop {
        match timeout(HELD_UP, &mut way).await {
            Ok(Ok(way)) => return way,
            Ok(Err(_)) => {
                let reason = "the host ended its work on it".to_owned();
                return Way::Together(Err(Failure::Lost(reason)));
            }
            Err(_) => {
                let is_held_up = lock(&database.changes.state).is_held_up();
                if is_held_up {
                    next(database);
                }
            }
        }
    }
}

/// Gives the turn to those who wait, if anybody does.
fn next(database: &Arc<Database>) {
    let mut state = lock(&database.changes.state);
    let mut changes = Vec::new();
    while changes.len() < MAX_CHANGES
        && let Some(change) = state.waiting.pop_front()
    {
        // What nobody waits for any more is not run.
        if !change.caller.is_closed() {
            changes.push(change);
        }
    }
    if changes.len() < 2 {
        let Some(change) = changes.pop() else {
            state.turn = None;
            return;
        };
        let turn = state.begin(database, false);
        drop(state);
        // If the caller has just left, the turn comes back and is dropped.
        let _ = change.caller.send(Way::Alone(Some(turn)));
        return;
    }
    let lease = if state.batches < MAX_BATCHES {
        database.idle_lease()
    } else {
        None
    };
    match (lease, Handle::try_current()) {
        (Some(lease), Ok(runtime)) => {
            let turn = state.begin(database, true);
            drop(state);
            runtime.spawn(async move {
                let (count, began) = (changes.len(), Instant::now());
                run(&turn.database, lease, changes).await;
                turn.database.changes.gather(count, began.elapsed()).await;
            });
        }
        (_, runtime) => {
            // The first of them is what the next ones wait for.
            let mut turn = Some(state.begin(database, false));
            if let Ok(runtime) = runtime
                && state.batches < MAX_BATCHES
                && !mem::replace(&mut state.is_connecting, true)
            {
                runtime.spawn(connect(database.clone()));
            }
            drop(state);
            for change in changes {
                let _ = change.caller.send(Way::Alone(turn.take()));
            }
        }
    }
}

/// Gets a connection for later transactions, which nobody waits for.
async fn connect(database: Arc<Database>) {
    let is_there = database.connect_idle().await;
    lock(&database.changes.state).is_connecting = false;
    if !is_there {
        go_apart(&database);
    }
}

/// Lets every change go by itself for a while, those that wait first.
fn go_apart(database: &Database) {
    let mut state = lock(&database.changes.state);
    state.apart_until = Some(Instant::now() + APART);
    let waiting = mem::take(&mut state.waiting);
    drop(state);
    for change in waiting {
        let _ = change.caller.send(Way::Alone(None));
    }
}

/// Runs `changes` as one transaction, and tells each caller what came of it.
async fn run(database: &Database, lease: Lease, mut changes: Vec<Change>) {
    // Requests that wait at the same time have no order among them. In this one, transactions that change the same
    // rows by the same statement, with the key as its first parameter, do not lock each other out.
    changes.sort_by_cached_key(|change| change.statement.key());
    let (statements, mut callers): (Vec<_>, Vec<_>) = changes
        .into_iter()
        .map(|change| (change.statement, change.caller))
        .unzip();
    let outcome = unless_abandoned(database, &lease.link, &statements, &mut callers).await;
    match outcome {
        None => {}
        Some(Outcome::Answered(results)) => {
            database.give_back(lease.link);
            for (caller, result) in callers.into_iter().zip(results) {
                let way = result.map_or(Way::Alone(None), |result| {
                    database.everywhere.outage.observe(&result);
                    Way::Together(result)
                });
                let _ = caller.send(way);
            }
        }
        Some(Outcome::RolledBack(refused)) => {
            go_apart(database);
            // Last, for what was refused because it waited for a lock waits again.
            let refused = refused.map(|index| callers.remove(index));
            for caller in callers.into_iter().chain(refused) {
                let _ = caller.send(Way::Alone(None));
            }
        }
        Some(Outcome::Lost(reason)) => {
            for caller in callers {
                let result = Err(Failure::Lost(reason.clone()));
                database.everywhere.outage.observe(&result);
                let _ = caller.send(Way::Together(result));
            }
        }
    }
}

/// Runs `statements` as one transaction. If that goes on for long after the last of `callers` has gone, it is
/// cancelled in the server; then there is no outcome, and the connection is not to be used again.
async fn unless_abandoned(
    database: &Database,
    link: &Link,
    statements: &[Statement],
    callers: &mut [Caller],
) -> Option<Outcome> {
    let mut outcome = pin!(attempt(link, statements));
    let mut abandoned = pin!(async {
        for caller in callers {
            caller.closed().await;
        }
        sleep(ABANDONED).await;
    });
    let in_time = poll_fn(|context| match outcome.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => abandoned.as_mut().poll(context).map(|()| None),
    });
    if let Some(outcome) = in_time.await {
        return Some(outcome);
    }
    let token = link.client.cancel_token();
    for _ in 0..MAX_LOOKS {
        // It ends one statement, and with it the transaction; none, if it comes between two.
        let _ = timeout(ABANDONED, token.cancel_query(database.tls.clone())).await;
        if timeout(BETWEEN_CANCELLATIONS, &mut outcome).await.is_ok() {
            break;
        }
    }
    None
}

/// What came of a transaction.
enum Outcome {
    /// The results in order; `None` where a change was not run, or not to any effect.
    Answered(Vec<Option<Result<Answer, Failure>>>),
    /// No change of it has had any effect; because of this one, if that is known.
    RolledBack(Option<usize>),
    /// The connection broke, and it may or may not have been committed.
    Lost(String),
}

async fn attempt(link: &Link, statements: &[Statement]) -> Outcome {
    // A lock that somebody else holds, or another transaction like this that waits for one of ours in turn, ends
    // it soon: then those whom this does not concern are not held up.
    let begin = format!("BEGIN; SET LOCAL lock_timeout = {}", HELD_UP.as_millis());
    let mut begin = pin!(maybe_done(link.client.batch_execute(&begin)));
    let mut commit = pin!(maybe_done(link.client.batch_execute("COMMIT")));
    // The first poll of each sends it, in this order, and nothing of anybody else in between: all at once, but for
    // the first time of a statement, which is prepared (within the transaction, for its patience with locks).
    poll_once(begin.as_mut()).await;
    let mut texts: Vec<_> = statements.iter().map(|one| one.sql.as_str()).collect();
    texts.dedup();
    let prepared = try_join_all(texts.iter().map(|sql| link.prepared(sql))).await;
    let Ok(prepared) = prepared else {
        return Outcome::RolledBack(None);
    };
    if link.is_closed() {
        return Outcome::RolledBack(None);
    }
    let prepared: HashMap<_, _> = texts.into_iter().zip(prepared).collect();
    let mut changes: Vec<_> = statements
        .iter()
        .map(|one| {
            let prepared = prepared.get(one.sql.as_str())?;
            // If that is wrong, the caller is told so when it is run by itself.
            prepared.check(&one.parameters).ok()?;
            let change = link.run_in_transaction(prepared, &one.parameters, one.want);
            Some(Box::pin(maybe_done(change)))
        })
        .collect();
    for change in changes.iter_mut().flatten() {
        poll_once(change.as_mut()).await;
    }
    poll_once(commit.as_mut()).await;
    // The answers come in this order, too.
    begin.as_mut().await;
    for change in changes.iter_mut().flatten() {
        change.as_mut().await;
    }
    commit.as_mut().await;

    const AWAITED: &str = "it was awaited to its end";
    let failure = |error| link.failure(error);
    let begun = begin.take_output().expect(AWAITED).map_err(failure);
    let results: Vec<Option<Result<_, _>>> = changes
        .iter_mut()
        .map(|change| Some(change.as_mut()?.as_mut().take_output().expect(AWAITED)))
        .collect();
    let committed = commit.take_output().expect(AWAITED).map_err(failure);

    conclude(begun, results, committed)
}

/// What the ends of `BEGIN`, of the changes and of `COMMIT` mean together.
fn conclude(
    begun: Result<(), Failure>,
    results: Vec<Option<Result<Answer, Failure>>>,
    committed: Result<(), Failure>,
) -> Outcome {
    let failures = results.iter().flatten().map(|one| one.as_ref().err());
    let ends = [begun.as_ref().err(), committed.as_ref().err()];
    let doubt = ends
        .into_iter()
        .chain(failures)
        .flatten()
        .find_map(Failure::doubt);
    if let Some(reason) = doubt {
        return Outcome::Lost(reason.to_owned());
    }
    let is_refused = |one: &Option<Result<_, Failure>>| match one {
        Some(Err(failure)) => failure.is_of_server(),
        _ => false,
    };
    let refused = results.iter().position(is_refused);
    if begun.is_ok() && (committed.is_err() || refused.is_some()) {
        return Outcome::RolledBack(refused);
    }
    // If there was no transaction, because BEGIN was refused, each has run by itself; what then failed had no
    // effect, and may have failed for that very reason.
    let answers = results.into_iter();
    Outcome::Answered(
        answers
            .map(|one| if is_refused(&one) { None } else { one })
            .collect(),
    )
}

async fn poll_once(mut future: Pin<&mut impl Future>) {
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

/// Bounds what is compared of the parameters of two changes.
const MAX_KEY_BYTES: usize = 256;

impl Statement {
    /// What changes are put in order by.
    fn key(&self) -> String {
        let mut key = Key {
            text: self.sql.clone(),
            room: MAX_KEY_BYTES,
        };
        // It fails where there is no more room.
        let _ = write!(key, "{:?}", self.parameters);
        key.text
    }
}

struct Key {
    text: String,
    room: usize,
}

impl Write for Key {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = text.floor_char_boundary(self.room);
        self.text.push_str(&text[..taken]);
        self.room -= taken;
        if taken == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::spin::postgres::postgres::{DbError, Error, QueryError, RowSet};

    fn done() -> Result<Answer, Failure> {
        let rows = RowSet {
            columns: Vec::new(),
            rows: Vec::new(),
        };
        Ok(Answer { rows, affected: 1 })
    }

    fn refused() -> Failure {
        Failure::Refused(Error::QueryFailed(QueryError::DbError(DbError {
            as_text: String::new(),
            severity: "ERROR".to_owned(),
            code: "23514".to_owned(),
            message: String::new(),
            detail: None,
            extras: Vec::new(),
        })))
    }

    fn lost() -> Failure {
        Failure::Lost(String::new())
    }

    /// What three changes are told, of which the second has ended with `second`: `t` the result, `a` to go alone,
    /// `l` that the connection was lost.
    #[track_caller]
    fn check(
        begun: Result<(), Failure>,
        second: Option<Result<Answer, Failure>>,
        committed: Result<(), Failure>,
        expected: &str,
    ) {
        let results = vec![Some(done()), second, Some(done())];
        let told: String = match conclude(begun, results, committed) {
            Outcome::Answered(answers) => answers
                .iter()
                .map(|answer| if answer.is_some() { 't' } else { 'a' })
                .collect(),
            Outcome::RolledBack(_) => "aaa".to_owned(),
            Outcome::Lost(_) => "lll".to_owned(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn only_what_had_no_effect_is_run_again() {
        check(Ok(()), Some(done()), Ok(()), "ttt");
        check(Ok(()), Some(Err(refused())), Ok(()), "aaa");
        check(Ok(()), Some(done()), Err(refused()), "aaa");
        // It was not sent.
        check(Ok(()), None, Ok(()), "tat");
        // The server has committed what the host could not read the answer of.
        check(Ok(()), Some(Err(Failure::CutOff)), Ok(()), "ttt");
        check(Ok(()), Some(Err(Failure::CutOff)), Err(refused()), "aaa");
        // There was no transaction.
        check(Err(refused()), Some(done()), Ok(()), "ttt");
        check(Err(refused()), Some(Err(refused())), Ok(()), "tat");
        for (begun, second, committed) in [
            (Err(lost()), done(), Err(lost())),
            (Ok(()), Err(lost()), Err(lost())),
            (Ok(()), done(), Err(lost())),
            (Ok(()), Err(refused()), Err(lost())),
        ] {
            check(begun, Some(second), committed, "lll");
        }
    }

    #[test]
    fn order_is_by_statement_then_parameters_whatever_their_size() {
        let key = |sql: &str, parameters: &[&str]| {
            let parameters = parameters.iter().map(|text| (*text).to_owned());
            let statement = Statement {
                sql: sql.to_owned(),
                parameters: parameters.map(ParameterValue::Str).collect(),
                want: Want::Count,
            };
            statement.key()
        };
        assert!(key("a", &["x"]) < key("b", &["c"]));
        assert!(key("a", &["alice", "2"]) < key("a", &["bob", "1"]));
        let long = "ä".repeat(1 << 20);
        assert!(key("a", &[&long]).len() <= 1 + MAX_KEY_BYTES);
    }
}
