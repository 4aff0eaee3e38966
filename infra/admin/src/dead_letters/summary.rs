//! Reads the dead-letter queues, and collects what a command found and did. It never decides what a
//! command does with a letter.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use crate::command_line::QueueArgs;
use crate::failure::explain;
use crate::names::BusinessNames;
use crate::report::{Progress, Report, or_dash, time, with_provider_code};
use crate::target::Target;
use domain::{BusinessId, Channel, ConversationId, MessageId, Seq};
use platform::queue::{DeadLetter, DeadLetterBody, DeadLetters, HIDDEN_MINUTES};

/// Letters read from one queue, by conversation and in the order of its messages; doorbells come
/// before them.
pub(super) struct QueueContents {
    pub(super) letters: Vec<DeadLetter>,
    /// The error that ended reading early.
    pub(super) error: Option<String>,
    has_more: bool,
    hidden: usize,
}

impl QueueContents {
    /// Explains why an unread letter may be of an earlier message than those that were read;
    /// `None` if every letter was read.
    pub(super) fn explain_unread(&self, max_letters: usize) -> Option<String> {
        let reason = if self.has_more {
            format!(
                "there are more than {max_letters} letters. Read all of them with --most; \
                 `redrive` without --resend removes the doorbells, and `discard` the letters whose \
                 case is closed"
            )
        } else if self.hidden > 0 {
            format!("{} letters are hidden. {}", self.hidden, explain_hidden())
        } else {
            return None;
        };

        Some(format!(
            "with --resend a message could go before one that was written earlier: {reason}"
        ))
    }
}

/// Explains why letters are hidden, and until when.
fn explain_hidden() -> String {
    format!(
        "Another reader has received them, or was interrupted: they are visible again in a minute, \
         or in {HIDDEN_MINUTES}."
    )
}

/// Row of the report: a letter, and what was done with it.
#[derive(Debug, Serialize)]
struct Row {
    channel: Channel,
    business_id: Option<BusinessId>,
    business_name: Option<String>,
    conversation_id: Option<ConversationId>,
    kind: &'static str,
    seq: Option<Seq>,
    message_id: Option<MessageId>,
    since: Option<DateTime<Utc>>,
    attempts: Option<u32>,
    /// Why the message was given up.
    reason: Option<String>,
    /// Why its last attempt did not succeed: our word, a sentence, and the provider's own code.
    last_reason: Option<String>,
    detail: Option<String>,
    provider_code: Option<String>,
    /// The action taken on the letter, or the one that a dry run would take.
    action: String,
}

/// Everything that a command found and did, in all queues.
#[derive(Debug, Default)]
pub(super) struct Summary {
    rows: Vec<Row>,
    /// True if a queue has more letters than the command reads.
    has_more: bool,
    /// Number of letters that are invisible for a while: another reader has received them, or was
    /// interrupted, or SQS did not show them again.
    hidden: usize,
    /// The error that ended the work.
    error: Option<String>,
}

impl Summary {
    /// Reads a queue until it is empty, or until `--most` letters are read.
    pub(super) async fn read_queue(
        &mut self,
        queue: &DeadLetters,
        args: &QueueArgs,
        progress: &Progress,
    ) -> QueueContents {
        let (hidden, mut error) = match queue.depth().await {
            Ok(depth) => (depth.hidden, None),
            Err(error) => (0, Some(explain(&error))),
        };

        let mut letters = Vec::new();
        while error.is_none() && letters.len() <= args.max_letters {
            match queue.receive().await {
                Ok(batch) if batch.is_empty() => break,
                Ok(batch) => {
                    progress.advance(batch.len(), "letters");
                    letters.extend(batch);
                }
                Err(receive_error) => error = Some(explain(&receive_error)),
            }
        }

        let has_more = letters.len() > args.max_letters;
        if has_more {
            let unread = letters.split_off(args.max_letters);
            self.show_again(queue, &unread).await;
        }

        letters.sort_by_key(|letter| {
            let conversation =
                letter.about().map(|(business, conversation, _)| (business, conversation));
            (conversation, seq(letter), letter.since)
        });

        self.has_more |= has_more;
        self.hidden += hidden;
        QueueContents { letters, error, has_more, hidden }
    }

    /// Selects the letters that the command changes: those of one conversation if it was given, and
    /// none if an error ended reading early. Shows the others again.
    pub(super) async fn select_letters(
        &mut self,
        queue: &DeadLetters,
        channel: Channel,
        conversation_id: Option<ConversationId>,
        contents: QueueContents,
    ) -> Vec<DeadLetter> {
        if let Some(error) = &contents.error {
            self.record_error(channel, error);
        }

        let has_error = self.has_error();
        let is_selected = |letter: &DeadLetter| {
            let id = letter.about().map(|(_, conversation, _)| conversation);
            !has_error && conversation_id.is_none_or(|only| id == Some(only))
        };
        let (selected, others): (Vec<_>, Vec<_>) =
            contents.letters.into_iter().partition(is_selected);

        self.show_again(queue, &others).await;
        selected
    }

    /// Makes letters visible to other readers again. If SQS fails, they stay hidden until their
    /// visibility timeout.
    pub(super) async fn show_again(&mut self, queue: &DeadLetters, letters: &[DeadLetter]) {
        self.hidden += queue.make_visible(letters).await;
    }

    /// Adds a letter, and what was done with it or would be.
    pub(super) fn add_row(&mut self, channel: Channel, letter: &DeadLetter, action: &str) {
        let (kind, copy) = match &letter.content {
            DeadLetterBody::Doorbell(_) => ("doorbell", None),
            DeadLetterBody::Abandoned(copy) => ("given_up", Some(copy)),
            DeadLetterBody::Unreadable => ("unreadable", None),
        };
        let about = letter.about();
        let last = copy.map(|copy| copy.last_reason.as_ref().unwrap_or(&copy.reason));

        self.rows.push(Row {
            channel,
            business_id: about.map(|(business, ..)| business),
            business_name: None,
            conversation_id: about.map(|(_, conversation, _)| conversation),
            kind,
            seq: seq(letter),
            message_id: copy.map(|copy| copy.message_id),
            since: letter.since,
            attempts: copy.map(|copy| copy.attempts),
            reason: copy.map(|copy| copy.reason.code.clone()),
            last_reason: last.map(|last| last.code.clone()),
            detail: last.map(|last| last.detail.clone()),
            provider_code: last.and_then(|last| last.provider_code.clone()),
            action: action.to_owned(),
        });
    }

    /// Records the error or refusal that ends the work.
    pub(super) fn record_error(&mut self, channel: Channel, error: &str) {
        self.error = Some(format!("{channel}: {error}"));
    }

    pub(super) fn has_error(&self) -> bool {
        self.error.is_some()
    }

    /// Returns true if no letter was left unread.
    pub(super) fn has_every_letter(&self) -> bool {
        !self.has_more && self.hidden == 0
    }

    /// Returns true if the queues have no letters, hidden ones included.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.has_every_letter()
    }

    /// Converts the summary into a report, with the names of businesses; `note` follows the number
    /// of letters.
    pub(super) async fn into_report(mut self, target: &Target, note: &str) -> Report {
        let business_ids = self.rows.iter().filter_map(|row| row.business_id);
        // What was done is reported in any case; a name is a convenience.
        if let Ok(names) = BusinessNames::read(target, business_ids).await {
            for row in &mut self.rows {
                let name = row.business_id.and_then(|business_id| names.name(business_id));
                row.business_name = name.map(str::to_owned);
            }
        }

        let heading = [
            "channel",
            "business",
            "name",
            "conversation",
            "seq",
            "message",
            "since",
            "letter",
            "last attempt",
            "",
        ];
        let rows = self
            .rows
            .iter()
            .map(|row| {
                [
                    row.channel.to_string(),
                    or_dash(row.business_id),
                    row.business_name.clone().unwrap_or_default(),
                    or_dash(row.conversation_id),
                    or_dash(row.seq),
                    or_dash(row.message_id),
                    or_dash(row.since.map(time)),
                    row.reason.as_ref().map_or_else(
                        || row.kind.to_owned(),
                        |reason| format!("given up: {reason}"),
                    ),
                    row.last_reason.as_deref().map_or_else(String::new, |code| {
                        with_provider_code(code, row.provider_code.as_deref())
                    }),
                    row.action.clone(),
                ]
            })
            .collect();

        let sentence = match self.rows.len() {
            0 if self.is_empty() && !self.has_error() => "There are no dead letters.".to_owned(),
            count => format!("{count} dead letters. {note}").trim_end().to_owned(),
        };

        let json = json!({
            "letters": self.rows, "more": self.has_more, "hidden": self.hidden,
            "error": self.error,
        });

        let mut report = Report::new(json).table(heading, rows).text(sentence);
        if self.has_more {
            report = report.text(
                "There are more letters than were read: repeat the command, or read more of them \
                 with --most.",
            );
        }
        if self.hidden > 0 {
            report = report.text(format!("{} more are hidden. {}", self.hidden, explain_hidden()));
        }

        match self.error {
            Some(error) => report.error(error),
            None => report,
        }
    }
}

fn seq(letter: &DeadLetter) -> Option<Seq> {
    match &letter.content {
        DeadLetterBody::Abandoned(copy) => copy.message_id.seq(),
        DeadLetterBody::Doorbell(_) | DeadLetterBody::Unreadable => None,
    }
}
