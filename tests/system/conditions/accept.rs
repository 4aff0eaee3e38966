//! `accept`: the four positions of the transaction. The rules are [`Shard::has_room`],
//! [`ConversationState::accepted`] and [`domain::accept::read`]. A model applies them try by try to
//! generated items: a month that is open or not, shards that are full or not, a conversation that
//! has a later `seq`, has changed channel or is missing, a `seq` that is taken, a key that is
//! known.

use proptest::prelude::*;

use super::month::{month, month_of, plan};
use super::sample::{
    BUSINESS_ID, CONVERSATION_ID, MS, NOW, conversation, conversation_key, message,
};
use super::scratch::{Item, Items, ItemsByKey, Scratch, for_all, item, value, with};
use domain::accept::{
    CancellationOutcome, CancelledTransaction, CurrentConversation, Position, RecordedAnswer,
    ShardFault, read,
};
use domain::delivery::{ConversationState, Status};
use domain::problem::Refusal;
use domain::quota::{self, FullShards, Shard, Usage};
use domain::{Channel, Content, Metadata, Sender, Seq};
use platform::error::InternalError;
use platform::table::key;
use platform::table::record::{Conversation, Idempotency, Message, QuotaHead};
use platform::table::{AcceptOutcome, MessageDraft};

/// The hash of the request under test.
const HASH: &str = "this request";
/// The limit of the plan, for a month that is not open yet.
const PLAN: u64 = 1;

#[derive(Debug, Clone)]
struct State {
    /// The month's shards; none if it is not open.
    shards: Vec<Shard>,
    /// Whether the request read the month's head before; an older one if the month is not open.
    head_read: bool,
    conversation: Option<Talk>,
    /// The conversation's last message, as the request read it.
    last: u64,
    /// The request's key, and the hash that is stored with it.
    key: Option<Option<&'static str>>,
}

#[derive(Debug, Clone)]
struct Talk {
    seq: u64,
    channel: &'static str,
    /// Whether the conversation is in the outbox and an agent has answered before.
    waiting: bool,
    /// Whether a message exists after the last one, which no write makes.
    stray: bool,
}

fn any_state() -> impl Strategy<Value = State> {
    let shard = (0u64..3, 0u64..3)
        .prop_map(|(used, free)| Shard { used, cap: used + free.saturating_sub(1) });
    let shards = prop_oneof![1 => Just(Vec::new()), 4 => prop::collection::vec(shard, 1..=3)];
    let channel =
        prop::sample::select(vec!["chat", "chat", "chat", "chat", "chat", "widget", "whatsapp"]);

    let talk = (1u64..4, channel, any::<bool>(), prop::bool::weighted(0.1));
    let talk =
        talk.prop_map(|(seq, channel, waiting, stray)| Talk { seq, channel, waiting, stray });
    let key = prop::sample::select(vec![
        None,
        None,
        Some(None),
        Some(None),
        Some(Some(HASH)),
        Some(Some("another")),
    ]);

    (shards, any::<bool>(), prop::option::weighted(0.9, talk), 0u64..4, key).prop_map(
        |(shards, head_read, conversation, last, key)| State {
            shards,
            head_read,
            conversation,
            last,
            key,
        },
    )
}

/// The outcome of a request by the rules.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Accepted(u64),
    Replayed,
    Refused(Refusal),
    ChannelChanged,
    InternalError,
}

impl State {
    /// The conversation as the rule sees it.
    fn turn(&self) -> ConversationState {
        let Talk { seq, waiting, .. } = self.conversation.clone().expect("there is one");
        Conversation { seq: Seq(seq), due: waiting.then_some(NOW - MS), ..conversation() }.state()
    }

    fn is_taken(&self, seq: u64) -> bool {
        let talk = self.conversation.as_ref();
        talk.is_some_and(|talk| seq <= talk.seq || (talk.stray && seq == talk.seq + 1))
    }

    /// DynamoDB's answer for each position of a try, and whether it accepts all of them.
    fn positions(&self, tried: u64, shards: &[Shard]) -> (CancelledTransaction, bool) {
        let shard = match (shards.iter().find(|shard| shard.has_room()), shards.first()) {
            (Some(_), _) => Position::Fine,
            (None, full) => Position::Refused(full.copied()),
        };

        let conversation = match &self.conversation {
            Some(talk)
                if talk.channel == "chat" && self.turn().accepted(Seq(tried), NOW).is_some() =>
            {
                Position::Fine
            }
            talk => Position::Refused(talk.as_ref().map(|talk| CurrentConversation {
                seq: Seq(talk.seq),
                channel: talk.channel.into(),
            })),
        };

        let message =
            if self.is_taken(tried + 1) { Position::Refused(Some(())) } else { Position::Fine };
        let idempotency = match self.key.flatten() {
            Some(hash) => Position::Refused(Some(first(hash))),
            None => Position::Fine,
        };

        let fine =
            shard == Position::Fine && conversation == Position::Fine && message == Position::Fine;
        let fine = fine && idempotency == Position::Fine;

        let uploads = Vec::new();
        (CancelledTransaction { shard, conversation, message, idempotency, uploads }, fine)
    }

    /// The outcome of the request, and whether the month is open then.
    fn expected(&self) -> (Expected, bool) {
        let (mut tried, mut shards) = (self.last, self.shards.clone());
        if shards.is_empty() && !self.head_read {
            shards = quota::open(PLAN, 1);
        }

        // A month with a limit of 0 refuses without a try.
        if Usage::of(&shards).limit == 0 && !self.head_read {
            return (spent(&shards), true);
        }

        loop {
            let (cancelled, fine) = self.positions(tried, &shards);
            let open = !shards.is_empty();
            if fine {
                return (Expected::Accepted(tried + 1), open);
            }
            let retry = match read(cancelled, HASH, Seq(tried), &"chat".into()) {
                CancellationOutcome::Replay(_) if self.is_taken(1) => {
                    return (Expected::Replayed, open);
                }
                // The key's first message is missing.
                CancellationOutcome::Replay(_) | CancellationOutcome::SeqTaken => {
                    return (Expected::InternalError, open);
                }
                CancellationOutcome::KeyReused => {
                    return (Expected::Refused(Refusal::IdempotencyKeyReused), open);
                }
                CancellationOutcome::ConversationNotFound => {
                    return (Expected::Refused(Refusal::ConversationNotFound), open);
                }
                CancellationOutcome::ChannelChanged => return (Expected::ChannelChanged, open),
                CancellationOutcome::UploadsChanged => panic!("a message without files"),
                CancellationOutcome::Retry(retry) => retry,
            };
            match retry.shard {
                ShardFault::Full => return (spent(&shards), open),
                ShardFault::NotOpen => shards = quota::open(PLAN, 1),
                ShardFault::None => {}
            }
            tried = retry.seq.map_or(tried, |seq| seq.0);
        }
    }
}

fn spent(shards: &[Shard]) -> Expected {
    let Usage { limit, used } = Usage::of(shards);
    Expected::Refused(Refusal::QuotaExceeded { limit, used, resets_at: month().resets_at() })
}

/// The recorded answer of the key: the conversation's first message.
fn first(hash: &str) -> RecordedAnswer {
    RecordedAnswer { message_id: message(1).id, seq: Seq(1), request_hash: hash.into() }
}

fn draft(state: &State) -> MessageDraft {
    MessageDraft {
        business_id: BUSINESS_ID,
        conversation_id: CONVERSATION_ID,
        conversation_channel: "chat".into(),
        channel: Channel::Chat,
        sender: Sender(None),
        content: Content::new("a new text".into()).expect("it is not blank"),
        attachments: Vec::new(),
        metadata: Metadata::default(),
        new_uploads: Vec::new(),
        idempotency: state.key.map(|_| (key::idempotency(BUSINESS_ID, "a key"), HASH.into())),
        correlation_id: Some("JKJaXmPLvHcESHA=".into()),
        keep_until: None,
        now: NOW,
    }
}

/// The items of a state, and the month's head if the request read it before.
fn items_of(state: &State) -> (Vec<Item>, Option<QuotaHead>) {
    // Read when the plan allowed more.
    let head = QuotaHead { limit: 9, shards: 1, version: 1, full_shards: FullShards::default() };
    let (head, mut items) = match state.shards.is_empty() {
        true => (head, Vec::new()),
        false => {
            let (now, items) = month_of(1, &state.shards);
            (QuotaHead { shards: now.shards, ..head }, items)
        }
    };

    items.push(item(&key::plan(BUSINESS_ID), &plan(PLAN, 1, 1)));
    if let Some(talk) = &state.conversation {
        let channel = talk.channel.into();
        let seq = Seq(talk.seq);
        let earlier = talk.waiting.then_some(NOW - MS);
        let conversation = Conversation {
            channel,
            seq,
            due: earlier,
            first_response_at: earlier,
            ..conversation()
        };
        let bucket = ("outbox_bucket", talk.waiting.then(|| value("as before")));
        items.push(with(item(&conversation_key(), &conversation), [bucket]));
        let seqs = 1..=talk.seq + u64::from(talk.stray);
        items.extend(
            seqs.map(|seq| {
                item(&key::message(BUSINESS_ID, CONVERSATION_ID, Seq(seq)), &message(seq))
            }),
        );
    }

    if let Some(Some(hash)) = state.key {
        let record =
            Idempotency { first: first(hash), conversation_id: CONVERSATION_ID, expires_at: 0 };
        items.push(item(&key::idempotency(BUSINESS_ID, "a key"), &record));
    }

    (items, state.head_read.then_some(head))
}

fn at(key: &key::Key) -> (String, String) {
    (key.pk.clone(), key.sk.clone())
}

/// Returns the items after `accepted` was stored and nothing else changed. The message names the
/// shard that it was counted on.
fn after(mut items: ItemsByKey, state: &State, accepted: &Message) -> ItemsByKey {
    let (id, seq, shard) = (accepted.id, accepted.seq, accepted.shard);
    let counted = items
        .get_mut(&at(&key::quota_shard(BUSINESS_ID, month(), shard)))
        .expect("a shard of the month");

    let used: u64 = counted["used"].as_n().expect("a number").parse().expect("a number");
    counted.insert("used".into(), value(used + 1));
    let turn = state.turn().accepted(Seq(seq.0 - 1), NOW).expect("the rule accepts it");
    let due = turn.due.expect("it is in the outbox").timestamp_millis();
    let talk = items.get_mut(&at(&conversation_key())).expect("it is there");
    talk.extend([
        ("seq".into(), value(turn.seq)),
        ("due".into(), value(due)),
        ("updated_at".into(), value(NOW)),
    ]);
    talk.entry("first_response_at".into()).or_insert_with(|| value(NOW));

    // The bucket is that of the message's channel.
    talk.insert("outbox_bucket".into(), value(key::outbox_bucket(Channel::Chat, CONVERSATION_ID)));
    let message_key = key::message(BUSINESS_ID, CONVERSATION_ID, seq);
    assert_eq!(items.insert(at(&message_key), item(&message_key, accepted)), None);
    if state.key.is_some() {
        let first = RecordedAnswer { message_id: id, seq, request_hash: HASH.into() };
        let record = Idempotency {
            first,
            conversation_id: CONVERSATION_ID,
            expires_at: NOW.timestamp() + 24 * 60 * 60,
        };
        let key = key::idempotency(BUSINESS_ID, "a key");
        assert_eq!(items.insert(at(&key), item(&key, &record)), None);
    }

    items
}

/// Returns the items after the month was opened and nothing else changed.
fn opened(mut items: ItemsByKey) -> ItemsByKey {
    let head = QuotaHead { limit: PLAN, shards: 1, version: 1, full_shards: FullShards::default() };
    let (head_key, shard_key) =
        (key::quota_head(BUSINESS_ID, month()), key::quota_shard(BUSINESS_ID, month(), 0));
    items.insert(at(&head_key), item(&head_key, &head));
    items.insert(at(&shard_key), item(&shard_key, &quota::open(PLAN, 1)[0]));
    items
}

/// Returns these shards with their numbers.
fn numbered(shards: &[Shard]) -> Vec<(u16, Shard)> {
    (0..).zip(shards.iter().copied()).collect()
}

/// Takes the full shards that are remembered out of the items.
fn take_full(items: &mut ItemsByKey) -> FullShards {
    let head = items.get_mut(&at(&key::quota_head(BUSINESS_ID, month())));
    let full = head.and_then(|head| head.remove("full_shards"));
    let full = full.map(serde_dynamo::aws_sdk_dynamodb_1::from_attribute_value);
    full.transpose().expect("shards").unwrap_or_default()
}

/// Checks the answer to a request in a state, and what is stored then; returns whether it was
/// accepted.
async fn check(
    scratch: &Scratch,
    state: &State,
    before: ItemsByKey,
    answer: Result<AcceptOutcome, InternalError>,
) -> bool {
    let (expected, is_open) = state.expected();
    let before = if is_open && state.shards.is_empty() { opened(before) } else { before };
    // A limit of nothing needs no mark: the head says it.
    let needs_mark = state.head_read || quota::Usage::of(&state.shards).limit > 0;
    let is_spent = matches!(expected, Expected::Refused(Refusal::QuotaExceeded { .. }));
    let mut stored = scratch.items.all().await;
    let remembered = take_full(&mut stored);
    let full = FullShards::of(&numbered(&state.shards));
    if is_spent && needs_mark && !state.shards.is_empty() {
        assert_eq!(remembered, full, "all of them");
    }
    assert!(full.contain_all(remembered), "{remembered:?} of {full:?}");
    match answer {
        Ok(AcceptOutcome::Accepted(message)) => {
            assert_eq!(Expected::Accepted(message.seq.0), expected);
            assert_eq!((message.id.seq(), message.status), (Some(message.seq), Status::Queued));
            assert_eq!((message.created_at, message.month), (NOW, month()));
            let shard = state.shards.get(usize::from(message.shard));
            assert!(shard.is_none_or(|shard| shard.has_room()), "counted on {shard:?}");
            assert_eq!(stored, after(before, state, &message));
            return true;
        }
        Ok(AcceptOutcome::Replayed(found)) => {
            assert_eq!((Expected::Replayed, found), (expected, message(1)))
        }
        Ok(AcceptOutcome::Refused(refusal)) => assert_eq!(Expected::Refused(refusal), expected),
        Ok(AcceptOutcome::ChannelChanged) => assert_eq!(Expected::ChannelChanged, expected),
        Ok(AcceptOutcome::UploadsChanged) => panic!("a message without files"),
        Err(broken) => assert_eq!(Expected::InternalError, expected, "{}", broken.chain()),
    }
    assert_eq!(stored, before);
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_accepts_what_the_rules_accept_and_stores_nothing_else() {
    let scratch = Scratch::start().await;
    for_all(200, &any_state(), async |state| {
        let (items, head) = items_of(&state);
        let before = scratch.items.replace_all(items).await;
        let answer = scratch.table().accept(&draft(&state), Seq(state.last), head, None).await;
        check(&scratch, &state, before, answer).await
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_was_read_full_is_refused_without_a_transaction_unless_it_has_room_by_now() {
    let scratch = Scratch::start().await;
    let full = Shard { used: 3, cap: 3 };
    let talk = Talk { seq: 1, channel: "chat", waiting: true, stray: false };
    for now in [full, Shard { used: 3, cap: 4 }] {
        let state = State {
            shards: vec![now],
            head_read: true,
            conversation: Some(talk.clone()),
            last: 1,
            key: None,
        };
        let (items, head) = items_of(&state);
        scratch.items.replace_all(items).await;

        let refuse_transactions = async |_| panic!("a transaction was made");
        let table = match now.has_room() {
            true => scratch.table(),
            false => scratch.meanwhile_once("TransactWriteItems", refuse_transactions),
        };
        let answer = table.accept(&draft(&state), Seq(state.last), head, Some(full)).await;
        match answer.expect("an answer") {
            AcceptOutcome::Accepted(_) => assert!(now.has_room()),
            AcceptOutcome::Refused(refusal) => {
                assert_eq!(Expected::Refused(refusal), spent(&[now]));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_is_marked_as_spent_is_refused_without_a_transaction_unless_the_key_is_known()
{
    let scratch = Scratch::start().await;
    let full = Shard { used: 3, cap: 3 };
    let talk = Talk { seq: 1, channel: "chat", waiting: true, stray: false };
    for (key, expected) in [
        (None, spent(&[full])),
        (Some(None), spent(&[full])),
        (Some(Some(HASH)), Expected::Replayed),
        (Some(Some("another")), Expected::Refused(Refusal::IdempotencyKeyReused)),
    ] {
        let state = State {
            shards: vec![full],
            head_read: true,
            conversation: Some(talk.clone()),
            last: 1,
            key,
        };
        let (items, _) = items_of(&state);
        let before = scratch.items.replace_all(items).await;
        let full_shards = FullShards::of(&[(0, full)]);
        let head = QuotaHead { limit: 3, shards: 1, version: 1, full_shards };
        let table = scratch.meanwhile_once("TransactWriteItems", async |_| {
            panic!("a transaction was made");
        });
        let answer = table.accept(&draft(&state), Seq(state.last), Some(head), None).await;
        let answer = match answer.expect("an answer") {
            AcceptOutcome::Replayed(found) if found == message(1) => Expected::Replayed,
            AcceptOutcome::Refused(refusal) => Expected::Refused(refusal),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer, expected);
        assert_eq!(scratch.items.all().await, before);
    }
}

/// Of 64 shards one has room: a request that found it spares the others the search.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_shard_is_tried_once() {
    let scratch = Scratch::start().await;
    let mut shards = vec![Shard { used: 10, cap: 10 }; 63];
    shards.insert(17, Shard { used: 1, cap: 10 });
    let talk = Talk { seq: 1, channel: "chat", waiting: true, stray: false };
    let (head, mut items) = month_of(1, &shards);
    let state = State { shards, head_read: true, conversation: Some(talk), last: 1, key: None };
    items.push(item(&key::plan(BUSINESS_ID), &plan(PLAN, 64, 1)));
    let conversation = Conversation { seq: Seq(1), ..conversation() };
    items.push(item(&conversation_key(), &conversation));
    for item in items {
        scratch.items.put(item).await;
    }

    let stored_head = async || {
        let stored = scratch.items.get(&key::quota_head(BUSINESS_ID, month())).await;
        let stored = stored.expect("it is open").into_iter().collect();
        serde_dynamo::aws_sdk_dynamodb_1::from_item::<QuotaHead>(stored).expect("a head")
    };
    let mut last = Seq(1);
    // The first one may find it by chance.
    while stored_head().await.full_shards.are_none() {
        let table = scratch.table();
        let answer = table.accept(&draft(&state), last, Some(head.clone()), None).await;
        let AcceptOutcome::Accepted(message) = answer.expect("an answer") else { panic!() };
        assert_eq!(message.shard, 17);
        last = message.seq;
    }

    let head = stored_head().await;
    assert_eq!(head.full_shards.others(64).collect::<Vec<_>>(), [17]);
    let table = scratch.meanwhile_once("BatchGetItem", async |_| panic!("shards were read"));
    let answer = table.accept(&draft(&state), last, Some(head), None).await;
    let AcceptOutcome::Accepted(message) = answer.expect("an answer") else { panic!() };
    assert_eq!(message.shard, 17);
}

/// A plan that grows between the last look at the shards and the mark makes another head. That one
/// must not get the mark: it would refuse what the new plan has room for.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_has_room_by_a_newer_plan_is_not_marked_as_spent() {
    let scratch = Scratch::start().await;
    let full = Shard { used: 3, cap: 3 };
    let talk = Talk { seq: 1, channel: "chat", waiting: true, stray: false };
    let state =
        State { shards: vec![full], head_read: true, conversation: Some(talk), last: 1, key: None };
    let (items, head) = items_of(&state);
    scratch.items.replace_all(items).await;
    let newer = QuotaHead { limit: 9, shards: 1, version: 2, full_shards: FullShards::default() };
    let change = newer.clone();
    let table = scratch.meanwhile_once("UpdateItem", move |items: Items| {
        let key = key::quota_head(BUSINESS_ID, month());
        let head = item(&key, &change);
        async move { drop(items.put(head).await) }
    });

    let answer =
        table.accept(&draft(&state), Seq(state.last), head, None).await.expect("an answer");
    assert!(matches!(answer, AcceptOutcome::Refused(Refusal::QuotaExceeded { .. })), "{answer:?}");
    let key = key::quota_head(BUSINESS_ID, month());
    assert_eq!(scratch.items.all().await[&at(&key)], item(&key, &newer));
}

/// All lists of reasons that a cancellation of four writes may come with: as long as they like, and
/// any of them left out.
fn patterns() -> impl Iterator<Item = String> {
    (0..=4).flat_map(|length: u32| {
        (0..1 << length).map(move |told: u32| {
            let sign = |position| if told >> position & 1 == 1 { '+' } else { '-' };
            (0..length).map(sign).collect()
        })
    })
}

/// States that a request meets when another one, or the same one sent twice, was faster.
fn races() -> Vec<State> {
    let shard = |used| Shard { used, cap: 3 };
    let talk = |seq, channel| Some(Talk { seq, channel, waiting: true, stray: false });
    let fresh = State {
        shards: vec![shard(1)],
        head_read: true,
        conversation: talk(1, "chat"),
        last: 0,
        key: Some(None),
    };
    let replayed = State { key: Some(Some(HASH)), ..fresh.clone() };
    let reused = State { key: Some(Some("another")), ..fresh.clone() };
    let spent = |state: &State| State { shards: vec![shard(3)], ..state.clone() };
    let unopened = |state: &State| State { shards: vec![], ..state.clone() };
    let gone = |state: &State| State { conversation: None, ..state.clone() };
    let moved = |state: &State| State { conversation: talk(1, "whatsapp"), ..state.clone() };
    let broken = State {
        conversation: talk(1, "chat").map(|talk| Talk { stray: true, ..talk }),
        last: 1,
        ..fresh.clone()
    };

    let mut states = vec![State { key: None, ..fresh.clone() }, broken];
    for state in [&fresh, &replayed, &reused] {
        states.extend([state.clone(), spent(state)]);
    }
    // After a change of channel the caller reads everything again, the key as well.
    states.extend([
        moved(&fresh),
        unopened(&fresh),
        gone(&fresh),
        gone(&reused),
        spent(&gone(&reused)),
    ]);
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_tells_a_part_of_its_reasons_changes_no_answer() {
    let scratch = Scratch::start().await;
    for state in races() {
        for pattern in patterns() {
            let (items, head) = items_of(&state);
            let before = scratch.items.replace_all(items).await;
            let table = scratch.telling_reasons("used < cap", &pattern);
            let answer = table.accept(&draft(&state), Seq(state.last), head, None).await;
            println!("{pattern} {state:?}");
            assert!(scratch.was_told_less(), "no transaction was cut: {pattern} {state:?}");
            check(&scratch, &state, before, answer).await;
        }
    }
}
