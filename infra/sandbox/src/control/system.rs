//! Everything that the control API controls.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::answer::HttpError;
use crate::channel::Channel;
use crate::clock::Clock;
use crate::fault::Faults;
use crate::providers::Providers;
use crate::receipts::ReceiptControl;
use crate::receivers::Receivers;
use crate::seed::{Business, Conversation, NewBusiness, NewConversation, SeedError, Seeder};
use crate::visitor::Visitor;
use crate::widget::Widgets;
use emulator::{Engine, InvokeError};

/// The function that looks for due conversations, by its local name.
const SWEEPER: &str = "sweep-outbox";
/// The variable in which functions read how far their clock is moved.
const CLOCK_OFFSET: &str = "CLOCK_OFFSET_MS";

/// Everything that goes on in the system and around it.
#[derive(Debug, Serialize)]
pub(super) struct Activity {
    /// Functions and queues.
    #[serde(flatten)]
    system: emulator::Activity,
    /// Messages whose receipts are being sent or wait for their time.
    receipts: usize,
    /// Chat customers who are about to connect.
    widgets_connecting: usize,
    /// Chat customers who hold a message back because one before it is missing.
    widgets_holding: usize,
}

impl Activity {
    /// Returns whether nothing happens any more before the next run of a schedule.
    pub(super) fn is_idle(&self) -> bool {
        let at_rest = self.receipts == 0 && self.widgets_connecting == 0;
        at_rest && self.widgets_holding == 0 && self.system.is_idle()
    }
}

/// The running system and the world around it.
#[derive(Debug)]
pub(crate) struct System {
    /// The local AWS and the functions.
    pub(crate) engine: Arc<Engine>,
    /// The providers.
    pub(crate) providers: Arc<Providers>,
    /// The endpoints of businesses.
    pub(crate) receivers: Arc<Receivers>,
    /// The maker of businesses and conversations.
    pub(crate) seeder: Seeder,
    /// The chat customers.
    pub(crate) widgets: Arc<Widgets>,
    /// The moved clock.
    pub(crate) clock: Arc<Clock>,
}

impl System {
    /// Returns a channel's provider.
    pub(super) fn channel(&self, name: &str) -> Result<&Channel, HttpError> {
        match name {
            "whatsapp" => Ok(&self.providers.whatsapp.channel),
            "email" => Ok(&self.providers.email.channel),
            "chat" => Ok(&self.providers.chat.channel),
            _ => Err(HttpError::not_found(format!(
                "there is no channel `{name}`: whatsapp, email and chat are"
            ))),
        }
    }

    /// Returns the faults of a channel, of uploads to WhatsApp, or of businesses' endpoints.
    pub(super) fn faults(&self, name: &str) -> Result<&Faults, HttpError> {
        match name {
            "whatsapp-media" => Ok(&self.providers.whatsapp.media.faults),
            "endpoints" => Ok(&self.receivers.faults),
            _ => self.channel(name).map(|channel| &channel.faults),
        }
    }

    /// Returns the receipts of a channel that has them.
    pub(super) fn receipts(&self, channel: &str) -> Result<&dyn ReceiptControl, HttpError> {
        match channel {
            "whatsapp" => Ok(&self.providers.whatsapp.receipts),
            "email" => Ok(&self.providers.email.receipts),
            "chat" => Err(HttpError::not_found(
                "chat's receipts are its customers' own: see /sandbox/chat/widgets",
            )),
            _ => self.channel(channel).and(Err(HttpError::not_found("it has no receipts"))),
        }
    }

    /// Makes a business with a conversation on each channel. Its chat customer connects, unless
    /// customers were sent away.
    ///
    /// # Errors
    /// It is refused, or the table did not take it.
    pub(super) async fn add_business(&self, new: &NewBusiness) -> Result<Business, SeedError> {
        let business = self.seeder.make_business(new).await?;
        let business_id = business.business_id;
        let conversation_id = business.conversations.chat;
        self.widgets.add(vec![Visitor { business_id, conversation_id }]).await;
        Ok(business)
    }

    /// Makes one more conversation of a business.
    ///
    /// # Errors
    /// There is no such business, or the table did not take it.
    pub(super) async fn add_conversation(
        &self,
        new: &NewConversation,
    ) -> Result<Conversation, SeedError> {
        let conversation = self.seeder.make_conversation(new).await?;
        if conversation.channel == domain::Channel::Chat {
            let Conversation { business_id, conversation_id, .. } = conversation;
            self.widgets.add(vec![Visitor { business_id, conversation_id }]).await;
        }
        Ok(conversation)
    }

    /// Looks at everything that goes on.
    pub(super) async fn activity(&self) -> Activity {
        Activity {
            system: self.engine.activity().await,
            receipts: self.providers.receipts_underway(),
            widgets_connecting: self.widgets.connecting().await,
            widgets_holding: self.widgets.holding(),
        }
    }

    /// Runs the sweeper now, as the schedule does every minute, and returns its answer.
    ///
    /// # Errors
    /// The sweeper's own error.
    pub(super) async fn sweep(&self) -> Result<Value, InvokeError> {
        self.engine.run_schedule(SWEEPER).await
    }

    /// Tells the functions and S3 the moved time. Connections do not survive it, as they would not
    /// survive the hours in between, so the chat customers connect again.
    pub(super) async fn apply_clock(&self) {
        let offset_ms = self.clock.offset_ms();
        self.engine.set_variable(CLOCK_OFFSET, &offset_ms.to_string()).await;
        // A file that cannot be removed is tried again the next time; nothing depends on it.
        let _ = self.engine.expire_objects(self.clock.now());
        self.widgets.reconnect().await;
    }
}
