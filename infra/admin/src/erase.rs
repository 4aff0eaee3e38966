//! Erasing what identifies a customer. Messages are counted for ever, so they stay, emptied; so do
//! those that the customer wrote, by which lists are read on from.
//!
//! The order makes an interrupted run harmless: the conversation is marked first and unmarked last,
//! and each step in between can be made again. `platform::table::erase` has the conditions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::command_line::{EraseConversation, EraseRecipient, Waiting};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::report::{Progress, Report};
use crate::target::Target;
use domain::channel::whatsapp::CustomerId;
use domain::{BusinessId, Channel, ConversationId, CustomerNumber, Seq};
use platform::files::{Files, ObjectKey};
use platform::table::{BeginErasureOutcome, CustomerName, Erasure, ErasureCandidate};

/// How many messages are read at once.
const PAGE_SIZE: i32 = 100;

/// How long no worker may begin while the messages of a conversation are ended, which an operator's
/// machine does from afar.
const LEASE: TimeDelta = TimeDelta::seconds(45);

/// The erasure of one conversation, so far.
struct ConversationErasure {
    conversation_id: ConversationId,
    message_count: u64,
    customer_message_count: u64,
    withdrawn_count: u64,
    file_count: usize,
    outcome: ErasureOutcome,
}

/// The outcome of one conversation's erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErasureOutcome {
    Erased,
    /// So many messages are not settled yet, or a worker is at it: nothing was erased.
    Unsettled(u64),
    /// So many files belong to messages that came since: these are left.
    FilesInUse(usize),
}

/// Erases one conversation.
pub(crate) async fn conversation(
    target: &Target,
    args: &EraseConversation,
    consent: &Consent,
    progress: &Progress,
) -> Result<Report, Failure> {
    let EraseConversation { business_id, conversation_id, waiting } = *args;
    target.plan_of(business_id).await?;
    let conversation = target.table.conversation(business_id, conversation_id).await?;
    let conversation = conversation
        .ok_or_else(|| Failure::new("CONVERSATION_ID: the business has no such conversation"))?;

    consent.confirm(&format!(
        "The texts, files and customer's address of conversation {conversation_id} with {} \
         messages will be gone for good.{}",
        conversation.seq,
        waiting.consequence()
    ))?;
    let conversation_ids = BTreeSet::from([conversation_id]);
    let erasures = erase_all(target, business_id, &conversation_ids, waiting, progress).await?;
    Ok(report(&erasures, json!({ "business_id": business_id })))
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

    let mut matching_ids = BTreeSet::new();
    let mut begun_ids = BTreeSet::new();
    let mut cursor = None;
    loop {
        let page = target.table.operator().erasure_candidates(args.business_id, cursor).await?;
        progress.advance(page.items_read, "items read");
        for ErasureCandidate { conversation_id, name, is_begun } in page.records {
            if is_name_of(&name, &recipient) {
                matching_ids.insert(conversation_id);
            }
            if is_begun {
                begun_ids.insert(conversation_id);
            }
        }

        cursor = page.end;
        if cursor.is_none() {
            break;
        }
    }

    let conversation_ids: BTreeSet<_> = matching_ids.union(&begun_ids).copied().collect();
    if conversation_ids.is_empty() {
        return Err(Failure::new("RECIPIENT: the business has no conversation with it"));
    }

    let matching_count = matching_ids.len();
    consent.confirm(&format!(
        "The texts, files and customer's address of {} conversations ({matching_count} of them with \
         RECIPIENT, {} of them from an erasure that was cut short) will be gone for good.{}",
        conversation_ids.len(),
        begun_ids.len(),
        args.waiting.consequence()
    ))?;

    let EraseRecipient { business_id, waiting, .. } = *args;
    let erasures = erase_all(target, business_id, &conversation_ids, waiting, progress).await?;
    let head = json!({ "business_id": args.business_id, "matching_count": matching_count });
    let report = report(&erasures, head);
    if matching_count > 0 {
        return Ok(report);
    }
    Ok(report.error(
        "RECIPIENT: the business has no conversation with it, and only an erasure that was cut short \
         was ended: if that was of another recipient, check how this one is written",
    ))
}

impl Waiting {
    /// Says what the choice brings with it.
    fn consequence(self) -> &'static str {
        if self.withdraw { " Messages that wait for the customer will have failed." } else { "" }
    }
}

/// Whether this is a name of the customer, however the address or number is written.
fn is_name_of(name: &CustomerName, recipient: &str) -> bool {
    let lookup_key = |text: &str| CustomerId::parse(text).map(|name| name.lookup_key());
    match name {
        CustomerName::LookupKey(own) => lookup_key(recipient).as_ref() == Some(own),
        CustomerName::Recipient(channel, own) => match channel.supported() {
            Ok(Channel::Whatsapp) => {
                lookup_key(recipient).is_some_and(|key| lookup_key(own) == Some(key))
            }
            Ok(Channel::Chat | Channel::Email) | Err(_) => {
                own.trim().eq_ignore_ascii_case(recipient.trim())
            }
        },
    }
}

fn read_recipient() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::new(error.to_string()))?;
    Ok(line.trim().to_owned())
}

async fn erase_all(
    target: &Target,
    business_id: BusinessId,
    conversation_ids: &BTreeSet<ConversationId>,
    waiting: Waiting,
    progress: &Progress,
) -> Result<Vec<ConversationErasure>, Failure> {
    let table = target.table.operator();
    let files = target.files()?;
    let mut conversations = Vec::new();
    let mut erasures = BTreeMap::new();

    for conversation_id in conversation_ids.iter().copied() {
        let now = target.now();
        let withdrawn_count = if waiting.withdraw {
            table.withdraw_waiting(business_id, conversation_id, now, LEASE).await?
        } else {
            0
        };

        let conversation = match table.begin_erasure(business_id, conversation_id, now).await? {
            BeginErasureOutcome::Begun(erasure) => {
                erasures.insert(conversation_id, erasure);
                empty_conversation(target, &files, &erasure, withdrawn_count, progress).await?
            }
            BeginErasureOutcome::Unsettled(unsettled_count) => ConversationErasure {
                conversation_id,
                message_count: 0,
                customer_message_count: 0,
                withdrawn_count,
                file_count: 0,
                outcome: ErasureOutcome::Unsettled(unsettled_count),
            },
            BeginErasureOutcome::Missing => continue,
        };
        conversations.push(conversation);
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

    for conversation in &conversations {
        let erasure = erasures.get(&conversation.conversation_id);
        if let (ErasureOutcome::Erased, Some(erasure)) = (conversation.outcome, erasure) {
            table.end_erasure(erasure).await?;
        }
    }

    Ok(conversations)
}

/// Empties the messages of a conversation and deletes its files. Files of messages that came since
/// are left, and the conversation with them.
async fn empty_conversation(
    target: &Target,
    files: &Files,
    erasure: &Erasure,
    withdrawn_count: u64,
    progress: &Progress,
) -> Result<ConversationErasure, Failure> {
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

    let mut written = CustomerNumber(0);
    while let Some(last) = table.empty_customer_messages(erasure, written, PAGE_SIZE).await? {
        progress.advance(
            usize::try_from(last.0.saturating_sub(written.0)).unwrap_or_default(),
            "items emptied",
        );
        written = last;
    }

    let in_use = table.remove_uploads(erasure).await?;
    // With its record a file has left the outbox, in which the sweeper would find it.
    for upload in &in_use {
        let upload = *upload;
        files.mark_referenced(ObjectKey { business_id, conversation_id, upload }).await?;
    }
    let file_count = files.delete_all(business_id, conversation_id, &in_use).await?;
    progress.advance(file_count, "items emptied");

    let outcome = match in_use.len() {
        0 => ErasureOutcome::Erased,
        count => ErasureOutcome::FilesInUse(count),
    };
    Ok(ConversationErasure {
        conversation_id,
        message_count: last.0,
        customer_message_count: written.0,
        withdrawn_count,
        file_count,
        outcome,
    })
}

/// Reports on conversations; `head` is what the JSON has beside them.
fn report(conversations: &[ConversationErasure], mut head: Value) -> Report {
    let rows: Vec<Value> = conversations
        .iter()
        .map(|erasure| {
            let outcome = erasure.outcome;
            json!({
                "conversation_id": erasure.conversation_id,
                "erased": outcome == ErasureOutcome::Erased,
                "message_count": erasure.message_count,
                "customer_message_count": erasure.customer_message_count,
                "withdrawn_count": erasure.withdrawn_count,
                "file_count": erasure.file_count,
                "unsettled_count": outcome.unsettled_count(),
                "files_in_use_count": outcome.files_in_use_count(),
            })
        })
        .collect();
    head["conversations"] = rows.into();

    let rows = conversations
        .iter()
        .map(|conversation| {
            let outcome = conversation.outcome;
            [
                conversation.conversation_id.to_string(),
                outcome.word().to_owned(),
                conversation.message_count.to_string(),
                conversation.customer_message_count.to_string(),
                conversation.withdrawn_count.to_string(),
                conversation.file_count.to_string(),
                outcome.unsettled_count().to_string(),
                outcome.files_in_use_count().to_string(),
            ]
        })
        .collect();

    let count = |word| conversations.iter().filter(|one| one.outcome.word() == word).count();
    let erased = count("erased");
    let unsettled = count("waits");
    let in_use = count("files in use");
    let heading = [
        "conversation",
        "state",
        "emptied",
        "customer's",
        "withdrawn",
        "files",
        "not settled",
        "files in use",
    ];
    let mut report = Report::new(head)
        .table(heading, rows)
        .text(format!("{erased} of {} conversations are erased.", conversations.len()));

    if unsettled > 0 {
        report = report.error(format!(
            "{unsettled} conversations have messages that are not settled yet, or are being \
             delivered: erase them again once `list stuck` and `message show` say that they are \
             sent or failed. A chat message waits until the customer is back; `--withdraw-waiting` \
             ends it as failed"
        ));
    }
    if in_use > 0 {
        report = report.error(format!(
            "{in_use} conversations have files of messages that came while they were erased: erase \
             them again"
        ));
    }
    report
}

impl ErasureOutcome {
    fn word(self) -> &'static str {
        match self {
            ErasureOutcome::Erased => "erased",
            ErasureOutcome::Unsettled(_) => "waits",
            ErasureOutcome::FilesInUse(_) => "files in use",
        }
    }

    fn unsettled_count(self) -> u64 {
        match self {
            ErasureOutcome::Unsettled(count) => count,
            ErasureOutcome::Erased | ErasureOutcome::FilesInUse(_) => 0,
        }
    }

    fn files_in_use_count(self) -> usize {
        match self {
            ErasureOutcome::FilesInUse(count) => count,
            ErasureOutcome::Erased | ErasureOutcome::Unsettled(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_of_a_conversation_that_is_left_is_named_by_itself() {
        let conversation = |outcome| ConversationErasure {
            conversation_id: "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().expect("a UUID"),
            message_count: 1,
            customer_message_count: 1,
            withdrawn_count: 0,
            file_count: 1,
            outcome,
        };
        let words = |outcomes: &[ErasureOutcome]| {
            let all: Vec<_> = outcomes.iter().copied().map(conversation).collect();
            let report = report(&all, json!({}));
            (report.exit_code(), format!("{report:?}"))
        };

        assert_eq!(words(&[ErasureOutcome::Erased]).0, 0);

        let (code, in_use) = words(&[ErasureOutcome::Erased, ErasureOutcome::FilesInUse(2)]);
        assert!(in_use.contains("1 of 2 conversations are erased"), "{in_use}");
        assert!(code == 1 && in_use.contains("1 conversations have files"), "{in_use}");
        assert!(!in_use.contains("not settled yet"), "{in_use}");

        let (code, unsettled) = words(&[ErasureOutcome::Unsettled(3)]);
        assert!(code == 1 && unsettled.contains("not settled yet"), "{unsettled}");
        assert!(!unsettled.contains("have files"), "{unsettled}");
    }
}
