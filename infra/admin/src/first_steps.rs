//! Everything that a first message needs, in one command.

use serde_json::json;
use uuid::Uuid;

use crate::command_line::CreateBusiness;
use crate::create::{put_business, put_channel, put_conversation};
use crate::failure::Failure;
use crate::report::{Report, or_dash};
use crate::target::Target;
use domain::delivery::OnUnknownOutcome;
use domain::{AgentId, Channel};
use platform::credential::ApiKey;
use platform::table::ApiKeyTerms;
use platform::table::provision::NewConversation;
use platform::table::record::ChannelSettings;

/// Makes a business with an agent, their API key, a chat channel and a conversation on it.
pub(crate) async fn run(target: &Target, args: &CreateBusiness) -> Result<Report, Failure> {
    let business_id = put_business(target, args).await?;
    let agent_id = AgentId(Uuid::new_v4());
    let key = ApiKey::generate(business_id);

    target.table.operator().create_agent(business_id, agent_id).await?;
    target
        .table
        .operator()
        .create_api_key(&key, ApiKeyTerms { agent: Some(agent_id), ..ApiKeyTerms::default() })
        .await?;

    let on_unknown_outcome = OnUnknownOutcome::default();
    let channel_id =
        put_channel(target, business_id, ChannelSettings::Chat {}, on_unknown_outcome).await?;
    let conversation = NewConversation {
        channel: Channel::Chat.into(),
        channel_id,
        recipient: "first-visitor".into(),
        subject: None,
        begun_by: None,
        window_expires_at: None,
    };

    let conversation_id = put_conversation(target, business_id, conversation).await?;

    let api_url = target.api_url();
    let json = json!({
        "business_id": business_id, "business_name": args.name, "agent_id": agent_id, "api_key": key.reveal(),
        "api_key_id": key.hash(), "channel_id": channel_id, "conversation_id": conversation_id,
        "api": api_url,
    });

    let url = api_url.as_deref().unwrap_or("$API");

    Ok(Report::new(json)
        .fields(vec![
            ("business", business_id.to_string()),
            ("name", or_dash(args.name.as_ref())),
            ("plan", format!("{}: {} messages a month", args.plan, args.limit)),
            ("agent", agent_id.to_string()),
            ("api key", key.reveal()),
            ("api key id", key.hash()),
            ("chat channel", channel_id.to_string()),
            ("conversation", conversation_id.to_string()),
        ])
        .text("The key is not stored and never shown again. This sends the first message:")
        .code(format!(
            "curl -i {url}/api/v1/conversations/{conversation_id}/messages \\\n  \
             -H 'Authorization: Bearer {}' \\\n  \
             -H 'Content-Type: application/json' \\\n  \
             -d '{{\"content\": \"Hello! How can we help?\"}}'",
            key.reveal()
        )))
}
