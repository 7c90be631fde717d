//! Which requests an application works on: first their bodies have to be there, then there has to be a slot.

use crate::guest::{Outcome, RequestBody, Waiting, declared_length, held_bytes};
use crate::limits::{Limits, Slot, Slots};
use crate::problem::Problem;
use crate::telemetry::{Metrics, Refusal};
use bytes::Bytes;
use http::Request;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

/// Of so many requests in flight one may have a body that is not whole yet, at most.
const UNFINISHED_SHARE: usize = 4;

/// What all threads of an application have together. Clones are the same.
#[derive(Clone)]
pub(crate) struct Admission {
    in_flight: Slots,
    /// Those of the requests in flight whose bodies are not whole.
    unfinished: Slots,
    /// The requests before that.
    waiting: Waiting,
    metrics: Metrics,
}

/// The slots of a request in flight, until this is dropped.
pub(crate) struct Admitted {
    _in_flight: Slot,
    _unfinished: Option<Slot>,
}

impl Admission {
    pub fn new(limits: &Limits, metrics: Metrics) -> Self {
        let unfinished = limits.max_in_flight.div_ceil(UNFINISHED_SHARE);
        Self {
            in_flight: Slots::new(limits.max_in_flight),
            unfinished: Slots::new(unfinished),
            waiting: Waiting::new(limits.waiting_memory),
            metrics,
        }
    }

    /// Receives the body of `request`, or the beginning of a long one.
    ///
    /// # Errors
    /// If it breaks off or goes beyond its limits, or others need the place of the request.
    pub async fn receive<B>(
        &self,
        request: &mut Request<RequestBody<B>>,
        outcome: &Outcome,
    ) -> Result<(), Problem>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        // Who waits to be asked is asked by the component, which may refuse the request without its body.
        if request.body().waits_to_be_asked() {
            return Ok(());
        }
        let held = held_bytes(request.headers(), declared_length(request.headers()));
        let failed = |_| outcome.ending().map_or(Problem::InvalidBody, Problem::from);
        let mut receiving = pin!(request.body_mut().receive_ahead());
        // A body that came with its head, as most do, is there now, and does not wait.
        if let Some(received) = without_waiting(receiving.as_mut()).await {
            return received.map_err(failed);
        }
        let refused = || self.refuse(Refusal::WaitingBodies);
        let mut place = self.waiting.enter(held).ok_or_else(refused)?;
        tokio::select! {
            biased;
            received = receiving => received.map_err(failed),
            () = place.lost() => Err(refused()),
        }
    }

    /// Takes a slot for a request whose body is whole, or is not.
    ///
    /// # Errors
    /// If there is none.
    pub fn admit(&self, is_whole: bool) -> Result<Admitted, Problem> {
        let refused = || self.refuse(Refusal::InFlight);
        let unfinished = match is_whole {
            true => None,
            false => Some(self.unfinished.take().ok_or_else(refused)?),
        };
        Ok(Admitted {
            _in_flight: self.in_flight.take().ok_or_else(refused)?,
            _unfinished: unfinished,
        })
    }

    /// Counts a refusal.
    pub fn refuse(&self, reason: Refusal) -> Problem {
        self.metrics.refusal(reason);
        Problem::Overloaded
    }
}

/// What `work` comes to if it is polled twice; it has to wake its task after the first time. `None` if it has to wait then.
async fn without_waiting<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut is_first = true;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if std::mem::take(&mut is_first) => Poll::Pending,
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
