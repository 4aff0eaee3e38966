//! Reading the queues, and telling what was found and done. What is done with a letter is never
//! decided here.

use serde::Serialize;
use serde_json::json;

use crate::command_line::Letters;
use crate::report::{Progress, Report, or_dash, time};
use domain::{BusinessId, Channel, ConversationId, Seq};
use platform::queue::{DeadLetter, DeadLetterBody, DeadLetters, HIDDEN_MINUTES};

/// What was read of a queue, by conversation and in the order of messages; doorbells come before them.
pub(super) struct Found {
    pub(super) letters: Vec<DeadLetter>,
    /// Why reading ended before its time.
    pub(super) broken: Option<String>,
    more: bool,
    hidden: usize,
}

impl Found {
    /// Why a message that was written before those that were read may be among those that were not.
    pub(super) fn out_of_sight(&self, most: usize) -> Option<String> {
        let what = if self.more {
            format!(
                "there are more than {most} letters. Read all of them with --most; `redrive` without --resend takes the \
                 doorbells away, and `discard` what need not go again"
            )
        } else if self.hidden > 0 {
            let Found { hidden, .. } = self;
            format!("{hidden} letters are hidden. {}", when_they_are_back())
        } else {
            return None;
        };
        Some(format!(
            "with --resend a message could go before one that was written earlier: {what}"
        ))
    }
}

/// Why letters are hidden, and until when.
fn when_they_are_back() -> String {
    format!(
        "Somebody reads them, has just done so, or was interrupted: they are there again in a minute, or in \
         {HIDDEN_MINUTES}."
    )
}

/// What is shown of a letter.
#[derive(Debug, Serialize)]
struct Line {
    channel: Channel,
    business_id: Option<BusinessId>,
    conversation_id: Option<ConversationId>,
    kind: &'static str,
    seq: Option<Seq>,
    id: Option<domain::MessageId>,
    since: Option<chrono::DateTime<chrono::Utc>>,
    attempts: Option<u32>,
    reason: Option<String>,
    /// What was done with it, or would be.
    action: String,
}

/// What there is to tell of all queues.
#[derive(Debug, Default)]
pub(super) struct Told {
    lines: Vec<Line>,
    /// Whether a queue has more letters than were to be read.
    more: bool,
    /// Letters that nobody sees for a while: others read them, or died over that, or SQS did not
    /// show them again.
    hidden: usize,
    /// What ended the work.
    error: Option<String>,
}

impl Told {
    /// Reads a queue until it is empty, or as far as is wanted.
    pub(super) async fn find(
        &mut self,
        queue: &DeadLetters,
        args: &Letters,
        progress: &Progress,
    ) -> Found {
        let mut letters = Vec::new();
        let (hidden, mut broken) = match queue.hidden().await {
            Ok(hidden) => (hidden, None),
            Err(error) => (0, Some(error.chain())),
        };
        while broken.is_none() && letters.len() <= args.most {
            match queue.receive().await {
                Ok(some) if some.is_empty() => break,
                Ok(some) => {
                    progress.more(some.len(), "letters");
                    letters.extend(some);
                }
                Err(error) => broken = Some(error.chain()),
            }
        }
        let more = letters.len() > args.most;
        if more {
            let rest = letters.split_off(args.most);
            self.put_back(queue, &rest).await;
        }
        letters.sort_by_key(|letter| {
            (letter.about().map(|(b, c, _)| (b, c)), seq(letter), letter.since)
        });
        self.more |= more;
        self.hidden += hidden;
        Found { letters, broken, more, hidden }
    }

    /// Those with which something is to be done: of one conversation, if only those are meant, and
    /// none if reading them ended before its time. Shows the others again.
    pub(super) async fn meant(
        &mut self,
        queue: &DeadLetters,
        channel: Channel,
        conversation: Option<ConversationId>,
        found: Found,
    ) -> Vec<DeadLetter> {
        if let Some(broken) = &found.broken {
            self.end(channel, broken);
        }
        let ended = self.has_ended();
        let is = |letter: &DeadLetter| {
            conversation.is_none_or(|only| letter.about().is_some_and(|of| of.1 == only))
        };
        let (meant, others) =
            found.letters.into_iter().partition::<Vec<_>, _>(|letter| !ended && is(letter));
        self.put_back(queue, &others).await;
        meant
    }

    /// Shows letters again. If that fails they show themselves.
    pub(super) async fn put_back(&mut self, queue: &DeadLetters, letters: &[DeadLetter]) {
        self.hidden += queue.make_visible(letters).await;
    }

    /// What was done with a letter, or would be.
    pub(super) fn line(&mut self, channel: Channel, letter: &DeadLetter, action: &str) {
        let (kind, copy) = match &letter.content {
            DeadLetterBody::Doorbell(_) => ("doorbell", None),
            DeadLetterBody::Abandoned(copy) => ("given_up", Some(copy)),
            DeadLetterBody::Unreadable => ("unreadable", None),
        };
        self.lines.push(Line {
            channel,
            business_id: letter.about().map(|(business, ..)| business),
            conversation_id: letter.about().map(|(_, conversation, _)| conversation),
            kind,
            seq: seq(letter),
            id: copy.map(|copy| copy.message),
            since: letter.since,
            attempts: copy.map(|copy| copy.attempts),
            reason: copy.map(|copy| copy.reason.code.clone()),
            action: action.to_owned(),
        });
    }

    /// An error, or a refusal, ends the work.
    pub(super) fn end(&mut self, channel: Channel, why: &str) {
        self.error = Some(format!("{channel}: {why}"));
    }

    /// Whether one has.
    pub(super) fn has_ended(&self) -> bool {
        self.error.is_some()
    }

    /// Whether nothing is left that was not looked at.
    pub(super) fn saw_all(&self) -> bool {
        !self.more && self.hidden == 0
    }

    /// Whether there is nothing at all.
    pub(super) fn is_clear(&self) -> bool {
        self.lines.is_empty() && self.saw_all()
    }

    /// All of it, and `last` after how many letters there are.
    pub(super) fn report(self, last: &str) -> Report {
        let rows = self.lines.iter().map(|line| {
            [
                line.channel.to_string(),
                or_dash(line.conversation_id),
                line.kind.to_owned(),
                or_dash(line.seq),
                or_dash(line.id),
                or_dash(line.since.map(time)),
                or_dash(line.reason.as_ref()),
                line.action.clone(),
            ]
        });
        let rows = rows.collect();
        let heading =
            ["channel", "conversation", "letter", "seq", "message", "since", "reason", ""];
        let sentence = match self.lines.len() {
            0 if self.is_clear() && !self.has_ended() => "There are no dead letters.".to_owned(),
            some => format!("{some} dead letters. {last}").trim_end().to_owned(),
        };
        let json = json!({"letters": self.lines, "more": self.more, "hidden": self.hidden, "error": self.error});
        let mut report = Report::of(json).table(heading, rows).line(sentence);
        if self.more {
            report = report.line(
                "There are more than were read: say it again, or read more of them with --most.",
            );
        }
        if self.hidden > 0 {
            report =
                report.line(format!("{} more are hidden. {}", self.hidden, when_they_are_back()));
        }
        match self.error {
            Some(error) => report.broken(error),
            None => report,
        }
    }
}

fn seq(letter: &DeadLetter) -> Option<Seq> {
    match &letter.content {
        DeadLetterBody::Abandoned(copy) => copy.message.seq(),
        DeadLetterBody::Doorbell(_) | DeadLetterBody::Unreadable => None,
    }
}
