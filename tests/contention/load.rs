//! Messages of one business at a rate, into many conversations, and what became of them.

use std::time::Duration;

use chrono::DateTime;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::dynamo::{Dynamo, Item};
use domain::problem::Refusal;
use domain::quota::{self, FullShards, Shard};
use domain::{BusinessId, Channel, Content, ConversationId, Metadata, Month, Sender, Seq};
use platform::table::key::{self, Key};
use platform::table::record::QuotaHead;
use platform::table::{AcceptOutcome, MessageDraft, Table};
use tests::suite::percentile;

/// How many conversations take turns: so many that two messages hardly meet in one.
const CONVERSATIONS: u128 = 20_000;

const BUSINESS_ID: BusinessId = BusinessId(Uuid::from_u128(1));

/// Messages at the beginning are sent and not measured, until callers that cannot get through have
/// given up as often as they will.
const WARM_UP: f64 = 2.0;

/// The load of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// The shards of the plan.
    pub(crate) shards: u16,
    /// The plan's limit.
    pub(crate) limit: u64,
    /// Messages a second, at random moments.
    pub(crate) rate: f64,
    /// For how many seconds, after the warm-up.
    pub(crate) seconds: f64,
    /// How long a transaction takes on average, in milliseconds.
    pub(crate) transaction_ms: u64,
    /// Decides the moments and how long each transaction takes.
    pub(crate) seed: u64,
}

/// The end of one message's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accepted,
    Busy,
    Spent,
}

/// A message's fate and the time until its caller knew it.
#[derive(Debug, Clone, Copy)]
struct Answer {
    fate: Fate,
    took: Duration,
    tries: u32,
}

/// The measured messages of a run: all but those of the warm-up.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Messages a second that were sent.
    pub(crate) offered: f64,
    /// Messages a second that were accepted.
    pub(crate) accepted: f64,
    /// The part that was answered 503.
    pub(crate) busy: f64,
    /// Transactions for a message, on average.
    pub(crate) mean_tries: f64,
    /// Transactions that 99 % of the messages did not exceed.
    pub(crate) p99_tries: u32,
    /// Milliseconds that half of the accepted messages did not exceed.
    pub(crate) p50: f64,
    /// Milliseconds that 99 % of them did not exceed.
    pub(crate) p99: f64,
    /// Write units of cancelled transactions for each accepted message, if they cost what made
    /// ones do: two for each item of up to 1 KB.
    pub(crate) cancelled_units: f64,
    /// All accepted messages, those of the warm-up among them.
    pub(crate) accepted_in_all: u64,
    /// All messages that the month had no room for.
    pub(crate) spent_in_all: u64,
}

impl Load {
    /// Runs it on a clock of its own, which stands still while anything is computed: a caller's
    /// time is the waits of production's code and the table's, and no machine's.
    ///
    /// # Panics
    /// If accepted messages, stored ones and the shards' `used` differ.
    pub(crate) fn run(self) -> Outcome {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
        let dynamo = Dynamo::new(self.items(), self.transaction_ms, self.seed);
        let answers = runtime.block_on(self.send(&dynamo));

        let accepted = answers.iter().filter(|(_, answer)| answer.fate == Fate::Accepted).count();
        let used = dynamo.sum(key::QUOTA_SHARD, "used");
        assert_eq!(used, accepted as u64, "{self:?}: what is used is what was accepted");
        assert_eq!(dynamo.count(key::MESSAGE_PREFIX), accepted, "{self:?}: each is stored once");
        assert!(used <= self.limit, "{self:?}: {used} were accepted");
        self.outcome(&dynamo, &answers)
    }

    /// The month's head and shards, and the conversations.
    fn items(self) -> Vec<Item> {
        let month = Month::of(now());
        let opened = (0..).zip(quota::open(self.limit, self.shards));
        let shards = opened.map(|(number, shard)| {
            let counts = json!({
                "used": { "N": shard.used.to_string() }, "cap": { "N": shard.cap.to_string() },
            });
            item(&key::quota_shard(BUSINESS_ID, month, number), counts)
        });
        let head = self.head();
        let head = json!({
            "limit": { "N": head.limit.to_string() }, "shards": { "N": head.shards.to_string() },
            "version": { "N": head.version.to_string() },
        });
        let conversations = (0..CONVERSATIONS).map(|number| {
            let state = json!({ "seq": { "N": "0" }, "channel": { "S": "email" } });
            item(&key::conversation(BUSINESS_ID, conversation(number)), state)
        });

        let head = item(&key::quota_head(BUSINESS_ID, month), head);
        conversations.chain(shards).chain([head]).collect()
    }

    fn head(self) -> QuotaHead {
        QuotaHead {
            limit: self.limit,
            shards: quota::shards_in_force(self.limit, self.shards),
            version: 1,
            full_shards: FullShards::default(),
        }
    }

    /// Sends at random moments; returns each message's answer, with the moment in seconds.
    async fn send(self, dynamo: &Dynamo) -> Vec<(f64, Answer)> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let begun = Instant::now();
        let mut moment = 0.0;
        let mut sends = JoinSet::new();
        let table = dynamo.table();

        for number in 0.. {
            let part: f64 = random.random();
            moment -= (1.0 - part).ln() / self.rate;
            if moment >= WARM_UP + self.seconds {
                break;
            }
            tokio::time::sleep_until(begun + Duration::from_secs_f64(moment)).await;
            let callee = (dynamo.clone(), table.clone());
            sends.spawn(async move { (moment, self.send_one(&callee.0, &callee.1, number).await) });
        }

        sends.join_all().await
    }

    /// Accepts one message as send-message does, after what it has read.
    async fn send_one(self, dynamo: &Dynamo, table: &Table, number: u128) -> Answer {
        let conversation_id = conversation(number);
        let id = number.to_string();
        let draft = MessageDraft {
            business_id: BUSINESS_ID,
            conversation_id,
            conversation_channel: "email".into(),
            channel: Channel::Email,
            sender: Sender(None),
            content: Content::new("one of many".into()).expect("it is not blank"),
            attachments: Vec::new(),
            metadata: Metadata::default(),
            new_uploads: Vec::new(),
            idempotency: Some((key::idempotency(BUSINESS_ID, &id), "hash".into())),
            correlation_id: Some(id.clone()),
            keep_until: None,
            now: now(),
        };

        let conversation = key::conversation(BUSINESS_ID, conversation_id);
        let last = Seq(dynamo.number(&conversation, "seq"));
        let shard = key::quota_shard(BUSINESS_ID, Month::of(now()), 0);
        let used = dynamo.number(&shard, "used");
        let first_shard = Shard { used, cap: dynamo.number(&shard, "cap") };

        let begun = Instant::now();
        let outcome = table.accept(&draft, last, Some(self.head()), Some(first_shard)).await;
        let fate = match outcome.expect("the table answers") {
            AcceptOutcome::Accepted(_) => Fate::Accepted,
            AcceptOutcome::Refused(Refusal::Busy) => Fate::Busy,
            AcceptOutcome::Refused(Refusal::QuotaExceeded { .. }) => Fate::Spent,
            other => panic!("{other:?}"),
        };
        Answer { fate, took: begun.elapsed(), tries: dynamo.take_tries(&id) }
    }

    fn outcome(self, dynamo: &Dynamo, answers: &[(f64, Answer)]) -> Outcome {
        let all = |fate: Fate| answers.iter().filter(|(_, answer)| answer.fate == fate).count();
        let after_warm_up = answers.iter().filter(|(moment, _)| *moment >= WARM_UP);
        let measured: Vec<Answer> = after_warm_up.map(|(_, answer)| *answer).collect();
        let of = |fate: Fate| measured.iter().filter(move |answer| answer.fate == fate);

        let mut tries: Vec<u32> = measured.iter().map(|answer| answer.tries).collect();
        let mut took: Vec<f64> =
            of(Fate::Accepted).map(|answer| answer.took.as_secs_f64() * 1e3).collect();
        tries.sort_unstable();
        took.sort_by(f64::total_cmp);

        let count = measured.len().max(1) as f64;
        let accepted = all(Fate::Accepted).max(1) as f64;
        Outcome {
            offered: measured.len() as f64 / self.seconds,
            accepted: of(Fate::Accepted).count() as f64 / self.seconds,
            busy: of(Fate::Busy).count() as f64 / count,
            mean_tries: f64::from(tries.iter().sum::<u32>()) / count,
            p99_tries: percentile(&tries, 99).unwrap_or_default(),
            p50: percentile(&took, 50).unwrap_or_default(),
            p99: percentile(&took, 99).unwrap_or_default(),
            cancelled_units: 2.0 * dynamo.cancelled_items() as f64 / accepted,
            accepted_in_all: all(Fate::Accepted) as u64,
            spent_in_all: all(Fate::Spent) as u64,
        }
    }
}

fn now() -> DateTime<chrono::Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000)
}

/// Returns the conversation of a message; they take turns.
fn conversation(number: u128) -> ConversationId {
    ConversationId(Uuid::from_u128(number % CONVERSATIONS + 1))
}

fn item(key: &Key, attributes: serde_json::Value) -> Item {
    let mut item = Item::new();
    item.insert(key::PK.to_owned(), json!({ "S": key.pk }));
    item.insert(key::SK.to_owned(), json!({ "S": key.sk }));
    item.extend(attributes.as_object().expect("attributes").clone());
    item
}
