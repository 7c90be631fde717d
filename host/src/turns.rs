//! Turns: how much one thread works on side by side.

use std::future::Future;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many requests one thread works on side by side. The others wait for one of their instances, whose memory is warm:
/// with an instance for each of hundreds of requests that wait for a fast database, each took twice the CPU.
const MAX_ABREAST: usize = 64;

/// How long a request keeps its turn. What takes longer (a slow database, a slow caller) leaves it to the next, and goes on: a
/// thread begins at least 64 requests in 10 ms, however long they take.
const TURN: Duration = Duration::from_millis(10);

/// The turns of one thread.
pub struct Turns(Semaphore);

impl Turns {
    pub fn new() -> Self {
        Self(Semaphore::new(MAX_ABREAST))
    }

    /// Does `work` when it is its turn.
    pub async fn wait<T>(&self, mut work: impl Future<Output = T> + Unpin) -> T {
        let turn = self.0.acquire().await;
        if let Ok(done) = timeout(TURN, &mut work).await {
            return done;
        }
        drop(turn);
        work.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::cell::Cell;
    use std::future::pending;

    #[test]
    fn one_more_begins_when_another_has_ended_or_taken_long() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(async {
            let (turns, begun) = (Turns::new(), Cell::new(0));
            let endless = async || {
                begun.set(begun.get() + 1);
                pending::<()>().await;
            };
            let all = join_all((0..=MAX_ABREAST).map(|_| turns.wait(Box::pin(endless()))));
            let mut all = Box::pin(all);

            assert!(timeout(TURN / 2, &mut all).await.is_err());
            assert_eq!(begun.get(), MAX_ABREAST, "each has its turn");

            assert!(timeout(TURN * 2, &mut all).await.is_err());
            assert_eq!(begun.get(), MAX_ABREAST + 1, "each has had its turn");

            drop(all);
            turns.wait(Box::pin(async {})).await;
        });
    }
}
