//! `create_conversation`, `customer_wrote` and `customer_changed`: a customer's message on WhatsApp
//! finds the customer's conversations by any of their names, and moves the end of their window only
//! forward.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::sample::{BUSINESS_ID, CONVERSATION_ID, LEASE, MS, NOW, conversation, conversation_key};
use super::scratch::{Scratch, item, value, with};
use domain::channel::whatsapp::CustomerId;
use domain::delivery::OnUnknownOutcome;
use domain::{BusinessId, ChannelId, ConversationId, PrivateText};
use platform::table::CustomerConversations;
use platform::table::key;
use platform::table::provision::NewConversation;
use platform::table::record::{ChannelRecord, ChannelSettings, Conversation};

/// How long a customer's message lets a business write to them ([customer service
/// windows](https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages)).
const DAY: TimeDelta = TimeDelta::hours(24);

const NUMBER: &str = "106540352242922";
const CUSTOMER: &str = "16505551234";
const CHANNEL: ChannelId = ChannelId(Uuid::from_u128(0xCC));

/// Stores a conversation on WhatsApp with this window, and the item that leads the customer to it.
async fn stored(scratch: &Scratch, window_expires_at: Option<DateTime<Utc>>) -> Conversation {
    let stored = Conversation { channel: "whatsapp".into(), window_expires_at, ..conversation() };
    scratch.items.put(item(&conversation_key(), &stored)).await;
    let found_by = key::whatsapp_customer(NUMBER, CUSTOMER, BUSINESS_ID, CONVERSATION_ID);
    scratch.items.put(found_by.attributes().into_iter().collect()).await;
    stored
}

/// Returns the names that Meta has for a customer.
fn names(names: &[&str]) -> Vec<CustomerId> {
    names.iter().filter_map(|name| CustomerId::parse(name)).collect()
}

async fn window(scratch: &Scratch) -> Option<DateTime<Utc>> {
    let conversation: Conversation =
        scratch.items.record(&conversation_key()).await.expect("it stays");
    conversation.window_expires_at
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_opens_for_a_day_and_its_end_only_moves_forward() {
    let scratch = Scratch::start().await;
    let table = scratch.table();
    let until = NOW + DAY;

    for (before, opened, after) in [
        (None, 1, until),
        (Some(NOW - LEASE), 1, until),
        (Some(until - MS), 1, until),
        (Some(until), 0, until),
        (Some(until + MS), 0, until + MS),
    ] {
        let was = stored(&scratch, before).await;
        assert_eq!(
            table.customer_wrote(NUMBER, &names(&[CUSTOMER]), NOW).await.expect("an answer"),
            CustomerConversations { open: vec![(BUSINESS_ID, CONVERSATION_ID)], opened },
            "{before:?}"
        );
        let now: Option<Conversation> = scratch.items.record(&conversation_key()).await;
        assert_eq!(
            now,
            Some(Conversation { window_expires_at: Some(after), ..was }),
            "and nothing else is changed"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_customers_own_conversations_with_that_number_get_a_window() {
    let scratch = Scratch::start().await;
    let table = scratch.table();
    let before = stored(&scratch, None).await;

    for (number, customer) in
        [(NUMBER, "16505551235"), ("106540352242923", CUSTOMER), ("", ""), ("B", "C")]
    {
        assert_eq!(
            table.customer_wrote(number, &names(&[customer]), NOW).await.expect("an answer"),
            CustomerConversations::default()
        );
    }

    assert_eq!(window(&scratch).await, None);
    // The conversation is on e-mail now, or missing.
    let moved = Conversation { channel: "email".into(), ..before };
    scratch.items.put(item(&conversation_key(), &moved)).await;

    let heard = table.customer_wrote(NUMBER, &names(&[CUSTOMER]), NOW).await;
    assert_eq!(heard.expect("an answer"), CustomerConversations::default());
    scratch.items.remove(&conversation_key()).await;
    let heard = table.customer_wrote(NUMBER, &names(&[CUSTOMER]), NOW).await;
    assert_eq!(heard.expect("an answer"), CustomerConversations::default());

    assert_eq!(scratch.items.all().await.len(), 1, "nothing is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_open_although_the_answer_was_lost() {
    let scratch = Scratch::start().await;
    stored(&scratch, None).await;
    // The first answer is that of the read before.
    scratch
        .losing_an_answer_after(1)
        .customer_wrote(NUMBER, &names(&[CUSTOMER]), NOW)
        .await
        .expect("an answer");
    assert_eq!(window(&scratch).await, Some(NOW + DAY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_found_by_one_name_is_found_by_all_of_them_from_then_on() {
    let scratch = Scratch::start().await;
    let table = scratch.table();
    stored(&scratch, None).await;
    let wrote = async |all: &[&str], minutes| {
        let at = NOW + TimeDelta::minutes(minutes);
        table.customer_wrote(NUMBER, &names(all), at).await.expect("an answer").opened
    };

    assert_eq!(wrote(&["US.1"], 1).await, 0, "the user id is not known yet");
    assert_eq!(wrote(&[CUSTOMER, "US.1", "US.ENT.9"], 2).await, 1);
    let linked = scratch.items.all().await;
    assert_eq!(linked.len(), 4, "the conversation, and a link for each name");

    assert_eq!(wrote(&["US.1"], 3).await, 1);
    assert_eq!(wrote(&["US.ENT.9"], 4).await, 1);
    assert_eq!(wrote(&["US.2", CUSTOMER], 5).await, 1);
    assert_eq!(wrote(&["US.1", CUSTOMER], 5).await, 0, "it is open for as long already");
    assert_eq!(scratch.items.all().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_changes_takes_their_conversations_along() {
    let scratch = Scratch::start().await;
    let table = scratch.table();
    let numbered =
        Conversation { recipient: "+1 650 555 1234".into(), ..stored(&scratch, None).await };
    scratch.items.put(item(&conversation_key(), &numbered)).await;
    table.customer_wrote(NUMBER, &names(&[CUSTOMER, "US.1"]), NOW).await.expect("an answer");

    let changed = async |old: &[&str], new: &[&str], at| {
        let (old, new) = (names(old), names(new));
        table.customer_changed(NUMBER, &old, &new, at).await.expect("an answer")
    };
    let recipient = async || {
        let conversation: Conversation =
            scratch.items.record(&conversation_key()).await.expect("it stays");
        conversation.recipient
    };
    let links = async || {
        let keys = scratch.items.all().await.into_keys();
        keys.filter_map(|key| key.0.strip_prefix("P#106540352242922#").map(str::to_owned))
            .collect::<Vec<_>>()
    };

    // Another person got the number after the conversation began, says an old report.
    let before = numbered.created_at - TimeDelta::seconds(1);
    assert_eq!(changed(&[CUSTOMER], &["16505550000"], before).await, 0);
    assert_eq!(recipient().await, "+1 650 555 1234");

    // A number with a new user id, told twice.
    for conversations in [1, 0] {
        let (old, new) = ([CUSTOMER, "US.1"], ["16505550000", "US.2"]);
        assert_eq!(changed(&old, &new, NOW).await, conversations);
        assert_eq!(recipient().await, "16505550000");
        assert_eq!(links().await, ["16505550000", "US.2"]);
    }

    // A new user id only: the new number is not told, and the old one is another person's.
    assert_eq!(changed(&["US.2", "16505550000"], &["US.3"], NOW).await, 1);
    assert_eq!((recipient().await, links().await), ("US.3".into(), vec!["US.3".to_owned()]));

    // The same number in another spelling stays where it is.
    assert_eq!(changed(&["US.3"], &["525512345678"], NOW).await, 1);
    assert_eq!(changed(&["525512345678"], &["5215512345678"], NOW).await, 1);
    assert_eq!(links().await, ["525512345678"]);

    // The conversation is on another channel now.
    let moved =
        Conversation { channel: "email".into(), recipient: "a@b.example".into(), ..numbered };
    scratch.items.put(item(&conversation_key(), &moved)).await;
    changed(&["525512345678"], &["16505550000"], NOW).await;
    assert_eq!(recipient().await, "a@b.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_conversation_gets_neither_a_window_nor_a_link() {
    let scratch = Scratch::start().await;
    let was = stored(&scratch, Some(NOW - LEASE)).await;
    let erased = Conversation { recipient: PrivateText::default(), ..was };
    let erased = with(item(&conversation_key(), &erased), [("erased_at", Some(value(NOW)))]);
    scratch.items.put(erased).await;
    let before = scratch.items.all().await;

    let customer = names(&[CUSTOMER, "US.1"]);
    let opened = scratch.table().customer_wrote(NUMBER, &customer, NOW).await;
    assert_eq!(opened.expect("an answer"), CustomerConversations::default());
    assert_eq!(scratch.items.all().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_on_whatsapp_is_made_together_with_the_item_that_leads_to_it() {
    let scratch = Scratch::start().await;
    let table = scratch.table();
    let new = |channel: &str, channel_id| NewConversation {
        channel: channel.into(),
        channel_id,
        recipient: "+1 650 555 1234".into(),
        subject: None,
        begun_by: None,
        window_expires_at: None,
    };

    let (phone_number_id, secret) = (NUMBER.to_owned(), "pingback/whatsapp/a".to_owned());
    let settings = ChannelSettings::Whatsapp { phone_number_id, secret, template: None };
    let record = ChannelRecord {
        is_active: true,
        in_doubt: OnUnknownOutcome::Resend,
        settings,
        paused_until: None,
    };

    table.operator().put_channel(BUSINESS_ID, CHANNEL, &record).await.expect("a channel");
    assert!(
        table
            .operator()
            .create_conversation(BUSINESS_ID, CONVERSATION_ID, new("whatsapp", CHANNEL), NOW)
            .await
            .expect("an answer")
    );

    let found_by = key::whatsapp_customer(NUMBER, CUSTOMER, BUSINESS_ID, CONVERSATION_ID);
    assert!(scratch.items.get(&found_by).await.is_some());

    // The number also leads to the customer's other conversations, those of another business with
    // the same number included.
    let others = [
        (BUSINESS_ID, ConversationId(Uuid::from_u128(1))),
        (BusinessId(Uuid::from_u128(2)), CONVERSATION_ID),
    ];
    for (business_id, conversation_id) in others {
        table.operator().put_channel(business_id, CHANNEL, &record).await.expect("a channel");
        assert!(
            table
                .operator()
                .create_conversation(business_id, conversation_id, new("whatsapp", CHANNEL), NOW)
                .await
                .expect("one")
        );
    }

    let heard = table.customer_wrote(NUMBER, &names(&[CUSTOMER]), NOW).await.expect("an answer");
    assert_eq!((heard.opened, heard.open.len()), (3, 3));

    // An existing conversation is not made again, and no item that leads to it is added.
    let before = scratch.items.all().await;
    let elsewhere =
        NewConversation { recipient: "+1 650 555 9999".into(), ..new("whatsapp", CHANNEL) };

    assert!(
        !table
            .operator()
            .create_conversation(BUSINESS_ID, CONVERSATION_ID, elsewhere, NOW)
            .await
            .expect("an answer")
    );
    assert_eq!(scratch.items.all().await, before);
    // A number leads to no chat and no e-mail conversation.
    let chat = ConversationId(Uuid::from_u128(3));

    assert!(
        table
            .operator()
            .create_conversation(BUSINESS_ID, chat, new("chat", CHANNEL), NOW)
            .await
            .expect("an answer")
    );

    assert_eq!(scratch.items.all().await.len(), before.len() + 1);
}
