//! The three providers, each with its own routes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;

use crate::chat::ChatProvider;
use crate::clock::Clock;
use crate::email::EmailProvider;
use crate::receipts::ReceiptRule;
use crate::seed::Keys;
use crate::whatsapp::{MetaSecrets, WhatsappProvider};
use emulator::Engine;

/// The providers that carry messages away.
#[derive(Debug)]
pub(crate) struct Providers {
    /// WhatsApp's Cloud API.
    pub(crate) whatsapp: Arc<WhatsappProvider>,
    /// Amazon SES v2.
    pub(crate) email: Arc<EmailProvider>,
    /// API Gateway's connections of the chat widget's visitors.
    pub(crate) chat: Arc<ChatProvider>,
}

impl Providers {
    /// Makes the providers. With a directory, each keeps what it accepted there in a file.
    ///
    /// # Errors
    /// A file of the directory cannot be read or written.
    pub(crate) fn open(
        directory: Option<&Path>,
        engine: &Arc<Engine>,
        keys: &Keys,
        receipts: ReceiptRule,
        clock: &Arc<Clock>,
    ) -> io::Result<Self> {
        let secrets = MetaSecrets {
            access_token: keys.whatsapp_token.clone(),
            app_secret: keys.whatsapp_webhook.app_secret.clone(),
        };
        let whatsapp = WhatsappProvider::open(directory, engine, secrets, receipts.clone(), clock)?;
        let email = EmailProvider::open(directory, engine, receipts, clock)?;
        let chat = ChatProvider::open(directory, engine, clock)?;

        Ok(Self { whatsapp: Arc::new(whatsapp), email: Arc::new(email), chat: Arc::new(chat) })
    }

    /// Returns the routes of all providers.
    pub(crate) fn routes(&self) -> Router {
        let whatsapp = crate::whatsapp::routes(self.whatsapp.clone());
        whatsapp
            .merge(crate::email::routes(self.email.clone()))
            .merge(crate::chat::routes(self.chat.clone()))
    }

    /// Sends the receipts that an earlier life of the sandbox did not send.
    pub(crate) fn resume_receipts(&self) {
        self.whatsapp.receipts.resume(self.whatsapp.channel.records());
        self.email.receipts.resume(self.email.channel.records());
    }

    /// Returns how many messages' receipts are being sent or wait for their time.
    pub(crate) fn receipts_underway(&self) -> usize {
        self.whatsapp.receipts.underway() + self.email.receipts.underway()
    }

    /// Stops sending receipts.
    pub(crate) async fn stop_receipts(&self) {
        self.whatsapp.receipts.stop().await;
        self.email.receipts.stop().await;
    }
}
