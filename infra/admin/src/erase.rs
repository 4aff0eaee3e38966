//! Erasing what identifies a customer. Messages are counted for ever, so they stay, emptied.
//!
//! The order makes an interrupted run harmless: the conversation is marked first and unmarked last,
//! and each step in between can be made again. `platform::table::erase` has the conditions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::command_line::{EraseConversation, EraseRecipient};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::report::{Progress, Report};
use crate::target::Target;
use domain::channel::whatsapp::CustomerId;
use domain::{BusinessId, Channel, ConversationId, Seq};
use platform::files::Files;
use platform::table::{BeginErasureOutcome, Erasure, ErasureCandidate};

/// How many messages are read at once.
const PAGE_SIZE: i32 = 100;

/// The outcome of one conversation's erasure.
struct ErasedConversation {
    conversation_id: ConversationId,
    message_count: u64,
    file_count: usize,
    /// Messages that are not settled yet.
    unsettled_count: u64,
    is_erased: bool,
}

/// Erases one conversation.
pub(crate) async fn conversation(
    target: &Target,
    args: &EraseConversation,
    consent: &Consent,
    progress: &Progress,
) -> Result<Report, Failure> {
    let EraseConversation { business_id, conversation_id } = *args;
    target.plan_of(business_id).await?;
    let conversation = target.table.conversation(business_id, conversation_id).await?;
    let conversation = conversation
        .ok_or_else(|| Failure::new("CONVERSATION_ID: the business has no such conversation"))?;

    consent.confirm(&format!(
        "The texts, files and customer's address of conversation {conversation_id} with {} \
         messages will be gone for good.",
        conversation.seq
    ))?;
    erase(target, business_id, &BTreeSet::from([conversation_id]), progress).await
}

/// Erases every conversation of one customer.
pub(crate) async fn recipient(
    target: &Target,
    args: &EraseRecipient,
    consent: &Consent,
    progress: &Progress,
) -> Result<Report, Failure> {
    target.plan_of(args.business_id).await?;
    let recipient = match args.recipient.as_str() {
        "-" => read_recipient()?,
        recipient => recipient.to_owned(),
    };
    if recipient.trim().is_empty() {
        return Err(Failure::new("RECIPIENT: an address or a number is needed"));
    }

    let mut conversation_ids = BTreeSet::new();
    let mut begun_count = 0;
    let mut cursor = None;
    loop {
        let page = target.table.operator().erasure_candidates(args.business_id, cursor).await?;
        progress.advance(page.items_read, "items read");
        for candidate in page.records {
            if candidate.is_begun || is_of(&candidate, &recipient) {
                begun_count += usize::from(candidate.is_begun);
                conversation_ids.insert(candidate.conversation_id);
            }
        }

        cursor = page.end;
        if cursor.is_none() {
            break;
        }
    }
    if conversation_ids.is_empty() {
        return Err(Failure::new("RECIPIENT: the business has no conversation with it"));
    }

    consent.confirm(&format!(
        "The texts, files and customer's address of {} conversations ({begun_count} of them from an \
         erasure that was cut short) will be gone for good.",
        conversation_ids.len()
    ))?;
    erase(target, args.business_id, &conversation_ids, progress).await
}

/// Whether a conversation is with this customer, however the address or number is written.
fn is_of(candidate: &ErasureCandidate, recipient: &str) -> bool {
    match candidate.channel.supported() {
        Ok(Channel::Whatsapp) => {
            let name = |text: &str| CustomerId::parse(text).map(|name| name.lookup_key());
            name(recipient).is_some_and(|own| name(&candidate.recipient) == Some(own))
        }
        Ok(Channel::Chat | Channel::Email) | Err(_) => {
            candidate.recipient.trim().eq_ignore_ascii_case(recipient.trim())
        }
    }
}

fn read_recipient() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::new(error.to_string()))?;
    Ok(line.trim().to_owned())
}

async fn erase(
    target: &Target,
    business_id: BusinessId,
    conversation_ids: &BTreeSet<ConversationId>,
    progress: &Progress,
) -> Result<Report, Failure> {
    let table = target.table.operator();
    let files = target.files()?;
    let mut outcomes = Vec::new();
    let mut erasures = BTreeMap::new();

    for conversation_id in conversation_ids.iter().copied() {
        let outcome = match table.begin_erasure(business_id, conversation_id, target.now()).await? {
            BeginErasureOutcome::Begun(erasure) => {
                let outcome = empty(target, &files, &erasure, progress).await?;
                erasures.insert(conversation_id, erasure);
                outcome
            }
            BeginErasureOutcome::Unsettled(unsettled_count) => {
                ErasedConversation::left(conversation_id, unsettled_count)
            }
            BeginErasureOutcome::Missing => continue,
        };
        outcomes.push(outcome);
    }

    if !erasures.is_empty() {
        let mut cursor = None;
        loop {
            let page = table.erase_references(&erasures, business_id, cursor).await?;
            progress.advance(page.items_read, "items read");
            cursor = page.end;
            if cursor.is_none() {
                break;
            }
        }
    }

    for outcome in outcomes.iter().filter(|outcome| outcome.is_erased) {
        if let Some(erasure) = erasures.get(&outcome.conversation_id) {
            table.end_erasure(erasure).await?;
        }
    }

    Ok(report(business_id, &outcomes))
}

/// Empties the messages of a conversation and deletes its files. Files of messages that came since
/// are left, and the conversation with them.
async fn empty(
    target: &Target,
    files: &Files,
    erasure: &Erasure,
    progress: &Progress,
) -> Result<ErasedConversation, Failure> {
    let table = target.table.operator();
    let Erasure { business_id, conversation_id, last, .. } = *erasure;

    let mut after = Some(Seq(0));
    while let Some(seq) = after {
        after = table.empty_messages(erasure, seq, PAGE_SIZE).await?;
        let read_up_to = after.unwrap_or(last);
        progress.advance(
            usize::try_from(read_up_to.0.saturating_sub(seq.0)).unwrap_or_default(),
            "items emptied",
        );
    }

    let in_use = table.remove_uploads(erasure).await?;
    let file_count = files.delete_all(business_id, conversation_id, &in_use).await?;
    progress.advance(file_count, "items emptied");

    Ok(ErasedConversation {
        conversation_id,
        message_count: last.0,
        file_count,
        unsettled_count: 0,
        is_erased: in_use.is_empty(),
    })
}

impl ErasedConversation {
    /// A conversation that was left as it is.
    fn left(conversation_id: ConversationId, unsettled_count: u64) -> ErasedConversation {
        ErasedConversation {
            conversation_id,
            message_count: 0,
            file_count: 0,
            unsettled_count,
            is_erased: false,
        }
    }
}

fn report(business_id: BusinessId, outcomes: &[ErasedConversation]) -> Report {
    let conversations: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "conversation_id": outcome.conversation_id, "erased": outcome.is_erased,
                "message_count": outcome.message_count, "file_count": outcome.file_count,
                "unsettled_count": outcome.unsettled_count,
            })
        })
        .collect();
    let rows = outcomes
        .iter()
        .map(|outcome| {
            [
                outcome.conversation_id.to_string(),
                if outcome.is_erased { "erased" } else { "waits" }.to_owned(),
                outcome.message_count.to_string(),
                outcome.file_count.to_string(),
                outcome.unsettled_count.to_string(),
            ]
        })
        .collect();

    let left = outcomes.iter().filter(|outcome| !outcome.is_erased).count();
    let report = Report::new(json!({"business_id": business_id, "conversations": conversations}))
        .table(["conversation", "state", "emptied", "files", "not settled"], rows)
        .text(format!("{} of {} conversations are erased.", outcomes.len() - left, outcomes.len()));
    if left == 0 {
        return report;
    }
    report.error(format!(
        "{left} conversations have messages that are not settled yet, or are being delivered: erase \
         them again once `list stuck` and `message show` say that they are sent or failed"
    ))
}
