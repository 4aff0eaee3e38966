//! The outside world: the providers that carry messages away, the customers who get them, and the
//! control API that tells both what to do. Nothing of ours runs in here.

pub mod atomic_file;
mod aws_error;
mod channel;
mod chat;
mod clock;
mod control;
mod email;
mod fault;
pub mod http_client;
mod journal;
mod parts;
mod receipts;
pub mod seed;
mod server;
mod shop;
mod whatsapp;
mod widget;

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, post};
use tokio::net::TcpListener;

use emulator::listen::Server;
use receipts::Receipts;

pub use channel::{Accepted, Channel};
pub use clock::Clock;
pub use control::System;
pub use fault::{Faults, ProviderFault};
pub use journal::Journal;
pub use parts::Got;
pub use receipts::ReceiptRule;
pub use whatsapp::Pairs;
pub use widget::{Gate, Visitor, Widgets};

/// Largest request: SES takes mails of 40 MB, which the call encodes once more, and has to see a
/// larger one to refuse it.
const BODY_LIMIT: usize = 56 << 20;

/// The three providers and what they share.
#[derive(Debug)]
pub struct Providers {
    /// WhatsApp's Cloud API.
    pub whatsapp: Channel,
    /// Amazon SES v2.
    pub email: Channel,
    /// The chat widget's visitors.
    pub chat: Arc<Channel>,
    whatsapp_media: whatsapp::Media,
    whatsapp_pairs: Arc<Pairs>,
    whatsapp_webhook: whatsapp::Webhook,
    whatsapp_receipts: Receipts<whatsapp::Webhook>,
    email_receipts: Receipts<email::Events>,
    clock: Arc<Clock>,
    /// The one access token that the Cloud API knows.
    whatsapp_token: String,
    /// Where the gateway's `@connections` are, once it is up.
    management_url: OnceLock<String>,
    http: reqwest::Client,
    /// The functions that call, for faults that kill them.
    system: Arc<OnceLock<System>>,
}

impl Providers {
    /// Notes what a function that calls has to be allowed.
    fn needed(&self, function: &str, action: &str, resource: &str) {
        if let Some(system) = self.system.get() {
            system.engine().calls().needed(function, action, resource);
        }
    }

    /// Kills the workers of a function that are at work.
    async fn kill(&self, function: &str) {
        if let Some(system) = self.system.get() {
            system.engine().kill(function).await;
        }
    }
}

/// What Meta and the system share.
#[derive(Clone)]
pub struct MetaSecrets {
    /// The one access token that the Cloud API knows.
    pub access_token: String,
    /// What webhooks are signed with.
    pub app_secret: String,
}

/// The sandbox, listening.
#[derive(Debug)]
pub struct Sandbox {
    url: String,
    providers: Arc<Providers>,
    system: Arc<OnceLock<System>>,
    clock: Arc<Clock>,
    server: Server,
}

impl Sandbox {
    /// Serves on a listener. With a directory, what was accepted is kept there in one file per
    /// channel.
    ///
    /// # Errors
    /// A file of the directory cannot be read or written.
    pub fn start(
        listener: TcpListener,
        directory: Option<&Path>,
        meta: MetaSecrets,
        receipts: ReceiptRule,
    ) -> io::Result<Self> {
        let (clock, system) = (Arc::new(Clock::default()), Arc::new(OnceLock::new()));
        let webhook = whatsapp::Webhook::new(meta.app_secret);
        let whatsapp_webhook = webhook.clone();
        let (rule, attached, moved) = (receipts.clone(), system.clone(), clock.clone());
        let whatsapp_receipts =
            Receipts::open("whatsapp", directory, webhook, rule, attached, moved)?;
        let (attached, moved) = (system.clone(), clock.clone());
        let email_receipts =
            Receipts::open("email", directory, email::Events, receipts, attached, moved)?;
        let providers = Arc::new(Providers {
            whatsapp: Channel::open("whatsapp", directory, clock.clone())?,
            email: Channel::open("email", directory, clock.clone())?,
            chat: Arc::new(Channel::open("chat", directory, clock.clone())?),
            whatsapp_media: whatsapp::Media::default(),
            whatsapp_pairs: Arc::new(Pairs::open(directory, clock.clone())?),
            whatsapp_webhook,
            whatsapp_receipts,
            email_receipts,
            clock: clock.clone(),
            whatsapp_token: meta.access_token,
            management_url: OnceLock::new(),
            http: http_client::loopback(),
            system: system.clone(),
        });
        let url = format!("http://{}", listener.local_addr()?);
        let routes = routes(providers.clone()).merge(shop::routes(system.clone()));
        let routes =
            routes.merge(control::routes(providers.clone(), clock.clone(), system.clone()));
        let server = server::serve(listener, routes.layer(DefaultBodyLimit::max(BODY_LIMIT)));
        Ok(Self { url, providers, system, clock, server })
    }

    /// Gives the control API the system to control, the chat provider the gateway to pass on to,
    /// and the others the place to report to: first, what an earlier life did not.
    pub fn attach(&self, system: System) {
        let Providers {
            management_url, whatsapp, whatsapp_receipts, email, email_receipts, ..
        } = &*self.providers;
        let _ = management_url.set(system.engine().management_url().to_owned());
        assert!(
            self.system.set(system).is_ok(),
            "a sandbox is attached once, by the one who started it"
        );
        whatsapp_receipts.resume(whatsapp.taken());
        email_receipts.resume(email.taken());
    }

    /// Base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The providers.
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// Who may be written to on WhatsApp.
    pub fn pairs(&self) -> &Arc<Pairs> {
        &self.providers.whatsapp_pairs
    }

    /// The moved clock.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// What the control API controls; none before [`Sandbox::attach`].
    pub fn system(&self) -> Option<&System> {
        self.system.get()
    }

    /// Sends the customers home and closes the doors.
    pub async fn stop(self) {
        if let Some(system) = self.system.get() {
            system.widgets().send_away().await;
        }
        self.server.stop().await;
        self.providers.whatsapp_receipts.stop().await;
        self.providers.email_receipts.stop().await;
    }
}

fn routes(providers: Arc<Providers>) -> Router {
    let media = DefaultBodyLimit::max(whatsapp::MEDIA_LIMIT);
    Router::new()
        .route("/providers/whatsapp/{version}/{phone_number_id}/messages", post(whatsapp::messages))
        .route(
            "/providers/whatsapp/{version}/{phone_number_id}/media",
            post(whatsapp::upload).layer(media),
        )
        .route("/providers/ses/v2/email/outbound-emails", post(email::outbound_emails))
        .route("/providers/chat/@connections/{id}", any(chat::connections))
        .route("/providers/chat/{stage}/@connections/{id}", any(chat::connections))
        .with_state(providers)
}
