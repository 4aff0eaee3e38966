//! The local system: the emulator with the template's functions, the sandbox around it, the demo
//! business.

mod error;
mod place;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::console::{self, Addresses};
use crate::ready::{Aws, Demo, Other, Queues, Ready};
use crate::stack::{STACK_NAME, TEMPLATE};
use emulator::{Engine, EngineOptions, ExtraRoutes, Logs, Programs, Urls, listen};
use error::{bind_error, engine_error};
use place::{claim, ports};
use sandbox::seed::Keys;
use sandbox::{ReceiptRule, Sandbox, SandboxOptions};

pub use error::LocalError;

/// Options of a start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The API's port; WebSocket, sandbox and AWS take the three after it. 0: any that are free.
    pub port: u16,
    /// The directory that keeps everything; without it, everything is gone with the process.
    pub data_dir: Option<PathBuf>,
    /// The address of this machine to listen on.
    pub address: IpAddr,
    /// Seeds the demo business.
    pub demo: bool,
    /// Makes the business that the events in `functions/*/events` refer to.
    pub examples: bool,
    /// The destination of the functions' logs.
    pub logs: Logs,
    /// The template.
    pub template: PathBuf,
    /// The programs that run as the functions.
    pub programs: Programs,
    /// Another DynamoDB's endpoint, in place of the embedded one.
    pub dynamodb: Option<String>,
    /// Another SES v2's endpoint, in place of the sandbox's.
    pub ses: Option<String>,
    /// Values for the template's parameters, beside those that this machine decides.
    pub parameters: BTreeMap<String, String>,
    /// The receipts that WhatsApp and SES send until the control API says otherwise.
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
            parameters: BTreeMap::new(),
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
    banner: String,
    /// Held as long as the system uses its directory; none without one.
    lock: Option<File>,
}

impl Local {
    /// Starts everything; when this returns, everything accepts connections and the chat customers
    /// are connected.
    ///
    /// # Errors
    /// [`LocalError`]; then nothing is left running.
    pub async fn start(options: Options) -> Result<Self, LocalError> {
        let (lock, directory) = options.data_dir.as_deref().map(claim).transpose()?.unzip();
        let [api_port, websocket_port, sandbox_port, aws_port] = ports(options.port)?;
        let mut keys = Keys::load(directory.as_deref(), options.demo)?;

        if options.examples {
            keys = keys.with_examples_secret();
        }

        // The functions need the sandbox's address, and the sandbox starts after the engine: its
        // socket is bound first.
        let listener = listen::bind_to(options.address, sandbox_port)
            .await
            .map_err(|error| bind_error(error, options.address, sandbox_port, "sandbox"))?;

        let sandbox_url = format!("http://{}", listener.local_addr()?);
        let provider = |name: &str| format!("{sandbox_url}/providers/{name}");

        let kept = options.data_dir.as_ref().map_or_else(
            || "in memory, gone when you stop it".to_owned(),
            |directory| format!("kept in {}", directory.display()),
        );

        let demo = demo(&keys, Utc::now());
        let banner = {
            let sandbox_url = sandbox_url.clone();
            move |urls: &Urls| console::banner(urls, &sandbox_url, demo.as_ref(), &kept)
        };

        let mut parameters = options.parameters;
        let account_concurrency =
            parameters.get("LambdaQuota").and_then(|quota| quota.parse().ok());
        parameters.insert("Stage".into(), "dev".into()); // WhatsApp is played here, over http://
        // The SES that is played here has no rate.
        parameters.insert("EmailConcurrency".into(), "50".into());
        parameters.insert("EmailBatchSize".into(), "10".into());
        parameters.insert("WebhookReach".into(), "loopback".into()); // Receivers are on this machine.
        parameters.insert("WhatsappApiUrl".into(), provider("whatsapp/v26.0"));

        let engine_options = EngineOptions {
            template: options.template,
            stack_name: STACK_NAME.to_owned(),
            programs: options.programs,
            data_dir: options.data_dir,
            address: options.address,
            api_port,
            websocket_port,
            aws_port,
            account_concurrency,
            dynamodb: options.dynamodb,
            parameters,
            environment: [
                ("AWS_ENDPOINT_URL_SESV2".into(), options.ses.unwrap_or_else(|| provider("ses"))),
                ("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI".into(), provider("chat")),
            ]
            .into(),
            logs: options.logs,
            extra_routes: {
                let banner = banner.clone();
                let sandbox_url = sandbox_url.clone();
                ExtraRoutes::new(move |urls| {
                    console::routes(&banner(urls), &Addresses::new(urls, &sandbox_url))
                })
            },
            ..EngineOptions::default()
        };

        let address = options.address;
        let engine = Engine::start(engine_options).await;
        let engine = Arc::new(engine.map_err(|error| engine_error(error, address))?);

        let sandbox_options = SandboxOptions {
            listener,
            engine: engine.clone(),
            directory,
            keys: keys.clone(),
            receipts: options.receipts,
            examples: options.examples,
        };

        let sandbox = Sandbox::start(sandbox_options).await?;
        let banner = banner(engine.urls());

        Ok(Self { engine, sandbox, keys, banner, lock })
    }

    /// Returns the local AWS and the functions.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the addresses and a first call, with colours.
    pub(crate) fn banner(&self) -> &str {
        &self.banner
    }

    /// Returns how many chat customers got no answer to their hello in time; they go on trying.
    pub(crate) fn late_customers(&self) -> usize {
        self.sandbox.late_customers()
    }

    /// Returns the addresses and credentials of everything.
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
            demo: demo(&self.keys, self.sandbox.clock().now()),
        }
    }

    /// Stops everything, children included.
    pub async fn stop(self) {
        // What a function would note of each customer who leaves is gone with the table.
        if self.lock.is_none() {
            self.engine.stop_functions().await;
        }
        self.sandbox.stop().await;
        // The sandbox's routes held the other references to the engine.
        if let Some(engine) = Arc::into_inner(self.engine) {
            engine.stop().await;
        }
    }
}

/// Returns the demo business, with a visitor's token that is good from `now` on.
fn demo(keys: &Keys, now: DateTime<Utc>) -> Option<Demo> {
    let (business, other) = keys.demo()?;
    let business_id = business.business_id;
    let agent_id = business.agent_id?;
    let conversations = business.conversations;

    Some(Demo {
        business_id,
        agent_id,
        token: keys.agent_token(business_id, agent_id, now),
        api_key: business.api_key.clone(),
        limit: business.limit,
        conversations,
        visitor_token: keys.visitor_token(business_id, conversations.chat, now),
        other: Other {
            business_id: other.business_id,
            api_key: other.api_key.clone(),
            conversation: other.conversations.chat,
        },
    })
}
