//! How long statements are waited for.

use std::time::Duration;

/// A connection that has not answered for so long is stalled: new statements go elsewhere.
pub const STALLED_AFTER: Duration = Duration::from_millis(50);

/// How long a statement that its caller has given up may go on before its connection is given up, too.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(1);

/// How often it is checked until then, and the pause between two cancellations: each ends one of the statements that wait in
/// the connection.
pub const MAX_CHECKS: u32 = 1000;
pub const CANCEL_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause, to which it doubles while the server does not take cancellations.
pub const MAX_CANCEL_PAUSE: Duration = Duration::from_secs(30);
