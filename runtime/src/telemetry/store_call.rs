//! One call of a component to a store: its duration, its span, how it ended.

use super::labels::{Store, StoreLabels};
use super::metrics::Metrics;
use super::trace::Span;
use std::time::Instant;

/// Where the calls of a request are reported, and the span that they are part of.
#[derive(Clone, Copy)]
pub(crate) struct Calls<'a> {
    pub metrics: &'a Metrics,
    pub parent: Option<&'a Span>,
}

impl<'a> Calls<'a> {
    /// A call begins. `operation` is a word of the host's; `statement` is SQL without values, for the span.
    pub fn begin(
        self,
        store: Store,
        operation: &'static str,
        statement: Option<String>,
    ) -> Call<'a> {
        Call {
            metrics: self.metrics,
            started: self.metrics.is_enabled().then(Instant::now),
            span: self
                .parent
                .map(|parent| parent.store_call(store.as_str(), operation, statement)),
            labels: StoreLabels {
                db_system_name: store,
                db_operation_name: operation,
                // A call that is dropped before its end was cancelled together with the request.
                error_type: "cancelled",
            },
        }
    }
}

/// A call in progress. It is counted when it is dropped.
pub(crate) struct Call<'a> {
    metrics: &'a Metrics,
    /// `None` where nothing is measured.
    started: Option<Instant>,
    span: Option<Span>,
    labels: StoreLabels,
}

impl Call<'_> {
    /// The call has succeeded, or failed with an error of this kind.
    pub fn end(mut self, error_type: Option<&'static str>) {
        self.labels.error_type = error_type.unwrap_or_default();
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(started) = self.started {
            self.metrics
                .store_call(self.labels.clone(), started.elapsed());
        }
        if let Some(span) = &self.span
            && !self.labels.error_type.is_empty()
        {
            span.fail(self.labels.error_type);
        }
    }
}
