//! The whole: local AWS, functions, sandbox, seed. What people see of it lives in `cli.rs` and
//! `demo`.

mod error;
mod place;

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_secretsmanager as secretsmanager;

use crate::console::{self, Console};
use crate::ready::{Aws, Demo, Other, Queues, Ready};
use emulator::{Engine, EngineOptions, Logs, Programs, listen};
use error::{bind_error, engine_error};
use place::{claim, ports};
use platform::table::Table;
use sandbox::seed::{Keys, Seeder, WHATSAPP_SECRET};
use sandbox::{Gate, MetaSecrets, ReceiptRule, Sandbox, System, Widgets};

pub use error::LocalError;

/// The template of this repository.
const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The API's port; WebSocket and sandbox take the two after it. 0: any three that are free.
    pub port: u16,
    /// Where everything is kept; nowhere: it is gone with the process.
    pub data_dir: Option<PathBuf>,
    /// The address of this machine to listen on.
    pub address: IpAddr,
    /// Whether to seed the demo business.
    pub demo: bool,
    /// Whether to make what the events in `functions/*/events` speak of.
    pub examples: bool,
    /// Where the functions' logs go.
    pub logs: Logs,
    /// What is deployed.
    pub template: PathBuf,
    /// What runs as each function.
    pub programs: Programs,
    /// Another DynamoDB's endpoint, in place of the embedded one.
    pub dynamodb: Option<String>,
    /// Another SES v2's endpoint, in place of the sandbox's.
    pub ses: Option<String>,
    /// What WhatsApp and SES report of the messages they take, until the control API says
    /// otherwise.
    pub receipts: ReceiptRule,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            data_dir: None,
            address: listen::LOOPBACK,
            demo: true,
            examples: false,
            logs: Logs::discarded(),
            template: TEMPLATE.into(),
            programs: Programs::default(),
            dynamodb: None,
            ses: None,
            receipts: ReceiptRule::default(),
        }
    }
}

/// The deployed system on this machine, up and running.
#[derive(Debug)]
pub struct Local {
    engine: Arc<Engine>,
    sandbox: Sandbox,
    keys: Keys,
    page: String,
    late_customers: usize,
    /// Held as long as the directory is ours.
    _lock: Option<File>,
}

impl Local {
    /// Starts everything; when this returns, everything accepts connections and the chat customers
    /// are there.
    ///
    /// # Errors
    /// [`LocalError`]; then nothing is left running.
    pub async fn start(options: Options) -> Result<Self, LocalError> {
        let (lock, directory) = match &options.data_dir {
            None => (None, None),
            Some(path) => {
                let (lock, directory) = claim(path)?;
                (Some(lock), Some(directory))
            }
        };
        let directory = directory.as_deref();
        let [api_port, websocket_port, sandbox_port] = ports(options.port)?;
        let keys = Keys::load(directory, options.demo)?;
        let keys = if options.examples { keys.of_the_examples() } else { keys };
        let listener = listen::bind_to(options.address, sandbox_port);
        let listener =
            listener.await.map_err(|error| bind_error(error, sandbox_port, "sandbox"))?;
        let (access_token, app_secret) =
            (keys.whatsapp_token.clone(), keys.whatsapp_webhook.app_secret.clone());
        let sandbox = Sandbox::start(
            listener,
            directory,
            MetaSecrets { access_token, app_secret },
            options.receipts,
        )?;

        let console = Console::default();
        let outside = |provider: &str| format!("{}/providers/{provider}", sandbox.url());
        let engine_options = EngineOptions {
            template: options.template,
            programs: options.programs,
            data_dir: options.data_dir.clone(),
            address: options.address,
            api_port,
            websocket_port,
            dynamodb: options.dynamodb,
            parameters: [("WhatsappApiUrl".into(), outside("whatsapp/v23.0"))].into(),
            environment: [
                ("AWS_ENDPOINT_URL_SESV2".into(), options.ses.unwrap_or_else(|| outside("ses"))),
                ("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI".into(), outside("chat")),
            ]
            .into(),
            logs: options.logs,
            extra_routes: console.routes(),
        };
        let engine = Arc::new(Engine::start(engine_options).await.map_err(engine_error)?);

        let seeder = seed(&engine, &sandbox, &keys, directory).await?;
        if options.examples {
            seeder.examples().await?;
        }
        let visitors = seeder.visitors();
        let gate = Gate::new(&engine, keys.clone(), sandbox.clock().clone());
        let widgets = Widgets::new(gate, sandbox.providers().chat.clone());
        sandbox.attach(System::new(engine.clone(), seeder, widgets));
        let mut local =
            Self { engine, sandbox, keys, page: String::new(), late_customers: 0, _lock: lock };
        local.late_customers = local.system().widgets().add(visitors).await;
        let kept = options.data_dir.map_or_else(
            || "in memory, gone when you stop it".to_owned(),
            |directory| format!("kept in {}", directory.display()),
        );
        local.page = console::page(&local.ready(), &kept);
        console.set(&local.page);
        Ok(local)
    }

    /// The local AWS and the functions.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The outside world.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// What a person reads first, with colours.
    pub(crate) fn page(&self) -> &str {
        &self.page
    }

    /// How many chat customers got no answer to their hello in time; they go on trying.
    pub(crate) fn late_customers(&self) -> usize {
        self.late_customers
    }

    /// Where everything is.
    pub fn ready(&self) -> Ready {
        let queue = |id| self.engine.queue_url(id).unwrap_or_default().to_owned();
        Ready {
            pid: std::process::id(),
            api: self.engine.api_url().to_owned(),
            websocket: self.engine.websocket_url().to_owned(),
            console: format!("{}/", self.engine.api_url()),
            aws: Aws {
                dynamodb: self.engine.dynamodb_url().to_owned(),
                sqs: self.engine.sqs_url().to_owned(),
                s3: (!self.engine.bucket_name().is_empty())
                    .then(|| self.engine.s3_url().to_owned()),
            },
            table: self.engine.table_name().to_owned(),
            queues: Queues {
                chat: queue("ChatQueue"),
                whatsapp: queue("WhatsappQueue"),
                email: queue("EmailQueue"),
            },
            sandbox: self.sandbox.url().to_owned(),
            demo: self.demo(),
        }
    }

    /// Stops everything, children included.
    pub async fn stop(self) {
        self.sandbox.stop().await;
        // The sandbox's routes held the others.
        if let Some(engine) = Arc::into_inner(self.engine) {
            engine.stop().await;
        }
    }

    fn system(&self) -> &System {
        self.sandbox.system().expect("it was attached at the start")
    }

    fn demo(&self) -> Option<Demo> {
        let (business, other) = self.keys.demo()?;
        let agent_id = business.agent_id?;
        Some(Demo {
            business_id: business.business_id,
            agent_id,
            token: self.keys.agent_token(business.business_id, agent_id),
            api_key: business.api_key.clone(),
            limit: business.limit,
            conversations: business.conversations,
            visitor_token: self.keys.visitor_token(
                business.business_id,
                business.conversations.chat,
                self.sandbox.clock().now(),
            ),
            other: Other {
                business_id: other.business_id,
                api_key: other.api_key.clone(),
                conversation: other.conversations.chat,
            },
        })
    }
}

/// Puts the keys where the functions look for them, and makes the demo.
async fn seed(
    engine: &Engine,
    sandbox: &Sandbox,
    keys: &Keys,
    directory: Option<&Path>,
) -> Result<Seeder, LocalError> {
    let secrets = engine.secrets_manager();
    let failed = |error: &dyn std::error::Error| {
        LocalError::Secrets(format!("{}", secretsmanager::error::DisplayErrorContext(error)))
    };
    let values = [
        ("AgentKeys", serde_json::to_string(&keys.agent_keys())),
        ("VisitorKeys", serde_json::to_string(&keys.visitor_keys())),
        ("WhatsappWebhook", serde_json::to_string(&keys.whatsapp_webhook)),
    ];
    for (logical_id, value) in values {
        let missing = || LocalError::Secrets(format!("the template has no secret {logical_id}"));
        let id = engine.secret_id(logical_id).ok_or_else(missing)?;
        let value = value.map_err(io::Error::from)?;
        let put = secrets.put_secret_value().secret_id(id).secret_string(value).send();
        put.await.map_err(|error| failed(&error))?;
    }
    let token =
        secrets.create_secret().name(WHATSAPP_SECRET).secret_string(&keys.whatsapp_token).send();
    token.await.map_err(|error| failed(&error))?;

    let table = Table::new(engine.dynamodb(), engine.table_name().to_owned());
    let seeder = Seeder::new(
        table,
        sandbox.clock().clone(),
        sandbox.pairs().clone(),
        keys.clone(),
        directory,
    )?;
    seeder.demo().await?;
    Ok(seeder)
}
