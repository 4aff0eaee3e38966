//! Mail: what the customer's program shows as one thread, that no text can add a header,
//! and an address that nothing is written to any more.

use std::collections::BTreeMap;
use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::Utc;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::attachments::{send, store};
use domain::{BusinessId, ChannelId, ConversationId};
use platform::table::key;
use platform::table::provision::NewConversation;
use platform::table::record::{ChannelRecord, ChannelSettings};
use tests::{PNG, World, contract};

/// A mail as its reader's program has it.
struct Mail(Value);

impl Mail {
    fn header(&self, name: &str) -> &str {
        let headers = self.0["headers"].as_array().expect("mails have headers");
        let found: Vec<_> = headers.iter().filter(|header| header["name"] == name).collect();
        assert!(found.len() <= 1, "{name} is there {} times", found.len());
        found.first().and_then(|header| header["value"].as_str()).unwrap_or_default()
    }
}

async fn mails(world: &World, conversation_id: Uuid) -> Vec<Mail> {
    let all = world.sandbox(Method::GET, "/email/messages", Value::Null).await;
    let all = all.as_array().expect("an array").iter();
    all.filter(|mail| mail["conversation_id"] == json!(conversation_id))
        .cloned()
        .map(Mail)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_messages_are_one_thread_below_the_customers_own() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let texts = ["one", "two", "three"]
        .map(|number| format!("message {number}\n\n<b>& more</b> — שלום 📦"));

    for text in &texts {
        world.send(&business.api_key, conversation_id, text).go().await.id();
    }

    world.until_received("email", conversation_id, &texts).await;

    let mails = mails(&world, conversation_id).await;
    let begun_by = format!("<{}@mail.example.com>", conversation_id.simple());
    let mut thread = vec![begun_by];

    for mail in &mails {
        assert_eq!(mail.header("References"), thread.join(" "));
        assert_eq!(mail.header("In-Reply-To"), thread.last().expect("it has begun"));
        assert_eq!(mail.0["subject"], "Re: Where is my parcel?");
        let business = business.business_id.simple();
        let conversation_id = conversation_id.simple();
        assert!(mail.header("Reply-To").starts_with(&format!("{business}{conversation_id}@")));
        thread.push(mail.header("Message-ID").to_owned());
    }

    assert_eq!(thread.len(), 4);
    assert!(thread[1].ends_with("@email.amazonses.com>"), "{thread:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_was_lost_is_in_the_thread_all_the_same() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    world.report("email", json!({ "statuses": ["sent"], "held": true })).await;
    world.fault("email", json!({ "after_effect": true, "times": 1 })).await;

    let first =
        world.send(&business.api_key, conversation_id, "the answer is lost").go().await.id();
    world.until_status(&business.api_key, conversation_id, first, "in_doubt").await;

    world.release("email").await;
    world.until_status(&business.api_key, conversation_id, first, "sent").await;

    let second = world.send(&business.api_key, conversation_id, "this one follows").go().await.id();
    world.until_status(&business.api_key, conversation_id, second, "sent").await;

    let mails = mails(&world, conversation_id).await;
    assert_eq!(mails[1].header("In-Reply-To"), mails[0].header("Message-ID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_can_add_a_header() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let id = BusinessId(business.business_id);
    let channel_id = ChannelId(Uuid::new_v4());
    let settings = ChannelSettings::Email {
        from: "Shop\r\nBcc: a@b.example <shop@example.com>".into(),
        configuration_set: None,
    };
    let record = ChannelRecord {
        is_active: true,
        in_doubt: Default::default(),
        paused_until: None,
        settings,
    };

    world.table().operator().put_channel(id, channel_id, &record).await.expect("a channel");
    let new = |recipient: &str| NewConversation {
        channel: "email".into(),
        channel_id,
        recipient: recipient.into(),
        subject: Some("Hello\r\nBcc: everybody@example.com\r\n\r\n<script>".into()),
        begun_by: Some("<1@example.com>\r\nBcc: everybody@example.com".into()),
        window_expires_at: None,
    };
    let conversation_id = ConversationId(Uuid::new_v4());

    world
        .table()
        .operator()
        .create_conversation(id, conversation_id, new("anna@example.com"), Utc::now())
        .await
        .expect("a conversation");

    let text = "\r\nBcc: everybody@example.com\n\nbody";
    world.send(&business.api_key, conversation_id, text).go().await.id();
    world.until_received("email", conversation_id.0, &[text.replace("\r\n", "\n")]).await;

    let mails = mails(&world, conversation_id.0).await;
    assert_eq!(mails[0].0["subject"], "Re: Hello Bcc: everybody@example.com <script>");
    assert_eq!(mails[0].0["to"], "anna@example.com");

    let known =
        ["From", "To", "Reply-To", "Subject", "MIME-Version", "Content-Type", "Message-ID", "Date"];
    for header in mails[0].0["headers"].as_array().expect("headers") {
        assert!(known.iter().any(|name| header["name"] == *name), "{header}");
    }

    // An address with a line in it is none, and the conversation is not made.
    let conversation_id = ConversationId(Uuid::new_v4());
    let odd = new("anna@example.com\r\nBcc: everybody@example.com");
    let made =
        world.table().operator().create_conversation(id, conversation_id, odd, Utc::now()).await;
    assert!(made.is_err_and(|error| error.chain().contains("recipient is not a mail address")));

    let answer = world.send(&business.api_key, conversation_id, "to no mailbox").go().await;
    assert_eq!(answer.problem(), (404, "conversation_not_found".into()));

    // One that was stored before recipients were checked.
    let stored = ConversationId(business.conversation_id("email"));
    let change = world
        .dynamodb()
        .update_item()
        .table_name(&world.ready.table)
        .set_key(Some(key::conversation(id, stored).attributes()))
        .update_expression("SET recipient = :odd")
        .expression_attribute_values(
            ":odd",
            AttributeValue::S("anna@example.com\r\nBcc: everybody@example.com".into()),
        );
    change.send().await.expect("the conversation is there");

    let message_id = world.send(&business.api_key, stored, "to no mailbox").go().await.id();
    let delivery = world.until_status(&business.api_key, stored.0, message_id, "failed").await;
    assert_eq!(delivery["error"]["code"], "recipient_unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_in_the_mail_while_there_is_room_and_linked_to_beyond() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let film = vec![7; 4_000_000];
    let mut urls = Vec::new();

    for (name, kind, bytes) in [
        ("photo 1.png", "image/png", PNG),
        ("film.bin", "application/octet-stream", &film),
        ("again.bin", "application/octet-stream", &film),
    ] {
        let upload = store(&world, &business.api_key, conversation_id, name, kind, bytes).await;
        assert_eq!(upload.status, StatusCode::CREATED, "{}", upload.text);
        urls.push(upload.json()["url"].clone());
    }

    send(&world, &business, conversation_id, &urls.iter().collect::<Vec<_>>()).await.id();
    let mail =
        world.until("a mail arrives", async || mails(&world, conversation_id).await.pop()).await;
    let inside = json!([
        { "filename": "photo 1.png", "content_type": "image/png" },
        { "filename": "film.bin", "content_type": "application/octet-stream" },
    ]);
    assert_eq!(mail.0["attachments"], inside);

    let url = urls[2].as_str().expect("a URL");
    assert_eq!(mail.0["content"], format!("see the file\n\nagain.bin (4.0 MB)\n{url}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suppressed_address_fails_for_good_and_holds_nothing_up() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");

    for (status, provider_code) in [
        ("suppressed", "Permanent/OnAccountSuppressionList"),
        ("complaint_suppressed", "Complaint/OnAccountSuppressionList"),
    ] {
        // SES takes the mail, and says that it was sent, before it says that it was not.
        world.report("email", json!({ "statuses": ["sent", status], "delay_ms": 0 })).await;
        let id =
            world.send(&business.api_key, conversation_id, "this is never read").go().await.id();
        let delivery = world.until_status(&business.api_key, conversation_id, id, "failed").await;
        assert_eq!(
            (&delivery["attempts"], &delivery["error"]["code"]),
            (&json!(1), &json!("recipient_suppressed"))
        );
        assert_eq!(delivery["error"]["provider_code"], provider_code);
    }

    world.report("email", json!({ "statuses": ["delivered"], "delay_ms": 0 })).await;
    let id =
        world.send(&business.api_key, conversation_id, "the address is good again").go().await.id();
    world.until_status(&business.api_key, conversation_id, id, "delivered").await;

    // SES had both, and delivered neither.
    world.allow(|allowed| allowed.undelivered = true);
}

/// SES checks a second action where the content is raw, although the operation is `SendEmail`.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_one_of_the_actions_that_ses_checks_pauses_the_channel() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("system/ses-grant");
    let (both, one) = ("Action: [ses:SendEmail, ses:SendRawEmail]", "Action: ses:SendEmail");
    let world =
        World::start_of(contract::edited_template(&folder, both, one), BTreeMap::new()).await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let id = world.send(&business.api_key, conversation_id, "no mail").go().await.id();

    let refused = async || {
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        (delivery["error"]["code"] == "not_permitted").then_some(delivery)
    };
    let delivery = world.until("SES refused", refused).await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("queued"), &json!(0)));
    assert_eq!(delivery["error"]["provider_code"], "AccessDeniedException");
    assert_eq!(mails(&world, conversation_id).await.len(), 0);

    let is_told = async || {
        let lines = world.logged();
        lines.iter().any(|line| line.text.contains("channel paused")).then_some(())
    };
    world.until("operators are told", is_told).await;
    world.allow(|allowed| allowed.waiting = true);
}
