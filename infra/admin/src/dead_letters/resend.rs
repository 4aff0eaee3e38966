//! Accepting a message anew that was given up: the same text and files from the same sender, as the
//! conversation's next message. It goes through the transaction that every message goes through, so
//! it is counted, and stored once.

use crate::Failure;
use crate::place::Place;
use domain::accept::request_hash;
use domain::delivery::Status;
use domain::{Channel, Content, MessageId, Problem, Refusal};
use platform::queue::AbandonedMessage;
use platform::table::record::{Conversation, Message};
use platform::table::{AcceptOutcome, MessageDraft};

/// What came of one.
pub(super) enum Resent {
    /// Nothing, as it was asked for: it would be accepted.
    Would,
    /// It has a new id.
    As(MessageId),
    /// There is no need to.
    Needless(&'static str),
    /// A rule says no.
    Refused(String),
}

/// Accepts one anew.
pub(super) async fn resend(
    place: &Place,
    copy: &AbandonedMessage,
    dry_run: bool,
) -> Result<Resent, Failure> {
    let AbandonedMessage { business, conversation: conversation_id, message: id, .. } = copy;
    let table = &place.table;
    let Some(message) = table.message(*business, *conversation_id, *id).await? else {
        return Ok(Resent::Refused("there is no such message".into()));
    };
    match message.status {
        Status::Failed => {}
        Status::Sent | Status::Delivered | Status::Read => {
            return Ok(Resent::Needless("has arrived meanwhile"));
        }
        // The letter is written before the message's end: whoever wrote it died in between, and it
        // goes on.
        Status::Queued | Status::Sending | Status::InDoubt => {
            return Ok(Resent::Needless("is being sent anyway"));
        }
    }
    let Some(conversation) = table.conversation(*business, *conversation_id).await? else {
        return Ok(Resent::Refused("there is no such conversation".into()));
    };
    let draft = match draft(place, copy, &conversation, message).await? {
        Ok(draft) => draft,
        Err(refusal) => return Ok(Resent::Refused(Problem::from(refusal).detail)),
    };
    if dry_run {
        return Ok(Resent::Would);
    }
    Ok(match table.accept(&draft, conversation.seq, None).await? {
        AcceptOutcome::Accepted(message) | AcceptOutcome::Replayed(message) => {
            Resent::As(message.id)
        }
        AcceptOutcome::Refused(refusal) => Resent::Refused(Problem::from(refusal).detail),
        AcceptOutcome::ChannelChanged => {
            Resent::Refused("the conversation is changing channel: try again".into())
        }
    })
}

/// What the conversation's channel lets through now.
async fn draft(
    place: &Place,
    copy: &AbandonedMessage,
    conversation: &Conversation,
    message: Message,
) -> Result<Result<MessageDraft, Refusal>, Failure> {
    let name = conversation.channel.clone();
    let Some(channel) = Channel::from_wire(&name) else {
        return Ok(Err(Refusal::ChannelNotSupported { channel: name }));
    };
    let record = place.table.channel(copy.business, conversation.channel_id).await?;
    let Some(record) = record.filter(|record| record.is_active) else {
        return Ok(Err(Refusal::ChannelInactive));
    };
    let now = place.now();
    let Some(content) = Content::new(message.content) else {
        return Err(Failure::new(format!("message {} has no text", message.id)));
    };
    let files = message.attachments.len();
    let allowed = channel
        .check_content(&content, files)
        .and_then(|()| channel.check_files(&message.attachments));
    let (window, has_template) = (conversation.window_expires_at, record.settings.has_template());
    let way = allowed
        .and_then(|()| channel.send_mode(content.as_str(), files, window, has_template, now));
    // A key with a space in it: no request can carry it.
    let key = format!("redrive {}", copy.message);
    let hash = request_hash([copy.message.to_string().as_str()]);
    Ok(way.map(|_| MessageDraft {
        business: copy.business,
        conversation: copy.conversation,
        wire_channel: name,
        channel,
        sender: message.sender,
        content,
        attachments: message.attachments,
        idempotency: Some((key, hash)),
        correlation_id: message.correlation_id,
        now,
    }))
}
