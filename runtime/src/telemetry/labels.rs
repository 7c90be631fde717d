//! The labels of metrics. Each name is written once, here; none has a value that a client chose.

use http::Method;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::fmt;

/// An enum whose variants are the values of a label. With `all`, it has a list of them, for series that are there from the
/// start.
macro_rules! label {
    ($(#[$doc:meta])* all $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        label! { $(#[$doc])* $name { $($(#[$variant_doc])* $variant = $value,)+ } }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }
    };
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                EncodeLabelValue::encode(&self.as_str(), encoder)
            }
        }
    };
}

label! {
    /// Why a client was refused.
    all Refusal {
        /// Too many requests are in flight.
        InFlight = "in_flight",
        /// Too many requests wait for their bodies.
        WaitingBodies = "waiting_bodies",
        /// Too many connections are open, or they hold too much memory.
        Connections = "connections",
        /// Too many of them are from one address.
        ConnectionsPerAddress = "connections_per_address",
        /// A connection of no use was closed, so that there is a place for another.
        UnusedConnections = "unused_connections",
        /// A connection of HTTP/2 sent frames instead of requests.
        Http2Flood = "http2_flood",
    }
}

label! {
    /// How a component failed to answer.
    all GuestFailure {
        Trap = "trap",
        Timeout = "timeout",
        NoAnswer = "no_answer",
        /// It left the response body unfinished.
        Unfinished = "unfinished",
    }
}

label! {
    /// Why a component may not connect to a destination.
    all EgressRefusal {
        /// No rule names it.
        Destination = "destination",
        /// It has an address that is not public, and that no rule names.
        Address = "address",
    }
}

/// The label of [`EgressRefusal`].
pub(super) const REASON: &str = "reason";

/// The label of [`PostgresConnection`] and [`InstanceState`].
pub(super) const STATE: &str = "state";

label! {
    /// What a connection to Postgres is used for.
    all PostgresConnection {
        /// By many requests at a time.
        Shared = "shared",
        /// By one instance, or by a group commit.
        Dedicated = "dedicated",
        /// By none: it waits in the pool.
        Idle = "idle",
    }
}

label! {
    /// What an instance does.
    all InstanceState {
        /// It waits in the pool.
        Idle = "idle",
        /// It handles a request.
        Busy = "busy",
    }
}

label! {
    /// What a component calls to store data.
    Store {
        KeyValue = "key_value",
        Postgres = "postgresql",
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RefusalLabels {
    pub reason: Refusal,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct GuestFailureLabels {
    pub reason: GuestFailure,
}

/// Of a request that has ended, with the names that OpenTelemetry gives them.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub http_request_method: &'static str,
    pub http_route: &'static str,
    pub http_response_status_code: u16,
}

/// Of a call to a store that has ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub(crate) struct StoreLabels {
    pub db_system_name: Store,
    pub db_operation_name: &'static str,
    /// Empty, which means absent to Prometheus, where the operation succeeded.
    pub error_type: &'static str,
}

/// Of an HTTP request of a component that has ended, with the names that OpenTelemetry gives them.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub(crate) struct OutgoingLabels {
    pub http_request_method: &'static str,
    /// 0 where there was no answer.
    pub http_response_status_code: u16,
    /// Empty, which means absent to Prometheus, where there was one.
    pub error_type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ProblemLabels {
    pub r#type: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct BuildLabels {
    pub version: &'static str,
    pub wasmtime: &'static str,
}

/// The method, if it is one that OpenTelemetry knows (RFC 9110, RFC 5789).
pub(crate) fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| method == *known);
    known.unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_clients_make_up_are_counted_together() {
        assert_eq!(known_method(&Method::PATCH), "PATCH");
        assert_eq!(known_method(&Method::GET), "GET");
        for made_up in ["BREW", "get", "_OTHER"] {
            let method = Method::from_bytes(made_up.as_bytes()).unwrap();
            assert_eq!(known_method(&method), "_OTHER");
        }
    }
}
