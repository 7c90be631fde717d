//! Committing changes as one transaction, and what became of each.

use crate::answer::Answer;
use crate::error::Error;
use crate::link::{Encoded, Link, Parameter, Want, check};
use crate::patience::{CANCEL_PAUSE, GIVEN_UP_AFTER, MAX_CANCEL_PAUSE, MAX_CHECKS, STALLED_AFTER};
use bytes::BytesMut;
use futures_util::future::{maybe_done, try_join_all};
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::time::{sleep, timeout};
use tokio_postgres::types::ToSql;

/// How much of its parameters a change is ordered by, in bytes.
const MAX_KEY_BYTES: usize = 256;

/// A change that has yet to be run.
pub struct Statement<P> {
    pub sql: String,
    pub parameters: Vec<P>,
    pub want: Want,
}

/// What became of a transaction.
pub enum Outcome {
    /// The results in the order of the statements; `None` where one was not run, or had no effect.
    Committed(Vec<Option<Result<Answer, Error>>>),
    /// No statement has had any effect; because of this one, if that is known.
    RolledBack(Option<usize>),
    /// The connection broke. It may or may not have been committed.
    Unknown(String),
}

/// Runs `statements` as one transaction on `link`. If it goes on for long after `all_left` is done, it is cancelled in the
/// server. Then there is no outcome, and the link must not be used again.
pub async fn commit<P: Parameter>(
    link: &Link,
    statements: &[Statement<P>],
    all_left: impl Future<Output = ()>,
) -> Option<Outcome> {
    let mut outcome = pin!(attempt(link, statements));
    let given_up = async {
        all_left.await;
        sleep(GIVEN_UP_AFTER).await;
    };
    tokio::select! {
        biased;
        outcome = &mut outcome => return Some(outcome),
        () = given_up => {}
    }
    let mut pause = CANCEL_PAUSE;
    for _ in 0..MAX_CHECKS {
        // It ends one statement, and with it the transaction; or none, if it arrives between two.
        let taken = timeout(GIVEN_UP_AFTER, link.cancel()).await;
        // A server that does not take it takes nothing.
        pause = match taken {
            Ok(_) => CANCEL_PAUSE,
            Err(_) => MAX_CANCEL_PAUSE.min(pause.max(GIVEN_UP_AFTER) * 2),
        };
        if timeout(pause, &mut outcome).await.is_ok() {
            break;
        }
    }
    None
}

async fn attempt<P: Parameter>(link: &Link, statements: &[Statement<P>]) -> Outcome {
    // A lock that another session holds, or another group that waits for one of our locks, ends the transaction soon, so that
    // the changes that are not concerned are not stalled.
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = {}",
        STALLED_AFTER.as_millis()
    );
    let mut begin = pin!(maybe_done(link.client.batch_execute(&begin)));
    let mut commit = pin!(maybe_done(link.client.batch_execute("COMMIT")));
    // The first poll of each future sends it. They are sent in this order, with nothing of other callers in between, and all
    // at once, unless a statement has to be prepared first (in the transaction, so that it has the same lock timeout).
    poll_once(begin.as_mut()).await;
    let Ok(prepared) = prepare(link, statements).await else {
        return Outcome::RolledBack(None);
    };
    if link.is_closed() {
        return Outcome::RolledBack(None);
    }
    let order = order(statements, &prepared);
    let mut changes: Vec<_> = order
        .iter()
        .map(|&index| {
            let Statement {
                sql,
                parameters,
                want,
            } = &statements[index];
            let statement = prepared.get(sql.as_str())?;
            // If that fails, the caller is told so when the change runs by itself.
            check(statement, parameters).ok()?;
            let change = link.run_in_transaction(statement.clone(), parameters, *want);
            Some(Box::pin(maybe_done(change)))
        })
        .collect();
    for change in changes.iter_mut().flatten() {
        poll_once(change.as_mut()).await;
    }
    poll_once(commit.as_mut()).await;
    // The answers come in the same order.
    begin.as_mut().await;
    for change in changes.iter_mut().flatten() {
        change.as_mut().await;
    }
    commit.as_mut().await;

    const AWAITED: &str = "it was awaited to its end";
    let failed = |error| link.error(&error);
    let begun = begin.take_output().expect(AWAITED).map_err(failed);
    let mut results: Vec<_> = statements.iter().map(|_| None).collect();
    for (&index, change) in order.iter().zip(&mut changes) {
        results[index] = change
            .as_mut()
            .map(|change| change.as_mut().take_output().expect(AWAITED));
    }
    let committed = commit.take_output().expect(AWAITED).map_err(failed);

    let ends: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().map(End::of))
        .collect();
    match conclude(End::of(&begun), &ends, End::of(&committed)) {
        Conclusion::Unknown(reason) => Outcome::Unknown(reason.to_owned()),
        Conclusion::RolledBack(refused) => Outcome::RolledBack(refused),
        Conclusion::Committed => {
            let results = results.into_iter();
            Outcome::Committed(results.map(|result| result.filter(has_run)).collect())
        }
    }
}

/// Whether a change of a committed transaction has run. Without a transaction it may have been refused. One whose parameters
/// cannot be encoded is run by itself, after it was prepared again: their types may have changed.
fn has_run(result: &Result<Answer, Error>) -> bool {
    End::of(result) != End::Refused && !matches!(result, Err(Error::BadParameter(_)))
}

type Prepared<'a> = HashMap<&'a str, tokio_postgres::Statement>;

async fn prepare<'a, P>(
    link: &Link,
    statements: &'a [Statement<P>],
) -> Result<Prepared<'a>, Error> {
    let mut texts: Vec<_> = statements.iter().map(|one| one.sql.as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    let prepared = try_join_all(texts.iter().map(|sql| link.prepared(sql))).await?;
    Ok(texts.into_iter().zip(prepared).collect())
}

/// The order in which `statements` run, as indices. Callers that wait at the same time have no order among them. In this one,
/// groups that change the same rows by the same statement, with the key as its first parameter, do not deadlock each other.
fn order<P: Parameter>(statements: &[Statement<P>], prepared: &Prepared<'_>) -> Vec<usize> {
    let mut order: Vec<_> = (0..statements.len()).collect();
    order.sort_by_cached_key(|&index| {
        let statement = &statements[index];
        let prepared = prepared.get(statement.sql.as_str());
        let key = prepared.map(|prepared| key(&statement.parameters, prepared.params()));
        (statement.sql.as_str(), key)
    });
    order
}

/// The parameters as the server gets them, as far as changes are ordered by them.
fn key<P: Parameter>(parameters: &[P], types: &[tokio_postgres::types::Type]) -> BytesMut {
    let mut key = BytesMut::new();
    for (parameter, ty) in parameters.iter().zip(types) {
        if key.len() >= MAX_KEY_BYTES {
            break;
        }
        // One that cannot be encoded is not run, so that its place does not matter.
        let _ = Encoded(parameter).to_sql_checked(ty, &mut key);
    }
    key.truncate(MAX_KEY_BYTES);
    key
}

/// How one statement of a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End<'a> {
    Done,
    /// The server refused it.
    Refused,
    /// This side could do nothing with the answer, or did not send it. The server knows nothing of that.
    Failed,
    /// The connection broke, for this reason.
    Unknown(&'a str),
}

impl<'a> End<'a> {
    fn of<T>(result: &'a Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(error) => match error.doubt() {
                Some(reason) => Self::Unknown(reason),
                None if error.is_of_server() => Self::Refused,
                None => Self::Failed,
            },
        }
    }
}

/// What the ends of `BEGIN`, of the changes and of `COMMIT` mean together.
#[derive(Debug, PartialEq, Eq)]
enum Conclusion<'a> {
    Committed,
    RolledBack(Option<usize>),
    Unknown(&'a str),
}

/// `None` among `changes` is one that was not sent.
fn conclude<'a>(begun: End<'a>, changes: &[Option<End<'a>>], committed: End<'a>) -> Conclusion<'a> {
    let ends = changes.iter().flatten().copied();
    let doubt = ends.chain([begun, committed]).find_map(|end| match end {
        End::Unknown(reason) => Some(reason),
        _ => None,
    });
    if let Some(reason) = doubt {
        return Conclusion::Unknown(reason);
    }
    let refused = changes.iter().position(|end| *end == Some(End::Refused));
    if begun == End::Done && (committed != End::Done || refused.is_some()) {
        return Conclusion::RolledBack(refused);
    }
    // If BEGIN was refused there was no transaction, and each change has run by itself.
    Conclusion::Committed
}

async fn poll_once(mut future: Pin<&mut impl Future>) {
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        begun: End<'_>,
        second: Option<End<'_>>,
        committed: End<'_>,
        expected: Conclusion<'_>,
    ) {
        let changes = [Some(End::Done), second, Some(End::Done)];
        assert_eq!(conclude(begun, &changes, committed), expected);
    }

    #[test]
    fn a_transaction_is_committed_or_rolled_back_as_a_whole() {
        use End::{Done, Failed, Refused};

        check(Done, Some(Done), Done, Conclusion::Committed);
        let rolled_back = || Conclusion::RolledBack(Some(1));
        check(Done, Some(Refused), Done, rolled_back());
        check(Done, Some(Refused), Refused, rolled_back());
        check(Done, Some(Done), Refused, Conclusion::RolledBack(None));
        // It was not sent.
        check(Done, None, Done, Conclusion::Committed);
        // The server has committed a change whose answer this side could not take.
        check(Done, Some(Failed), Done, Conclusion::Committed);
        check(Done, Some(Failed), Refused, Conclusion::RolledBack(None));
    }

    #[test]
    fn without_a_transaction_each_change_stands_for_itself() {
        use End::{Done, Refused};

        check(Refused, Some(Done), Done, Conclusion::Committed);
        check(Refused, Some(Refused), Done, Conclusion::Committed);
    }

    #[test]
    fn a_broken_connection_leaves_everything_unknown() {
        use End::{Done, Refused, Unknown};

        let lost = Unknown("gone");
        for (begun, second, committed) in [
            (lost, Done, lost),
            (Done, lost, lost),
            (Done, Done, lost),
            (Done, Refused, lost),
        ] {
            check(begun, Some(second), committed, Conclusion::Unknown("gone"));
        }
    }
}
