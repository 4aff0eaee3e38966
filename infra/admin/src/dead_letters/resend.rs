//! Accepts a message anew that was given up: the same text and files from the same sender, as the
//! conversation's next message. It goes through the transaction of every message, so it is counted,
//! and stored once.

use std::ops::ControlFlow;

use crate::failure::Failure;
use crate::target::Target;
use domain::accept::request_hash;
use domain::delivery::Status;
use domain::{MessageId, Problem, Refusal};
use platform::queue::AbandonedMessage;
use platform::table::record::{Conversation, Message};
use platform::table::{AcceptOutcome, MessageDraft, key};

/// Outcome of accepting a message anew.
pub(super) enum ResendOutcome {
    /// Dry run: the message would be accepted.
    WouldAccept,
    /// The message was accepted, with this new id.
    Accepted(MessageId),
    /// The message need not be sent again; the text says why.
    Unnecessary(&'static str),
    /// A rule refuses the message.
    Refused(String),
}

/// Accepts a message anew, unless it arrived after all or a rule refuses it.
pub(super) async fn resend(
    target: &Target,
    copy: &AbandonedMessage,
    dry_run: bool,
) -> Result<ResendOutcome, Failure> {
    let AbandonedMessage { business_id, conversation_id, message_id, .. } = *copy;
    let table = &target.table;

    let Some(message) = table.message(business_id, conversation_id, message_id).await? else {
        return Ok(ResendOutcome::Refused("there is no such message".into()));
    };

    match message.status {
        Status::Failed if message.content.is_erased() => {
            return Ok(ResendOutcome::Refused("the message was erased".into()));
        }
        Status::Failed => {}
        Status::Sent | Status::Delivered | Status::Read => {
            return Ok(ResendOutcome::Unnecessary("has arrived meanwhile"));
        }
        // A worker writes the letter before it marks the message as failed. This worker died in
        // between, so another one sends the message.
        Status::Queued | Status::Sending | Status::InDoubt => {
            return Ok(ResendOutcome::Unnecessary("is being sent anyway"));
        }
    }

    let Some(conversation) = table.conversation(business_id, conversation_id).await? else {
        return Ok(ResendOutcome::Refused("there is no such conversation".into()));
    };

    let draft = match draft_message(target, copy, &conversation, message).await? {
        ControlFlow::Continue(draft) => draft,
        ControlFlow::Break(refusal) => {
            return Ok(ResendOutcome::Refused(Problem::from(refusal).detail));
        }
    };
    if dry_run {
        return Ok(ResendOutcome::WouldAccept);
    }

    Ok(match table.accept(&draft, conversation.seq, None, None).await? {
        AcceptOutcome::Accepted(message) | AcceptOutcome::Replayed(message) => {
            ResendOutcome::Accepted(message.id)
        }
        AcceptOutcome::Refused(refusal) => ResendOutcome::Refused(Problem::from(refusal).detail),
        AcceptOutcome::ChannelChanged | AcceptOutcome::UploadsChanged => {
            ResendOutcome::Refused("the conversation is changing channel: try again".into())
        }
    })
}

/// Drafts the new message, or breaks with the reason why the conversation's channel refuses it now.
async fn draft_message(
    target: &Target,
    copy: &AbandonedMessage,
    conversation: &Conversation,
    message: Message,
) -> Result<ControlFlow<Refusal, MessageDraft>, Failure> {
    let channel = match conversation.channel.supported() {
        Ok(channel) => channel,
        Err(refusal) => return Ok(ControlFlow::Break(refusal)),
    };

    let record = target.table.channel(copy.business_id, conversation.channel_id).await?;
    let Some(record) = record.filter(|record| record.is_active) else {
        return Ok(ControlFlow::Break(Refusal::ChannelInactive));
    };

    let now = target.now();
    let text = message.content.as_str();
    let file_count = message.attachments.len();
    let window = conversation.window_expires_at;
    let has_template = record.settings.has_template();
    let check = channel
        .check_content(&message.content, file_count)
        .and_then(|()| channel.check_files(&message.attachments))
        .and_then(|()| channel.send_mode(text, file_count, window, has_template, now));

    if let Err(refusal) = check {
        return Ok(ControlFlow::Break(refusal));
    }

    // No request can carry this idempotency key, because it has a space in it.
    let key = key::idempotency(copy.business_id, &format!("redrive {}", copy.message_id));
    let hash = request_hash([copy.message_id.to_string().as_str()]);

    Ok(ControlFlow::Continue(MessageDraft {
        business_id: copy.business_id,
        conversation_id: copy.conversation_id,
        conversation_channel: conversation.channel.clone(),
        channel,
        sender: message.sender,
        content: message.content,
        attachments: message.attachments,
        metadata: message.metadata,
        // They were referenced by the message that is sent again.
        new_uploads: Vec::new(),
        idempotency: Some((key, hash)),
        correlation_id: message.correlation_id,
        // It stays for as long as the first one would have.
        keep_until: message
            .keep_until
            .map(|at| at - message.created_at.timestamp() + now.timestamp()),
        now,
    }))
}
