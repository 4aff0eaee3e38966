//! The refusals of the WebSocket, and how they are worded.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{
    BAR, CONNECTIONS_PER_MINUTE, HELLO_TIMEOUT, IDLE_FRAMES_PER_MINUTE, MAX_TABS,
    REPLAYS_PER_MINUTE,
};

/// Why a widget is refused. [`fmt::Display`] writes the sentence for people, which names the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WidgetRefusal {
    /// There is no token, or it was never valid.
    Unauthorized,
    /// The token was valid once: it has expired, or the key that signed it was withdrawn.
    TokenExpired,
    /// The hello has not come in time.
    HelloTimeout,
    /// Something else came before the hello.
    HelloFirst,
    /// A second hello has a token for another conversation.
    OtherConversation,
    /// A newer tab has taken this one's place.
    TooManyTabs,
    /// The connection has no record: it was removed, and API Gateway has not ended it.
    UnknownConnection,
    /// The conversation has opened too many connections; it may open the next one then.
    TooManyConnections(DateTime<Utc>),
    /// The connection has asked for too many replays; its conversation may come back then.
    TooManyReplays(DateTime<Utc>),
    /// The conversation has sent too many frames that change nothing; it may come back then.
    TooManyFrames(DateTime<Utc>),
    /// Another connection of the conversation has reached one of these two limits; the conversation
    /// may come back then.
    Barred(DateTime<Utc>),
}

impl WidgetRefusal {
    /// Returns the reason for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            WidgetRefusal::Unauthorized => "unauthorized",
            WidgetRefusal::TokenExpired => "token_expired",
            WidgetRefusal::HelloTimeout => "hello_timeout",
            WidgetRefusal::HelloFirst => "hello_first",
            WidgetRefusal::OtherConversation => "other_conversation",
            WidgetRefusal::TooManyTabs => "too_many_tabs",
            WidgetRefusal::UnknownConnection => "unknown_connection",
            WidgetRefusal::TooManyConnections(_) => "too_many_connections",
            WidgetRefusal::TooManyReplays(_) => "too_many_replays",
            WidgetRefusal::TooManyFrames(_) => "too_many_frames",
            WidgetRefusal::Barred(_) => "barred",
        }
    }

    /// True if the refusal ends the connection: nothing that could follow on it would be answered.
    #[must_use]
    pub fn ends_connection(self) -> bool {
        match self {
            WidgetRefusal::HelloFirst | WidgetRefusal::OtherConversation => false,
            WidgetRefusal::Unauthorized
            | WidgetRefusal::TokenExpired
            | WidgetRefusal::HelloTimeout
            | WidgetRefusal::TooManyTabs
            | WidgetRefusal::UnknownConnection
            | WidgetRefusal::TooManyConnections(_)
            | WidgetRefusal::TooManyReplays(_)
            | WidgetRefusal::TooManyFrames(_)
            | WidgetRefusal::Barred(_) => true,
        }
    }

    /// Returns in how many seconds the widget may come back, rounded up; `None` if time alone does
    /// not help.
    #[must_use]
    pub fn retry_after(self, now: DateTime<Utc>) -> Option<u64> {
        self.ends_at().map(|at| super::seconds_until(at, now))
    }

    /// Returns when the widget may come back; `None` if time alone does not help.
    #[must_use]
    pub fn ends_at(self) -> Option<DateTime<Utc>> {
        match self {
            WidgetRefusal::TooManyConnections(at)
            | WidgetRefusal::TooManyReplays(at)
            | WidgetRefusal::TooManyFrames(at)
            | WidgetRefusal::Barred(at) => Some(at),
            WidgetRefusal::Unauthorized
            | WidgetRefusal::TokenExpired
            | WidgetRefusal::HelloTimeout
            | WidgetRefusal::HelloFirst
            | WidgetRefusal::OtherConversation
            | WidgetRefusal::TooManyTabs
            | WidgetRefusal::UnknownConnection => None,
        }
    }
}

impl fmt::Display for WidgetRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WidgetRefusal::Unauthorized => f.write_str("a valid visitor token is required"),
            WidgetRefusal::TokenExpired => {
                f.write_str("the visitor token is over; come back with a new one")
            }
            WidgetRefusal::HelloTimeout => {
                let seconds = HELLO_TIMEOUT.num_seconds();
                write!(f, "a connection says hello within {seconds} seconds")
            }
            WidgetRefusal::HelloFirst => f.write_str("say hello first"),
            WidgetRefusal::OtherConversation => {
                f.write_str("a connection is one conversation's; open another one")
            }
            WidgetRefusal::TooManyTabs => {
                write!(
                    f,
                    "a conversation has at most {MAX_TABS} tabs; a newer one has replaced this"
                )
            }
            WidgetRefusal::UnknownConnection => {
                f.write_str("the connection is not known any more; open another one")
            }
            WidgetRefusal::TooManyConnections(_) => {
                write!(
                    f,
                    "a conversation opens at most {CONNECTIONS_PER_MINUTE} connections a minute"
                )
            }
            WidgetRefusal::TooManyReplays(_) => {
                write!(f, "a connection has at most {REPLAYS_PER_MINUTE} replays a minute")
            }
            WidgetRefusal::TooManyFrames(_) => write!(
                f,
                "a conversation sends at most {IDLE_FRAMES_PER_MINUTE} frames a minute that change \
                 nothing"
            ),
            WidgetRefusal::Barred(_) => write!(
                f,
                "another connection of the conversation has reached a limit; all were ended, and \
                 none is opened for {} seconds",
                BAR.num_seconds()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_refusal_names_its_limit_and_when_to_come_back() {
        let now = DateTime::UNIX_EPOCH;
        let then = now + TimeDelta::milliseconds(4_001);
        for (refusal, limit) in [
            (WidgetRefusal::TooManyConnections(then), CONNECTIONS_PER_MINUTE),
            (WidgetRefusal::TooManyReplays(then), REPLAYS_PER_MINUTE),
            (WidgetRefusal::TooManyFrames(then), IDLE_FRAMES_PER_MINUTE),
            (WidgetRefusal::Barred(then), 60),
        ] {
            assert!(refusal.to_string().contains(&limit.to_string()), "{refusal}");
            assert_eq!(refusal.retry_after(now), Some(5));
            assert_eq!(refusal.retry_after(then), Some(1), "never at once");
        }
        assert!(WidgetRefusal::TooManyTabs.to_string().contains("20"));
        assert!(WidgetRefusal::HelloTimeout.to_string().contains("10 seconds"));
        assert_eq!(WidgetRefusal::TokenExpired.retry_after(now), None);
    }
}
