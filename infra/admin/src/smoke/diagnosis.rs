//! Why a message did not reach the widget, as the table has it.

use chrono::{DateTime, Utc};

use crate::report::{time, with_provider_code};
use crate::target::Target;
use domain::delivery::Status;
use domain::{BusinessId, ConversationId, MessageId};
use platform::table::record::Message;

/// Explains why the widget has not got a message. `fence` is that of the conversation before: each
/// claim of a worker has raised it.
pub(super) async fn undelivered(
    target: &Target,
    business_id: BusinessId,
    conversation_id: ConversationId,
    message_id: MessageId,
    fence: u64,
) -> String {
    let message = target.table.message(business_id, conversation_id, message_id).await;
    let conversation = target.table.conversation(business_id, conversation_id).await;
    match (message, conversation) {
        (Ok(Some(message)), Ok(Some(conversation))) => {
            let now = target.now();
            explain(&message, conversation.fence > fence, conversation.lease_until, now)
        }
        (Err(error), _) | (_, Err(error)) => error.chain(),
        (Ok(None), _) | (_, Ok(None)) => {
            "the API answered 201, and the message is not in the table".to_owned()
        }
    }
}

/// A `lease` that is over is one of a worker that did not let go of the conversation.
fn explain(
    message: &Message,
    is_claimed: bool,
    lease: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> String {
    let last = message.last_reason().map_or_else(String::new, |last| {
        let code = with_provider_code(&last.code, last.provider_code.as_deref());
        format!("; the last time: {code}, {}", last.detail)
    });

    match message.status {
        Status::Sent | Status::Delivered | Status::Read => {
            "deliver-chat handed it over and API Gateway took it, and it did not arrive on the \
             WebSocket: look at ChatLogGroup"
                .to_owned()
        }
        Status::Failed => format!("it ended failed{last}"),
        Status::Queued if message.attempts == 0 && !is_claimed => {
            match lease.filter(|it| *it > now) {
                Some(until) => format!(
                    "a worker that died before this run holds the conversation until {}; repeat it then",
                    time(until)
                ),
                None => no_worker(),
            }
        }
        Status::Queued if message.attempts == 0 && lease.is_some() => {
            "a worker has claimed the conversation and not come to the message: look at the log of \
             deliver-chat"
                .to_owned()
        }
        Status::Queued if message.attempts == 0 => {
            "deliver-chat came to the conversation and put it off: it found no open tab of the \
             widget, or a message before this one waits; `list stuck` and `message show` say which"
                .to_owned()
        }
        Status::Queued | Status::Sending | Status::InDoubt => format!(
            "deliver-chat has tried {} times and could not hand it over{last}; look at its log",
            message.attempts
        ),
    }
}

fn no_worker() -> String {
    "no worker has looked at it: the doorbell in ChatQueue was lost, or deliver-chat does not run \
     (is its event source mapping enabled?) or fails at its start; sweep-outbox rings again each \
     minute, so repeat with a --timeout of over 60 seconds"
        .to_owned()
}
