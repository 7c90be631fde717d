//! Types that the driver asks the server for.
//!
//! It asks for each type that it does not know, for the types of its fields, and so on, and goes one step down the stack for
//! each, also when it forgets them. How many there are, the server says; so they are bounded here.

use crate::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio_postgres::Client;

/// The most steps of the driver for the types of one statement. A type takes one at least, a composite type two: the driver
/// waits for each before it asks for those within. A stack of 2 MiB takes 1,023 types within each other, and not 2,048.
const MAX_STEPS: usize = 512;

/// Runs `work` with `client`, in which the driver may ask for types, in a task of its own: the caller may have a small stack. It
/// is run to its end even if the caller leaves.
///
/// # Errors
/// [`Error::TooManyTypes`], and [`Error::Driver`] if the task was ended.
pub async fn asking_for_types<T: Send + 'static, W>(
    client: &Arc<Client>,
    work: impl FnOnce(Arc<Client>) -> W,
) -> Result<T, Error>
where
    W: Future<Output = T> + Send + 'static,
{
    let (client, work) = (client.clone(), work(client.clone()));
    let asking = tokio::spawn(async move {
        let mut work = pin!(work);
        let mut left = MAX_STEPS;
        let bounded = poll_fn(|context| {
            let Some(rest) = left.checked_sub(1) else {
                return Poll::Ready(None);
            };
            left = rest;
            work.as_mut().poll(context).map(Some)
        });
        let result = bounded.await;
        // Otherwise the types of the next statement could have these within them, and so on.
        client.clear_type_cache();
        result
    });
    match asking.await {
        Ok(result) => result.ok_or(Error::TooManyTypes),
        Err(error) => Err(Error::Driver(error.to_string())),
    }
}
