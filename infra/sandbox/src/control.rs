//! The control API under `/sandbox`: what people and tests tell the outside world to do, and what
//! they ask it.

mod answer;
mod routes;

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::clock::Clock;
use super::widget::{Visitor, Widgets};
use crate::seed::{Business, Conversation, NewBusiness, NewConversation, SeedError, Seeder};
use emulator::{Engine, InvokeError};

pub(super) use routes::routes;

/// The function that looks for due conversations, by its local name.
const SWEEPER: &str = "sweep-outbox";

/// The running system, as far as the outside world has levers for it.
#[derive(Debug)]
pub struct System {
    engine: Arc<Engine>,
    seeder: Seeder,
    widgets: Widgets,
}

impl System {
    /// What the control API is to control.
    pub fn new(engine: Arc<Engine>, seeder: Seeder, widgets: Widgets) -> Self {
        Self { engine, seeder, widgets }
    }

    /// The local AWS.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The chat customers.
    pub fn widgets(&self) -> &Widgets {
        &self.widgets
    }

    /// A fresh business with a conversation on each channel; its chat customer is here, unless
    /// customers were sent away.
    ///
    /// # Errors
    /// The table did not take it.
    pub async fn add_business(&self, new: &NewBusiness) -> Result<Business, SeedError> {
        let business = self.seeder.business(new).await?;
        let (business_id, conversation_id) = (business.business_id, business.conversations.chat);
        self.widgets.add(vec![Visitor { business_id, conversation_id }]).await;
        Ok(business)
    }

    /// One more conversation of a business.
    ///
    /// # Errors
    /// There is no such business, or the table did not take it.
    pub async fn add_conversation(&self, new: &NewConversation) -> Result<Conversation, SeedError> {
        let conversation = self.seeder.conversation(new).await?;
        if conversation.channel == domain::Channel::Chat {
            let Conversation { business_id, conversation_id, .. } = conversation;
            self.widgets.add(vec![Visitor { business_id, conversation_id }]).await;
        }
        Ok(conversation)
    }

    /// Runs the sweeper now, as the schedule does every minute, and answers what it returned.
    ///
    /// # Errors
    /// It failed, in its own words.
    pub async fn sweep(&self) -> Result<Value, InvokeError> {
        self.engine.run_schedule(SWEEPER).await
    }

    /// Tells the functions what time it is. Connections do not survive it, any more than they would
    /// survive the hours in between, so the customers come back.
    pub async fn follow(&self, clock: &Clock) {
        self.engine.set_clock_offset(clock.offset_ms()).await;
        self.widgets.reconnect().await;
    }
}

/// What the routes share.
#[derive(Debug)]
struct Control {
    providers: Arc<super::Providers>,
    clock: Arc<Clock>,
    system: Arc<OnceLock<System>>,
}
