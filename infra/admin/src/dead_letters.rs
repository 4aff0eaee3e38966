//! Dead letters, by channel: `inspect` leaves every letter in its queue, `discard` removes those
//! that are selected, and `redrive` decides by letter:
//!
//! | letter | `redrive` |
//! |---|---|
//! | a doorbell that no worker could answer | rings for its conversation, once, and removes the letter |
//! | a message that was given up, with `--resend` | accepts it anew at the end of its conversation, and removes the letter |
//! | the same, but a receipt said meanwhile that it arrived | removes the letter |
//! | a message that a rule refuses now | keeps the letter, and says why |
//! | anything else | keeps the letter |
//!
//! A message never returns to its old place: its conversation has gone on, and messages reach the
//! provider in the order of their `seq`. The letter is removed last, so a failure in between leaves
//! it for the next run; an idempotency key that no request can carry prevents accepting twice. The
//! order of messages that are accepted anew is known only if every letter was read.
//!
//! An error ends the work, and the report has what was done before.

mod resend;
mod summary;

use std::collections::{BTreeMap, BTreeSet};

use crate::command_line::{QueueArgs, RedriveArgs, SelectionArgs};
use crate::consent::Consent;
use crate::failure::{Failure, explain};
use crate::report::{Progress, Report};
use crate::target::Target;
use domain::{Channel, ConversationId};
use platform::queue::{
    AbandonedMessage, BATCH, DeadLetter, DeadLetterBody, DeadLetters, Doorbell, Doorbells,
};
use resend::ResendOutcome;
use summary::{QueueContents, Summary};

/// Shows the letters, and leaves them in their queues.
pub(crate) async fn inspect(
    target: &Target,
    args: &QueueArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    let mut summary = Summary::default();
    for channel in args.channels() {
        let queue = target.dead_letter_queue(channel)?;
        let QueueContents { letters, error, .. } = summary.read_queue(&queue, args, progress).await;
        summary.show_again(&queue, &letters).await;

        for letter in &letters {
            summary.add_row(channel, letter, "");
        }
        if let Some(error) = error {
            summary.record_error(channel, &error);
            break;
        }
    }

    let found_letters = !summary.is_empty();
    Ok(summary.into_report(target, "").await.found_problems(found_letters))
}

/// Tries the letters again, in the order of each conversation.
pub(crate) async fn redrive(
    target: &Target,
    args: &RedriveArgs,
    consent: &Consent,
    progress: &Progress,
) -> Result<Report, Failure> {
    let doorbells = target.doorbells()?;

    let selection = &args.selection;
    if !selection.dry_run {
        let effect = if args.resend {
            "rung for again, or accepted anew and counted again"
        } else {
            "rung for again"
        };
        consent.confirm(&format!("The letters in the dead-letter queues are {effect}."))?;
    }

    let mut summary = Summary::default();
    let mut letters_stay = false;
    for channel in selection.queues.channels() {
        let queue = target.dead_letter_queue(channel)?;
        let mut contents = summary.read_queue(&queue, &selection.queues, progress).await;
        if args.resend && contents.error.is_none() {
            contents.error = contents.explain_unread(selection.queues.max_letters);
        }

        let letters =
            summary.select_letters(&queue, channel, selection.conversation_id, contents).await;

        let redriver = Redriver { target, queue: &queue, doorbells: &doorbells, args, channel };
        let kept = redriver.redrive_letters(letters, &mut summary).await;
        summary.show_again(&queue, &kept).await;

        letters_stay |= !kept.is_empty();
        if summary.has_error() {
            break;
        }
    }

    let letters_left = letters_stay || !summary.has_every_letter();
    Ok(summary.into_report(target, dry_run_note(selection)).await.found_problems(letters_left))
}

/// Removes letters whose case is closed.
pub(crate) async fn discard(
    target: &Target,
    args: &SelectionArgs,
    consent: &Consent,
    progress: &Progress,
) -> Result<Report, Failure> {
    if !args.dry_run {
        let only = args
            .conversation_id
            .map_or_else(String::new, |only| format!(" of conversation {only}"));
        consent.confirm(&format!(
            "The letters{only} in the dead-letter queues are removed for good."
        ))?;
    }

    let mut summary = Summary::default();
    let mut letters_stay = false;
    for channel in args.queues.channels() {
        let queue = target.dead_letter_queue(channel)?;
        let contents = summary.read_queue(&queue, &args.queues, progress).await;
        let letters = summary.select_letters(&queue, channel, args.conversation_id, contents).await;

        let kept = if args.dry_run {
            for letter in &letters {
                summary.add_row(channel, letter, "would be removed");
            }
            letters
        } else {
            remove_letters(&queue, channel, letters, &mut summary).await
        };
        summary.show_again(&queue, &kept).await;

        letters_stay |= !kept.is_empty();
        if summary.has_error() {
            break;
        }
    }

    let letters_left = letters_stay || !summary.has_every_letter();
    Ok(summary.into_report(target, dry_run_note(args)).await.found_problems(letters_left))
}

fn dry_run_note(args: &SelectionArgs) -> &'static str {
    if args.dry_run { "Nothing was done." } else { "" }
}

/// Removes letters, ten at a time, until SQS does not answer; returns those that stay.
async fn remove_letters(
    queue: &DeadLetters,
    channel: Channel,
    letters: Vec<DeadLetter>,
    summary: &mut Summary,
) -> Vec<DeadLetter> {
    let mut kept = Vec::new();
    for batch in letters.chunks(BATCH) {
        let whole_batch = || (0..batch.len()).collect();
        let kept_indices: BTreeSet<usize> = if summary.has_error() {
            whole_batch()
        } else {
            queue.delete(batch).await.unwrap_or_else(|error| {
                summary.record_error(channel, &explain(&error));
                whole_batch()
            })
        };

        for (index, letter) in batch.iter().enumerate() {
            if kept_indices.contains(&index) {
                summary.add_row(channel, letter, "stays: SQS keeps it");
                kept.push(letter.clone());
            } else {
                summary.add_row(channel, letter, "removed");
            }
        }
    }

    kept
}

/// Redrives the letters of one channel.
struct Redriver<'a> {
    target: &'a Target,
    queue: &'a DeadLetters,
    doorbells: &'a Doorbells,
    args: &'a RedriveArgs,
    channel: Channel,
}

/// Conversations that earlier letters of the queue were about.
#[derive(Default)]
struct RedriveState {
    rung: BTreeSet<ConversationId>,
    /// Why a message of the conversation was refused; later ones must not overtake it.
    held_back: BTreeMap<ConversationId, String>,
}

/// Outcome of a letter, or in a dry run the outcome it would have.
struct LetterOutcome {
    action: String,
    removes_letter: bool,
}

impl LetterOutcome {
    fn remove(action: impl Into<String>) -> LetterOutcome {
        LetterOutcome { action: action.into(), removes_letter: true }
    }

    fn keep_letter(reason: &str) -> LetterOutcome {
        LetterOutcome { action: format!("stays: {reason}"), removes_letter: false }
    }
}

impl Redriver<'_> {
    /// Redrives the letters in order until an error ends it; returns those that stay.
    async fn redrive_letters(
        &self,
        letters: Vec<DeadLetter>,
        summary: &mut Summary,
    ) -> Vec<DeadLetter> {
        let mut state = RedriveState::default();
        let mut kept = Vec::new();
        for letter in letters {
            let outcome = if summary.has_error() {
                LetterOutcome::keep_letter("an error ended the work before it")
            } else {
                self.redrive_letter(&letter, &mut state).await.unwrap_or_else(|failure| {
                    summary.record_error(self.channel, &failure.to_string());
                    LetterOutcome::keep_letter(&failure.to_string())
                })
            };

            if !outcome.removes_letter || self.args.selection.dry_run {
                summary.add_row(self.channel, &letter, &outcome.action);
                kept.push(letter);
                continue;
            }

            match self.remove_letter(&letter).await {
                Ok(()) => summary.add_row(self.channel, &letter, &outcome.action),
                Err(error) => {
                    let action = format!("{}; its letter is still there: {error}", outcome.action);
                    summary.add_row(self.channel, &letter, &action);
                    summary.record_error(self.channel, &error);
                    kept.push(letter);
                }
            }
        }

        kept
    }

    /// Removes one letter; the error says why it stays.
    async fn remove_letter(&self, letter: &DeadLetter) -> Result<(), String> {
        match self.queue.delete(std::slice::from_ref(letter)).await {
            Ok(kept) if kept.is_empty() => Ok(()),
            Ok(_) => Err("SQS keeps it".to_owned()),
            Err(error) => Err(explain(&error)),
        }
    }

    async fn redrive_letter(
        &self,
        letter: &DeadLetter,
        state: &mut RedriveState,
    ) -> Result<LetterOutcome, Failure> {
        match &letter.content {
            DeadLetterBody::Doorbell(doorbell) => self.ring_doorbell(doorbell, state).await,
            DeadLetterBody::Abandoned(_) if !self.args.resend => {
                Ok(LetterOutcome::keep_letter("--resend accepts it anew"))
            }
            DeadLetterBody::Abandoned(copy) => self.resend_message(copy, state).await,
            DeadLetterBody::Unreadable => {
                Ok(LetterOutcome::keep_letter("nobody here has written it"))
            }
        }
    }

    async fn ring_doorbell(
        &self,
        doorbell: &Doorbell,
        state: &mut RedriveState,
    ) -> Result<LetterOutcome, Failure> {
        let dry_run = self.args.selection.dry_run;
        let is_first = !state.rung.contains(&doorbell.conversation_id);
        if is_first && !dry_run {
            self.doorbells.ring(doorbell).await?;
        }

        state.rung.insert(doorbell.conversation_id);

        Ok(LetterOutcome::remove(match (dry_run, is_first) {
            (false, true) => "rung for",
            (false, false) => "rung for already",
            (true, true) => "would be rung for",
            (true, false) => "would be rung for by then",
        }))
    }

    async fn resend_message(
        &self,
        copy: &AbandonedMessage,
        state: &mut RedriveState,
    ) -> Result<LetterOutcome, Failure> {
        if let Some(reason) = state.held_back.get(&copy.conversation_id) {
            return Ok(LetterOutcome {
                action: format!("stays behind one before it: {reason}"),
                removes_letter: false,
            });
        }

        let dry_run = self.args.selection.dry_run;
        Ok(match resend::resend(self.target, copy, dry_run).await? {
            ResendOutcome::WouldAccept => LetterOutcome::remove("would be accepted anew"),
            ResendOutcome::Accepted(message_id) => {
                let doorbell = Doorbell {
                    v: Default::default(),
                    business_id: copy.business_id,
                    conversation_id: copy.conversation_id,
                    channel: copy.channel,
                };
                // An error loses nothing: the conversation is in the outbox, and the sweeper rings.
                let _ = self.doorbells.ring(&doorbell).await;
                LetterOutcome::remove(format!("accepted anew as {message_id}"))
            }
            ResendOutcome::Unnecessary(reason) if dry_run => {
                LetterOutcome::remove(format!("would be removed: it {reason}"))
            }
            ResendOutcome::Unnecessary(reason) => {
                LetterOutcome::remove(format!("removed: it {reason}"))
            }
            ResendOutcome::Refused(reason) => {
                let outcome = LetterOutcome::keep_letter(&reason);
                state.held_back.insert(copy.conversation_id, reason);
                outcome
            }
        })
    }
}
