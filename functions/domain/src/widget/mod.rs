//! Limits of one visitor's widgets on the chat's WebSocket, so that no visitor slows another down.
//! The numbers are ours: far above what the widget needs, far below what would be noticed.
//!
//! A limit is kept in the table, with its connection or conversation, and is exact whatever comes
//! at once. Only the first [idle frames](UNCOUNTED_IDLE_FRAMES) of a minute cost no write.

mod message;
mod minute;
mod refusal;
mod replays;
mod tabs;

pub use message::{MessageRefusal, VisitorMessage};
pub use minute::MinuteCount;
pub use refusal::WidgetRefusal;
pub use replays::{ReplayDecision, ReplayState};
pub use tabs::{BarOutcome, Tabs, TabsAdmission};

use chrono::{DateTime, TimeDelta, Utc};

/// The most tabs of one conversation that are connected at once. A visitor has a few open; twenty
/// are more than a browser's window shows, and each costs a call for each message.
pub const MAX_TABS: usize = 20;

/// The most connections that one conversation opens in a minute: each of [`MAX_TABS`] tabs comes
/// back twice. The widget's waits double to 30 seconds, so a line that breaks all the time makes a
/// tab come back three times in its first two seconds and twice a minute in the long run.
pub const CONNECTIONS_PER_MINUTE: u32 = 40;

/// The longest time from the handshake to the hello. The widget says hello at once; a telephone's
/// slow line takes a second or two.
pub const HELLO_TIMEOUT: TimeDelta = TimeDelta::seconds(10);

/// The most replays of one connection in a minute: each `hello`, and each `resume` that brings
/// something. The widget asks once when it connects, once after four silent minutes, and once for
/// each gap, at most one a second.
pub const REPLAYS_PER_MINUTE: u32 = 30;

/// The longest time that a replay may run: the time-out of the function that does it. A replay that
/// has not ended by then was cut off with its function.
pub const REPLAY_TIMEOUT: TimeDelta = TimeDelta::seconds(10);

/// The most frames of one conversation in a minute that change nothing: pings, a `resume` that
/// brings nothing, frames that are refused, and receipts that the connection has sent before or
/// that are about no message. A widget whose message does not come asks five times in half a
/// minute, and each of [`MAX_TABS`] may. The first `ack` and the first `read` of a message weigh
/// less ([`RECEIPTS_PER_IDLE_FRAME`]): every tab reports what it shows, and another may have been
/// faster.
pub const IDLE_FRAMES_PER_MINUTE: u32 = 120;

/// How many receipts that another tab was faster with weigh as much as one idle frame. Six tabs
/// that show a hundred messages in a minute send a thousand of them, and so does a page without a
/// memory whose visitor comes back to five hundred messages.
pub const RECEIPTS_PER_IDLE_FRAME: u32 = 10;

/// How many idle frames of a conversation each process of the function lets pass in a minute before
/// it counts them in the table. The widget sends one in four silent minutes, which then costs no
/// write; a flood that a hundred processes get at once passes 200 beyond its limit.
pub const UNCOUNTED_IDLE_FRAMES: u32 = 2;

/// How long a conversation opens no connection after it or one of its connections has reached a
/// limit, by which they all were ended. A limit that ended the one connection alone would be
/// reached on the next one as well, and the throttle of the API, which is everyone's, with it.
pub const BAR: TimeDelta = TimeDelta::minutes(1);

/// The most characters of a message that a visitor writes. Each takes four bytes at most, so that
/// the message fits into one frame of the WebSocket, of [32
/// KB](https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html):
/// a browser cannot be told to send it in several, and a larger one ends the connection.
pub const MAX_MESSAGE_CHARACTERS: usize = 8_000;

/// The most characters of the name that a widget gives a message; a UUID has 36.
pub const MAX_CLIENT_ID_CHARACTERS: usize = 64;

/// The most messages of one conversation in a minute. A person writes a line in two seconds at
/// best.
pub const MESSAGES_PER_MINUTE: u32 = 30;

/// How many of the customer's messages a widget is shown at once. Their event takes what fits into
/// one message of the WebSocket.
pub const CUSTOMER_MESSAGES_PAGE: usize = 50;

/// Returns the whole seconds until `at`, rounded up, and one at least.
fn seconds_until(at: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    (at - now).num_milliseconds().max(0).unsigned_abs().div_ceil(1_000).max(1)
}
