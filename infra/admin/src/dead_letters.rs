//! What was given up, by channel. What a redrive does to which letter is said, and kept, here:
//!
//! | letter | then |
//! |---|---|
//! | a bell that no worker could answer | its conversation is rung for, once, and the letter goes |
//! | a message that was given up, with `--resend` | it is accepted anew at the end of its conversation, and the letter goes |
//! | the same, but a receipt said meanwhile that it arrived | the letter goes |
//! | a message that a rule refuses now | the letter stays, and why is said |
//! | anything else | stays |
//!
//! A message is never put back into its old place: its conversation has gone on, and messages reach the provider in the
//! order of their `seq`. The letter goes last, so what fails in between is seen again; accepting twice is prevented by an
//! idempotency key that no request can carry.

mod resend;

use crate::command_line::{OfChannel, Redrive};
use crate::place::Place;
use crate::report::{Progress, Report, or_dash, time};
use crate::{Consent, Failure};
use domain::{BusinessId, Channel, ConversationId, Seq};
use platform::Broken;
use platform::queue::{Bell, Bells, DeadLetters, Kept, Letter};
use resend::Resent;
use serde::Serialize;
use std::collections::BTreeMap;

/// More letters than this are not looked at at once: they are hidden for two minutes.
const MOST: usize = 1_000;

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

/// Shows what is there, and leaves it there.
pub(crate) async fn inspect(place: &Place, args: &OfChannel, progress: &Progress) -> Result<Report, Failure> {
    let mut lines = Vec::new();
    for channel in args.all() {
        let queue = place.dead_letters(channel)?;
        let letters = take_all(&queue, progress).await?;
        put_back(&queue, &letters).await?;
        lines.extend(letters.iter().map(|letter| line(channel, letter, "")));
    }
    Ok(report(lines, ""))
}

/// Has what is there tried again, in the order of each conversation.
pub(crate) async fn redrive(
    place: &Place,
    args: &Redrive,
    consent: &Consent,
    progress: &Progress,
) -> Result<Report, Failure> {
    let bells = place.bells()?;
    if !args.dry_run {
        let what = if args.resend { "is rung for, or accepted anew and counted" } else { "is rung for" };
        consent.ask(&format!("What the dead-letter queues keep {what} again."))?;
    }
    let (mut lines, mut stay) = (Vec::new(), false);
    for channel in args.of.all() {
        let queue = place.dead_letters(channel)?;
        let all = take_all(&queue, progress).await?;
        let meant =
            |letter: &Letter| args.conversation.is_none_or(|only| letter.about().is_some_and(|of| of.1 == only));
        let (letters, others): (Vec<Letter>, Vec<Letter>) = all.into_iter().partition(meant);
        put_back(&queue, &others).await?;
        let (done, kept) = Work { place, queue: &queue, bells: &bells, args, channel }.all(&letters).await?;
        put_back(&queue, &kept).await?;
        lines.extend(done);
        stay |= !kept.is_empty();
    }
    Ok(report(lines, if args.dry_run { "Nothing was done." } else { "" }).alarming(stay))
}

struct Work<'a> {
    place: &'a Place,
    queue: &'a DeadLetters,
    bells: &'a Bells,
    args: &'a Redrive,
    channel: Channel,
}

impl Work<'_> {
    /// Goes through the letters in order; tells what came of each, and returns those that stay.
    async fn all(&self, letters: &[Letter]) -> Result<(Vec<Line>, Vec<Letter>), Failure> {
        let (mut lines, mut kept, mut rung) = (Vec::new(), Vec::new(), BTreeMap::new());
        // Within a conversation, what comes after a message that cannot go again would overtake it.
        let mut held_up: BTreeMap<ConversationId, String> = BTreeMap::new();
        for letter in letters {
            let (action, goes) = match &letter.kept {
                Kept::Bell(bell) => {
                    let first = rung.insert(bell.conversation, ()).is_none();
                    if first && !self.args.dry_run {
                        self.bells.ring(bell).await?;
                    }
                    (if first { "rung for" } else { "rung for already" }.to_owned(), true)
                }
                Kept::GivenUp(_) if !self.args.resend => ("stays: --resend accepts it anew".to_owned(), false),
                Kept::GivenUp(copy) => match held_up.get(&copy.conversation) {
                    Some(reason) => (format!("stays behind one before it: {reason}"), false),
                    None => match resend::resend(self.place, copy, self.args.dry_run).await? {
                        Resent::Would => ("would be accepted anew".to_owned(), true),
                        Resent::As(id) => {
                            let (business, conversation, channel) = (copy.business, copy.conversation, copy.channel);
                            let bell = Bell { v: Default::default(), business, conversation, channel };
                            // Not taken: the conversation is in the outbox, and the sweeper rings.
                            let _ = self.bells.ring(&bell).await;
                            (format!("accepted anew as {id}"), true)
                        }
                        Resent::Needless(why) => (why.to_owned(), true),
                        Resent::Refused(why) => {
                            held_up.insert(copy.conversation, why.clone());
                            (format!("stays: {why}"), false)
                        }
                    },
                },
                Kept::Unreadable => ("stays: nobody here has written it".to_owned(), false),
            };
            if goes && !self.args.dry_run {
                self.queue.remove(&[letter]).await?;
            } else {
                kept.push(letter.clone());
            }
            lines.push(line(self.channel, letter, &action));
        }
        Ok((lines, kept))
    }
}

/// Takes all there is, by conversation and in the order of messages; bells come before them.
async fn take_all(queue: &DeadLetters, progress: &Progress) -> Result<Vec<Letter>, Broken> {
    let mut letters = Vec::new();
    while letters.len() < MOST {
        let some = queue.take().await?;
        if some.is_empty() {
            break;
        }
        progress.more(some.len(), "letters");
        letters.extend(some);
    }
    letters.sort_by_key(|letter| (letter.about().map(|(b, c, _)| (b, c)), seq(letter), letter.since));
    Ok(letters)
}

async fn put_back(queue: &DeadLetters, letters: &[Letter]) -> Result<(), Broken> {
    for letter in letters {
        queue.put_back(letter).await?;
    }
    Ok(())
}

fn seq(letter: &Letter) -> Option<Seq> {
    match &letter.kept {
        Kept::GivenUp(copy) => copy.message.seq(),
        Kept::Bell(_) | Kept::Unreadable => None,
    }
}

fn line(channel: Channel, letter: &Letter, action: &str) -> Line {
    let (kind, copy) = match &letter.kept {
        Kept::Bell(_) => ("bell", None),
        Kept::GivenUp(copy) => ("given_up", Some(copy)),
        Kept::Unreadable => ("unreadable", None),
    };
    Line {
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
    }
}

fn report(lines: Vec<Line>, last: &str) -> Report {
    let rows = lines.iter().map(|line| {
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
    let sentence = match lines.len() {
        0 => "There are no dead letters.".to_owned(),
        some => format!("{some} dead letters. {last}").trim_end().to_owned(),
    };
    let alarming = !lines.is_empty();
    Report::of(serde_json::json!({"letters": lines}))
        .table(["channel", "conversation", "letter", "seq", "message", "since", "reason", ""], rows)
        .line(sentence)
        .alarming(alarming)
}
