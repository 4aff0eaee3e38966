//! The customers of the chat: the sandbox's own, and what a site with the widget does for a test's
//! own.

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::{Business, World};
use domain::{BusinessId, ConversationId, MessageId};

impl World {
    /// Starts a world whose only customers in the chat are the test's own widgets, with a business.
    pub async fn without_customers() -> (World, Business) {
        let world = World::start().await;
        world.sandbox(Method::DELETE, "/chat/widgets", Value::Null).await;
        let business = world.business(1_000, 1).await;
        (world, business)
    }

    /// Lets the sandbox's customers in: they get everything now, for the oracle's count.
    pub async fn let_customers_in(&self) {
        self.sandbox(Method::POST, "/chat/widgets", Value::Null).await;
    }

    /// Waits until no customer holds a message back because of one before it that failed: until
    /// they were told that it will not come.
    pub async fn until_shown(&self) {
        let shown = async || {
            let widgets = self.sandbox(Method::GET, "/chat/widgets", Value::Null).await;
            (widgets["holding"] == 0).then_some(())
        };
        self.until("the customers show what they got", shown).await;
    }

    /// A token that the site with the widget gives out.
    ///
    /// # Panics
    /// If the conversation has no customer.
    pub async fn visitor_token(&self, conversation_id: Uuid) -> String {
        let path = format!("/chat/token?conversation_id={conversation_id}");
        let answer = self.sandbox(Method::GET, &path, Value::Null).await;
        let token = answer["token"].as_str().expect("a token").to_owned();
        self.ledger().secrets.push(token.clone());
        token
    }

    /// Makes another text of a stored message, such as one of another channel's length.
    ///
    /// # Panics
    /// If there is no such message.
    pub async fn rewrite(&self, business: &Business, channel: &str, id: Uuid, content: &str) {
        let b = BusinessId(business.business_id);
        let c = ConversationId(business.conversation_id(channel));
        let seq = id
            .to_string()
            .parse::<MessageId>()
            .ok()
            .and_then(|id| id.seq())
            .expect("the id carries it");
        let update = self.dynamodb().update_item().table_name(&self.ready.table);
        let update = update.set_key(Some(platform::table::key::message(b, c, seq).attributes()));
        let update = update
            .update_expression("SET content = :content")
            .condition_expression("attribute_exists(pk)");
        let update =
            update.expression_attribute_values(":content", AttributeValue::S(content.to_owned()));

        update.send().await.expect("the table takes it");
    }
}
