//! The smoke test: one message through the whole system, from an agent's call to a visitor's
//! WebSocket and back to the status `delivered`. The agent, the visitor and their conversation are
//! the command's own, in a business of its own, so that no customer's month counts it. Their ids
//! are always the same: a run leaves one message behind, and a later run delivers what an earlier
//! one left undelivered.

mod diagnosis;
mod stages;
mod tls;
mod widget;

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::command_line::{SmokeArgs, TokenKind};
use crate::failure::Failure;
use crate::report::{Report, wire_name};
use crate::target::Target;
use domain::delivery::{OnUnknownOutcome, Status};
use domain::{AgentId, BusinessId, Channel, ChannelId, ConversationId, MessageId};
use platform::InternalError;
use platform::credential::SigningKey;
use platform::credential::visitor::Visitor;
use platform::table::provision::NewConversation;
use platform::table::record::{ChannelRecord, ChannelSettings};
use stages::{Stage, Stages, Stopped};
use widget::Widget;

/// The ids of the smoke test's own records, the same on every stack.
const BUSINESS_ID: BusinessId =
    BusinessId(Uuid::from_u128(0x736d_6f6b_6500_4000_8000_0000_0000_0001));
const AGENT_ID: AgentId = AgentId(Uuid::from_u128(0x736d_6f6b_6500_4000_8000_0000_0000_0002));
const CHANNEL_ID: ChannelId = ChannelId(Uuid::from_u128(0x736d_6f6b_6500_4000_8000_0000_0000_0003));
const CONVERSATION_ID: ConversationId =
    ConversationId(Uuid::from_u128(0x736d_6f6b_6500_4000_8000_0000_0000_0004));

/// Messages a month: one each four minutes.
const LIMIT: u64 = 10_000;

/// How long the two tokens are good: longer than any run.
const TOKEN_LIFE: chrono::TimeDelta = chrono::TimeDelta::minutes(30);

/// How long the receipt has before the status is read and, if it is not stored, sent again; the
/// wait doubles.
const FIRST_STATUS_WAIT: Duration = Duration::from_millis(50);
const LONGEST_STATUS_WAIT: Duration = Duration::from_secs(1);

/// Sends one message, and waits until it is delivered.
pub(crate) async fn run(target: &Target, args: &SmokeArgs) -> Result<Report, Failure> {
    let run = Run {
        target,
        api_url: target.api_url().ok_or_else(|| missing("ApiUrl", "PINGBACK_API_URL"))?,
        chat_url: target.chat_url().ok_or_else(|| missing("ChatUrl", "PINGBACK_CHAT_URL"))?,
        until: Instant::now() + Duration::from_secs(args.timeout.into()),
    };

    let mut stages = Stages::default();
    let mut message_id = None;
    let stopped = run.send_one(&mut stages, &mut message_id).await.err();
    Ok(report(stages, message_id, stopped))
}

fn missing(output: &str, variable: &str) -> Failure {
    Failure::new(format!("where? Name the stack, whose output {output} says it, or set {variable}"))
}

/// One run of the smoke test.
struct Run<'a> {
    target: &'a Target,
    api_url: String,
    chat_url: String,
    until: Instant,
}

impl Run<'_> {
    /// Goes through the stages; the error says at which one the message stopped, and why.
    async fn send_one(
        &self,
        stages: &mut Stages,
        message_id: &mut Option<MessageId>,
    ) -> Result<(), Stopped> {
        let tokens = stages.time(Stage::Prepare, self.prepare()).await?;
        let mut widget = stages.time(Stage::Connect, self.connect(&tokens)).await?;
        let id = stages.time(Stage::Accept, self.send(&tokens)).await?;
        *message_id = Some(id);

        stages.time(Stage::Deliver, self.receive(&mut widget, &tokens, id)).await?;
        stages.time(Stage::Confirm, self.confirm(&mut widget, &tokens, id)).await?;
        widget.close().await;
        Ok(())
    }

    /// Makes the records that are missing, and signs the tokens.
    async fn prepare(&self) -> Result<Tokens, String> {
        self.provision().await.map_err(|failure| failure.to_string())?;
        let channel = self.target.table.channel(BUSINESS_ID, CHANNEL_ID).await;
        let channel = channel.map_err(|error| error.chain())?.ok_or("its channel is missing")?;
        let now = self.target.now();
        let is_paused = channel.paused_until.is_some_and(|until| now < until);
        if !channel.is_active || is_paused {
            return Err(format!(
                "the smoke test's own channel is {}: `cargo admin channel {} --business \
                 {BUSINESS_ID} {CHANNEL_ID}`",
                if is_paused { "paused" } else { "inactive" },
                if is_paused { "resume" } else { "activate" },
            ));
        }

        let conversation = self.target.table.conversation(BUSINESS_ID, CONVERSATION_ID).await;
        let conversation =
            conversation.map_err(|error| error.chain())?.ok_or("its conversation is missing")?;

        let agent_key = self.first_key(TokenKind::Agents).await?;
        let visitor_key = self.first_key(TokenKind::Visitors).await?;
        let visitor = Visitor { business_id: BUSINESS_ID, conversation_id: CONVERSATION_ID };
        let until = now + TOKEN_LIFE;
        let agent = agent_key.sign_agent(BUSINESS_ID, AGENT_ID, now, until);
        let visitor = visitor_key.sign_visitor(visitor, now, until);
        Ok(Tokens {
            agent: agent.map_err(|error| error.chain())?,
            visitor: visitor.map_err(|error| error.chain())?,
            settled_seq: conversation.settled_seq.0,
            fence: conversation.fence,
        })
    }

    async fn provision(&self) -> Result<(), Failure> {
        let operator = self.target.table.operator();
        if operator.create_business(BUSINESS_ID, "smoke", LIMIT, 1, None).await? {
            operator.name_business(BUSINESS_ID, "smoke").await?;
        }
        operator.create_agent(BUSINESS_ID, AGENT_ID).await?;

        if self.target.table.channel(BUSINESS_ID, CHANNEL_ID).await?.is_none() {
            let record = ChannelRecord {
                is_active: true,
                in_doubt: OnUnknownOutcome::default(),
                paused_until: None,
                settings: ChannelSettings::Chat {},
            };
            operator.put_channel(BUSINESS_ID, CHANNEL_ID, &record).await?;
        }

        let conversation = NewConversation {
            channel: Channel::Chat.into(),
            channel_id: CHANNEL_ID,
            recipient: "smoke-test".into(),
            subject: None,
            begun_by: None,
            window_expires_at: None,
        };
        let now = self.target.now();
        operator.create_conversation(BUSINESS_ID, CONVERSATION_ID, conversation, now).await?;
        Ok(())
    }

    /// Returns the key that signs new tokens.
    async fn first_key(&self, tokens: TokenKind) -> Result<SigningKey, String> {
        let keys = self.target.signing_keys(tokens).await;
        let keys = keys.map_err(|failure| failure.to_string())?;
        keys.keys.into_iter().next().ok_or_else(|| format!("{} holds no key", tokens.secret()))
    }

    /// Connects the visitor's widget, and has it greeted.
    async fn connect(&self, tokens: &Tokens) -> Result<Widget, String> {
        let connecting = Widget::connect(&self.chat_url, &tokens.visitor, tokens.settled_seq);
        match tokio::time::timeout_at(self.until, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(format!(
                "{} took the connection, and no hello was answered in time: look at the log of \
                 chat-socket",
                self.chat_url
            )),
        }
    }

    /// Sends the message as an agent does.
    async fn send(&self, tokens: &Tokens) -> Result<MessageId, String> {
        let url = format!("{}/api/v1/conversations/{CONVERSATION_ID}/messages", self.api_url);
        let body = json!({"content": format!("Smoke test of {}", self.target.now())});
        let request = self.http()?.post(url).bearer_auth(&tokens.agent).json(&body);
        let answer = request.send().await.map_err(chain)?;

        let status = answer.status();
        let call = answer.headers().get("apigw-requestid").and_then(|id| id.to_str().ok());
        let call = call.map_or_else(String::new, |id| format!(" (correlation id {id})"));
        let answer: serde_json::Value = answer.json().await.unwrap_or_default();
        let id = answer["id"].as_str().and_then(|id| id.parse().ok());

        id.filter(|_| status.as_u16() == 201).ok_or_else(|| {
            let code = answer["code"].as_str().unwrap_or("no answer of send-message");
            let hint = match status.as_u16() {
                401 => ": is the first key of AgentKeys the one that the functions read?",
                403 => ": the smoke test's own month is spent",
                _ => ": look at the log of send-message",
            };
            format!("the API answered {status}, {code}{call}{hint}")
        })
    }

    /// Waits until the widget gets the message.
    async fn receive(
        &self,
        widget: &mut Widget,
        tokens: &Tokens,
        id: MessageId,
    ) -> Result<(), String> {
        match tokio::time::timeout_at(self.until, widget.receive(id)).await {
            Ok(received) => received,
            Err(_) => Err(diagnosis::undelivered(
                self.target,
                BUSINESS_ID,
                CONVERSATION_ID,
                id,
                tokens.fence,
            )
            .await),
        }
    }

    /// Sends the visitor's receipt until the API shows the message as delivered.
    async fn confirm(
        &self,
        widget: &mut Widget,
        tokens: &Tokens,
        id: MessageId,
    ) -> Result<(), String> {
        let url = format!("{}/api/v1/conversations/{CONVERSATION_ID}/messages/{id}", self.api_url);
        let http = self.http()?;
        let mut wait = FIRST_STATUS_WAIT;
        loop {
            widget.acknowledge(id).await?;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_STATUS_WAIT);

            let answer = http.get(&url).bearer_auth(&tokens.agent).send().await;
            let answer = answer.map_err(chain)?;
            let code = answer.status();
            let message: serde_json::Value = answer.json().await.unwrap_or_default();
            let status = message["delivery"]["status"].as_str().unwrap_or_default();
            if [Status::Delivered, Status::Read].map(wire_name).iter().any(|one| one == status) {
                return Ok(());
            }

            if Instant::now() >= self.until {
                return Err(if code.as_u16() == 200 {
                    format!(
                        "the widget has the message and acknowledged it, and its status is \
                         {status}: chat-socket has not stored the receipt; look at its log"
                    )
                } else {
                    format!("the API answered {code}: look at the log of read-messages")
                });
            }
        }
    }

    fn http(&self) -> Result<reqwest::Client, String> {
        let left = self.until.saturating_duration_since(Instant::now());
        let client = reqwest::Client::builder().timeout(left.max(LONGEST_STATUS_WAIT));
        client.build().map_err(chain)
    }
}

/// The two credentials of a run, and how the conversation was before it.
struct Tokens {
    agent: String,
    visitor: String,
    /// The place up to which the conversation is settled; the widget asks for what follows.
    settled_seq: u64,
    /// The conversation's fence: a worker that claims it has a higher one.
    fence: u64,
}

fn report(stages: Stages, message_id: Option<MessageId>, stopped: Option<Stopped>) -> Report {
    let is_delivered = stopped.is_none();
    let json = json!({
        "business_id": BUSINESS_ID, "conversation_id": CONVERSATION_ID, "message_id": message_id,
        "is_delivered": is_delivered, "stages": stages.json(stopped.as_ref()),
    });

    let report = Report::new(json)
        .table(["stage", "ms", "outcome"], stages.rows(stopped.as_ref()))
        .found_problems(!is_delivered);
    match stopped {
        None => report.text("The message was delivered: the stack sends."),
        Some(Stopped { stage, reason }) => report
            .text(format!("The message stopped at `{}`: {reason}.", stage.name()))
            .text("A later run delivers it, once this is repaired. No customer's month counts it."),
    }
}

/// Returns an error with its causes.
fn chain(error: reqwest::Error) -> String {
    InternalError::network("calling the API", &error).chain()
}
