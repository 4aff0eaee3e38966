//! The sandbox as a whole: made on a running engine, which was told its address before.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_secretsmanager::error::DisplayErrorContext;
use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::control::{self, System};
use crate::providers::Providers;
use crate::receipts::ReceiptRule;
use crate::receivers::Receivers;
use crate::seed::{Keys, SeedError, Seeder, WHATSAPP_SECRET};
use crate::widget::{WidgetEndpoint, Widgets};
use crate::{pages, receivers, server, shop};
use emulator::Engine;
use emulator::listen::Server;
use platform::table::Table;

/// Largest request, in bytes: SES takes mails of 40 MB, which the call encodes once more, and has
/// to see a larger one to refuse it.
const BODY_LIMIT: usize = 56 << 20;

/// How to start a sandbox.
#[derive(Debug)]
pub struct SandboxOptions {
    /// The sandbox's socket. The functions know its address, so it is bound before the engine
    /// starts; what calls it before the sandbox is made waits.
    pub listener: TcpListener,
    /// The running system.
    pub engine: Arc<Engine>,
    /// The directory that keeps what was accepted and seeded; without it, both are gone with the
    /// process.
    pub directory: Option<PathBuf>,
    /// The system's secrets.
    pub keys: Keys,
    /// The receipts that WhatsApp and SES send until the control API says otherwise.
    pub receipts: ReceiptRule,
    /// Whether to make what the events in `functions/*/events` refer to.
    pub examples: bool,
}

/// Why the sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file of the directory cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The table did not take the demo.
    #[error("seeding failed: {0}")]
    Seed(#[from] SeedError),
    /// Secrets Manager did not take the keys.
    #[error("seeding failed: {0}")]
    Secrets(String),
}

/// The sandbox, listening.
#[derive(Debug)]
pub struct Sandbox {
    url: String,
    system: Arc<System>,
    server: Server,
    late_customers: usize,
}

impl Sandbox {
    /// Fills the system, serves providers and control API, and brings the chat customers in.
    ///
    /// # Errors
    /// [`SandboxError`]; then nothing is left running.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let SandboxOptions { listener, engine, directory, keys, receipts, examples } = options;
        let directory = directory.as_deref();
        let url = format!("http://{}", listener.local_addr()?);
        let clock = Arc::new(Clock::default());
        let providers = Arc::new(Providers::open(directory, &engine, &keys, receipts, &clock)?);

        put_secrets(&engine, &keys).await?;
        let table = Table::new(engine.dynamodb(), engine.table_name().to_owned());
        let pairs = providers.whatsapp.pairs.clone();
        let seeder = Seeder::new(table, clock.clone(), pairs, keys.clone(), directory)?;
        seeder.make_demo().await?;

        if examples {
            seeder.make_examples().await?;
        }

        let mut visitors = seeder.visitors();
        let endpoint = WidgetEndpoint::new(&engine, keys, clock.clone());
        let widgets = Arc::new(Widgets::new(endpoint, providers.chat.channel.clone()));
        let receivers = Arc::new(Receivers::new(engine.clone()));
        let system = System { engine, providers, receivers, seeder, widgets, clock };
        let system = Arc::new(system);
        let routes = system
            .providers
            .routes()
            .merge(shop::routes(system.widgets.clone()))
            .merge(receivers::routes(system.receivers.clone()))
            .merge(control::routes(system.clone()));

        let routes = routes.layer(axum::middleware::from_fn(pages::let_pages_read));
        let server = server::serve(listener, routes.layer(DefaultBodyLimit::max(BODY_LIMIT)));

        system.providers.resume_receipts();
        // The process that greets the first customer greets the next one as well: at once, each
        // would start a process of its own.
        let later_visitors = visitors.split_off(visitors.len().min(1));
        let late_customers =
            system.widgets.add(visitors).await + system.widgets.add(later_visitors).await;
        Ok(Self { url, system, server, late_customers })
    }

    /// Base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The moved clock.
    pub fn clock(&self) -> &Clock {
        &self.system.clock
    }

    /// How many chat customers got no answer to their hello in time; they go on trying.
    pub fn late_customers(&self) -> usize {
        self.late_customers
    }

    /// Sends the customers away and closes the socket.
    pub async fn stop(self) {
        self.system.widgets.send_away().await;
        self.server.stop().await;
        self.system.providers.stop_receipts().await;
    }
}

/// Puts the keys into the secrets that the functions read.
async fn put_secrets(engine: &Engine, keys: &Keys) -> Result<(), SandboxError> {
    let secrets = engine.secrets_manager();
    let values = [
        ("AgentKeys", serde_json::to_string(&keys.agent_keys())),
        ("VisitorKeys", serde_json::to_string(&keys.visitor_keys())),
        ("ReceiptKeys", serde_json::to_string(&keys.receipt_keys())),
        ("WhatsappWebhook", serde_json::to_string(&keys.whatsapp_webhook)),
    ];

    for (logical_id, value) in values {
        let missing = || SandboxError::Secrets(format!("the template has no secret {logical_id}"));
        let id = engine.secret_id(logical_id).ok_or_else(missing)?;
        let value = value.map_err(io::Error::from)?;
        let put = secrets.put_secret_value().secret_id(id).secret_string(value).send().await;
        put.map_err(|error| SandboxError::Secrets(DisplayErrorContext(error).to_string()))?;
    }

    let token = secrets.create_secret().name(WHATSAPP_SECRET).secret_string(&keys.whatsapp_token);
    let created = token.send().await;
    created.map_err(|error| SandboxError::Secrets(DisplayErrorContext(error).to_string()))?;

    Ok(())
}
