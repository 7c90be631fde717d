//! The concurrency limit of a thread.

use std::future::Future;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

/// Each thread works on at most so many requests at once. The others wait and then reuse an instance whose memory is
/// warm: with an instance for each of hundreds of requests that wait for a fast database, each took twice the CPU.
const MAX_CONCURRENT: usize = 64;

/// How long a request keeps its slot. After that (a slow database, a slow client) it gives up the slot and continues:
/// a thread starts at least 64 requests in 10 ms, however long they take.
const SLOT_TIME: Duration = Duration::from_millis(10);

/// The slots of one thread.
pub(crate) struct ConcurrencyLimit(Semaphore);

impl ConcurrencyLimit {
    pub fn new() -> Self {
        Self(Semaphore::new(MAX_CONCURRENT))
    }

    /// Waits for a slot, then runs `work` to its end.
    ///
    /// # Errors
    /// If that takes longer than `limit`.
    pub async fn run<T>(
        &self,
        limit: Duration,
        mut work: impl Future<Output = T> + Unpin,
    ) -> Result<T, Elapsed> {
        let deadline = Instant::now() + limit;
        // No timer where there is a slot.
        let slot = match self.0.try_acquire() {
            Ok(slot) => Ok(slot),
            Err(_) => timeout_at(deadline, self.0.acquire()).await?,
        };
        // One timer after the other: nearly all work ends within the first.
        if let Ok(done) = timeout(SLOT_TIME.min(limit), &mut work).await {
            return Ok(done);
        }
        drop(slot);
        timeout_at(deadline, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::cell::Cell;
    use std::future::pending;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_request_starts_when_another_has_ended_or_given_up_its_slot() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(async {
            let (limit, started) = (ConcurrencyLimit::new(), Cell::new(0));
            let endless = async || {
                started.set(started.get() + 1);
                pending::<()>().await;
            };
            let all = join_all((0..=MAX_CONCURRENT).map(|_| limit.run(LONG, Box::pin(endless()))));
            let mut all = Box::pin(all);

            assert!(timeout(SLOT_TIME / 2, &mut all).await.is_err());
            assert_eq!(started.get(), MAX_CONCURRENT, "all slots are taken");

            assert!(timeout(SLOT_TIME * 2, &mut all).await.is_err());
            assert_eq!(started.get(), MAX_CONCURRENT + 1, "the slots were given up");

            drop(all);
            limit.run(LONG, Box::pin(async {})).await.unwrap();
        });
    }
}
