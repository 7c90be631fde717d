//! One HTTP request of a component: how long it took, its span, how it was answered.

use super::labels::OutgoingLabels;
use super::metrics::Metrics;
use super::trace::Span;
use std::time::Instant;

/// A request in progress. It is counted when it is dropped.
pub(crate) struct OutgoingRequest {
    metrics: Metrics,
    /// `None` where nothing is measured.
    started: Option<Instant>,
    span: Option<Span>,
    labels: OutgoingLabels,
}

impl OutgoingRequest {
    /// It begins, as part of the span `parent`. `method` is one that OpenTelemetry knows.
    pub fn begin(metrics: &Metrics, parent: Option<&Span>, method: &'static str) -> Self {
        Self {
            metrics: metrics.clone(),
            started: metrics.is_enabled().then(Instant::now),
            span: parent.map(|parent| parent.outgoing_request(method)),
            labels: OutgoingLabels {
                http_request_method: method,
                http_response_status_code: 0,
                // One that is dropped before its end was cancelled together with the request of the component's caller.
                error_type: "cancelled",
            },
        }
    }

    /// The span, for the server that is called.
    pub fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    /// The head of a response is there.
    pub fn answered(mut self, status: u16) {
        self.labels.http_response_status_code = status;
        self.labels.error_type = "";
    }

    /// There is no response, because of an error of this kind.
    pub fn fail(mut self, error_type: &'static str) {
        self.labels.error_type = error_type;
    }
}

impl Drop for OutgoingRequest {
    fn drop(&mut self) {
        let labels = &self.labels;
        if let Some(span) = &self.span {
            match labels.error_type {
                "" => span.answered(labels.http_response_status_code),
                error_type => span.fail(error_type),
            }
        }
        if let Some(started) = self.started {
            let duration = started.elapsed();
            self.metrics.outgoing_request(labels.clone(), duration);
        }
    }
}
