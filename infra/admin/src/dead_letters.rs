//! What was given up, by channel. What becomes of which letter is said, and kept, here:
//!
//! | letter | `redrive` |
//! |---|---|
//! | a doorbell that no worker could answer | its conversation is rung for, once, and the letter goes |
//! | a message that was given up, with `--resend` | it is accepted anew at the end of its conversation, and the letter goes |
//! | the same, but a receipt said meanwhile that it arrived | the letter goes |
//! | a message that a rule refuses now | the letter stays, and why is said |
//! | anything else | stays |
//!
//! `discard` removes whatever is meant, and `inspect` leaves everything where it is.
//!
//! A message is never put back into its old place: its conversation has gone on, and messages reach
//! the provider in the order of their `seq`. The letter goes last, so what fails in between is seen
//! again; accepting twice is prevented by an idempotency key that no request can carry. For the
//! order of what is accepted anew, all letters have to be in sight.
//!
//! An error ends the work, and not the report: what was done until then is told.

mod found;
mod resend;

use std::collections::{BTreeMap, BTreeSet};

use crate::command_line::{Letters, Meant, Redrive};
use crate::place::Place;
use crate::report::{Progress, Report};
use crate::{Consent, Failure};
use domain::{Channel, ConversationId};
use found::{Found, Told};
use platform::queue::{
    AbandonedMessage, BATCH, DeadLetter, DeadLetterBody, DeadLetters, Doorbell, Doorbells,
};
use resend::Resent;

/// Shows what is there, and leaves it there.
pub(crate) async fn inspect(
    place: &Place,
    args: &Letters,
    progress: &Progress,
) -> Result<Report, Failure> {
    let mut told = Told::default();
    for channel in args.channels() {
        let queue = place.dead_letters(channel)?;
        let Found { letters, broken, .. } = told.find(&queue, args, progress).await;
        told.put_back(&queue, &letters).await;
        letters.iter().for_each(|letter| told.line(channel, letter, ""));
        if let Some(broken) = broken {
            told.end(channel, &broken);
            break;
        }
    }
    let alarming = !told.is_clear();
    Ok(told.report("").alarming(alarming))
}

/// Has what is there tried again, in the order of each conversation.
pub(crate) async fn redrive(
    place: &Place,
    args: &Redrive,
    consent: &Consent,
    progress: &Progress,
) -> Result<Report, Failure> {
    let (doorbells, which) = (place.doorbells()?, &args.which);
    if !which.dry_run {
        let what =
            if args.resend { "is rung for, or accepted anew and counted" } else { "is rung for" };
        consent.ask(&format!("What the dead-letter queues keep {what} again."))?;
    }
    let (mut told, mut stay) = (Told::default(), false);
    for channel in which.of.channels() {
        let queue = place.dead_letters(channel)?;
        let mut found = told.find(&queue, &which.of, progress).await;
        if args.resend {
            found.broken = found.broken.take().or_else(|| found.out_of_sight(which.of.most));
        }
        let letters = told.meant(&queue, channel, which.conversation, found).await;
        let work = Work { place, queue: &queue, doorbells: &doorbells, args, channel };
        let kept = work.all(letters, &mut told).await;
        told.put_back(&queue, &kept).await;
        stay |= !kept.is_empty();
        if told.has_ended() {
            break;
        }
    }
    let alarming = stay || !told.saw_all();
    Ok(told.report(if which.dry_run { "Nothing was done." } else { "" }).alarming(alarming))
}

/// Removes what has been dealt with.
pub(crate) async fn discard(
    place: &Place,
    args: &Meant,
    consent: &Consent,
    progress: &Progress,
) -> Result<Report, Failure> {
    if !args.dry_run {
        let of =
            args.conversation.map_or_else(String::new, |only| format!(" of conversation {only}"));
        consent.ask(&format!("What the dead-letter queues keep{of} is removed for good."))?;
    }
    let (mut told, mut stay) = (Told::default(), false);
    for channel in args.of.channels() {
        let queue = place.dead_letters(channel)?;
        let found = told.find(&queue, &args.of, progress).await;
        let letters = told.meant(&queue, channel, args.conversation, found).await;
        let kept = if args.dry_run {
            letters.iter().for_each(|letter| told.line(channel, letter, "would be removed"));
            letters
        } else {
            remove(&queue, channel, letters, &mut told).await
        };
        told.put_back(&queue, &kept).await;
        stay |= !kept.is_empty();
        if told.has_ended() {
            break;
        }
    }
    let alarming = stay || !told.saw_all();
    Ok(told.report(if args.dry_run { "Nothing was done." } else { "" }).alarming(alarming))
}

/// Removes letters, ten at a time, until SQS does not answer; returns those that stay.
async fn remove(
    queue: &DeadLetters,
    channel: Channel,
    letters: Vec<DeadLetter>,
    told: &mut Told,
) -> Vec<DeadLetter> {
    let mut kept = Vec::new();
    for ten in letters.chunks(BATCH) {
        let stay =
            if told.has_ended() { Ok((0..ten.len()).collect()) } else { queue.delete(ten).await };
        let stay: BTreeSet<usize> = stay.unwrap_or_else(|broken| {
            told.end(channel, &broken.chain());
            (0..ten.len()).collect()
        });
        for (index, letter) in ten.iter().enumerate() {
            let stays = stay.contains(&index);
            told.line(channel, letter, if stays { "stays: SQS keeps it" } else { "removed" });
            kept.extend(stays.then(|| letter.clone()));
        }
    }
    kept
}

struct Work<'a> {
    place: &'a Place,
    queue: &'a DeadLetters,
    doorbells: &'a Doorbells,
    args: &'a Redrive,
    channel: Channel,
}

/// What has been done so far.
#[derive(Default)]
struct Done {
    rung: BTreeSet<ConversationId>,
    /// Within a conversation, what comes after a message that cannot go again would overtake it.
    held_up: BTreeMap<ConversationId, String>,
}

/// What became of a letter, or would, and whether it goes.
struct Action {
    words: String,
    goes: bool,
}

impl Action {
    fn goes(words: impl Into<String>) -> Action {
        Action { words: words.into(), goes: true }
    }

    fn stays(why: &str) -> Action {
        Action { words: format!("stays: {why}"), goes: false }
    }
}

impl Work<'_> {
    /// Goes through the letters in order until an error ends it; returns those that stay.
    async fn all(&self, letters: Vec<DeadLetter>, told: &mut Told) -> Vec<DeadLetter> {
        let (mut done, mut kept) = (Done::default(), Vec::new());
        for letter in letters {
            let action = if told.has_ended() {
                Action::stays("an error ended the work before it")
            } else {
                self.one(&letter, &mut done).await.unwrap_or_else(|failure| {
                    told.end(self.channel, &failure.to_string());
                    Action::stays(&failure.to_string())
                })
            };
            let stays = !action.goes || self.args.which.dry_run;
            let left = if stays { None } else { self.leaves(&letter).await };
            let left_over = left
                .as_ref()
                .map_or_else(String::new, |why| format!("; its letter is still there: {why}"));
            told.line(self.channel, &letter, &(action.words + &left_over));
            if let Some(why) = &left {
                told.end(self.channel, why);
            }
            if stays || left.is_some() {
                kept.push(letter);
            }
        }
        kept
    }

    /// Removes a letter that has been dealt with; why not, if it stays.
    async fn leaves(&self, letter: &DeadLetter) -> Option<String> {
        match self.queue.delete(std::slice::from_ref(letter)).await {
            Ok(kept) => (!kept.is_empty()).then(|| "SQS keeps it".to_owned()),
            Err(broken) => Some(broken.chain()),
        }
    }

    async fn one(&self, letter: &DeadLetter, done: &mut Done) -> Result<Action, Failure> {
        match &letter.content {
            DeadLetterBody::Doorbell(doorbell) => self.ring(doorbell, done).await,
            DeadLetterBody::Abandoned(_) if !self.args.resend => {
                Ok(Action::stays("--resend accepts it anew"))
            }
            DeadLetterBody::Abandoned(copy) => self.resend(copy, done).await,
            DeadLetterBody::Unreadable => Ok(Action::stays("nobody here has written it")),
        }
    }

    async fn ring(&self, doorbell: &Doorbell, done: &mut Done) -> Result<Action, Failure> {
        let first = !done.rung.contains(&doorbell.conversation);
        if first && !self.args.which.dry_run {
            self.doorbells.ring(doorbell).await?;
        }
        done.rung.insert(doorbell.conversation);
        Ok(Action::goes(match (self.args.which.dry_run, first) {
            (false, true) => "rung for",
            (false, false) => "rung for already",
            (true, true) => "would be rung for",
            (true, false) => "would be rung for by then",
        }))
    }

    async fn resend(&self, copy: &AbandonedMessage, done: &mut Done) -> Result<Action, Failure> {
        if let Some(reason) = done.held_up.get(&copy.conversation) {
            return Ok(Action {
                words: format!("stays behind one before it: {reason}"),
                goes: false,
            });
        }
        Ok(match resend::resend(self.place, copy, self.args.which.dry_run).await? {
            Resent::Would => Action::goes("would be accepted anew"),
            Resent::As(id) => {
                let (business, conversation, channel) =
                    (copy.business, copy.conversation, copy.channel);
                let doorbell = Doorbell { v: Default::default(), business, conversation, channel };
                // Not taken: the conversation is in the outbox, and the sweeper rings.
                let _ = self.doorbells.ring(&doorbell).await;
                Action::goes(format!("accepted anew as {id}"))
            }
            Resent::Needless(why) if self.args.which.dry_run => {
                Action::goes(format!("would be removed: it {why}"))
            }
            Resent::Needless(why) => Action::goes(format!("removed: it {why}")),
            Resent::Refused(why) => {
                let action = Action::stays(&why);
                done.held_up.insert(copy.conversation, why);
                action
            }
        })
    }
}
