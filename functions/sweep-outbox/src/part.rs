//! The parts of the outbox: one for each queue that is rung.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use domain::Channel;
use platform::error::InternalError;
use platform::queue::{Doorbell, Doorbells, EventBell, EventBells, Version};
use platform::table::{Cursor, DueConversation, Table, key};

/// How many entries are read, and rung for, at a time: five batches, which are sent at once.
pub(crate) const PAGE: i32 = 50;

/// The entries of the outbox that one queue is rung for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Conversations of a channel.
    Channel(Channel),
    /// Events for endpoints.
    Webhook,
}

impl Part {
    /// Every part.
    pub(crate) fn all() -> impl Iterator<Item = Part> {
        Channel::ALL.into_iter().map(Part::Channel).chain([Part::Webhook])
    }

    /// Returns the name that metrics, logs and the table have for it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Channel(channel) => channel.name(),
            Part::Webhook => "webhook",
        }
    }

    /// Returns the buckets that it is in.
    #[must_use]
    pub(crate) fn buckets(self) -> Vec<String> {
        match self {
            Part::Channel(channel) => key::outbox_buckets(channel).collect(),
            Part::Webhook => key::webhook_buckets().collect(),
        }
    }
}

/// Bells for one queue.
#[derive(Debug, Clone)]
enum Bells {
    Conversations(Channel, Vec<Doorbell>),
    Events(Vec<EventBell>),
}

/// A page of one bucket, longest due first.
#[derive(Debug, Clone)]
pub(crate) struct DuePage {
    /// How many entries it has.
    pub(crate) due: usize,
    /// When the first of them became due.
    pub(crate) oldest: Option<DateTime<Utc>>,
    /// Where the next page begins.
    pub(crate) end: Option<Cursor>,
    bells: Bells,
}

impl DuePage {
    /// Reads what is due at `now` in one bucket, from `cursor` on.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub(crate) async fn read(
        table: &Table,
        part: Part,
        bucket: &str,
        now: DateTime<Utc>,
        cursor: Option<Cursor>,
    ) -> Result<DuePage, InternalError> {
        match part {
            Part::Channel(channel) => {
                let page = table.due(bucket, now, Some(PAGE), cursor).await?;
                let doorbell = |due: &DueConversation| Doorbell {
                    v: Version,
                    business_id: due.business_id,
                    conversation_id: due.conversation_id,
                    channel,
                };
                Ok(DuePage {
                    due: page.records.len(),
                    oldest: page.records.iter().map(|due| due.since).min(),
                    bells: Bells::Conversations(
                        channel,
                        page.records.iter().map(doorbell).collect(),
                    ),
                    end: page.end,
                })
            }
            Part::Webhook => {
                let page = table.due_deliveries(bucket, now, PAGE, cursor).await?;
                // An endpoint is rung for once, however many events of a subject it is to get.
                let lines: BTreeSet<_> = page.records.iter().map(|(line, _)| *line).collect();
                Ok(DuePage {
                    due: page.records.len(),
                    oldest: page.records.iter().map(|(_, since)| *since).min(),
                    bells: Bells::Events(lines.into_iter().map(EventBell::of).collect()),
                    end: page.end,
                })
            }
        }
    }
}

/// The queues.
#[derive(Debug, Clone)]
pub(crate) struct Queues {
    /// Those of the channels.
    pub(crate) doorbells: Doorbells,
    /// That of the endpoints.
    pub(crate) events: EventBells,
}

impl Queues {
    /// Returns how many bells a queue holds, those that a worker has among them.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub(crate) async fn depth(&self, part: Part) -> Result<usize, InternalError> {
        let depth = match part {
            Part::Channel(channel) => self.doorbells.depth(channel).await?,
            Part::Webhook => self.events.depth().await?,
        };
        Ok(depth.visible + depth.hidden)
    }

    /// Rings for a page; returns how many bells SQS took, and how many it did not.
    pub(crate) async fn ring(&self, page: &DuePage) -> (usize, usize) {
        let (all, rung) = match &page.bells {
            Bells::Conversations(channel, doorbells) => {
                (doorbells.len(), self.doorbells.ring_all(*channel, doorbells).await)
            }
            Bells::Events(bells) => (bells.len(), self.events.ring_all(bells).await),
        };
        (rung, all - rung)
    }
}
