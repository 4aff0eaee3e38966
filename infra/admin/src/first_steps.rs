//! Everything that a first message needs, in one command.

use serde_json::json;
use uuid::Uuid;

use crate::Failure;
use crate::command_line::NewBusiness;
use crate::create::{begin, put_channel};
use crate::place::Place;
use crate::report::Report;
use domain::delivery::OnUnknownOutcome;
use domain::{AgentId, BusinessId, Channel};
use platform::credential::ApiKey;
use platform::table::provision::NewConversation;
use platform::table::record::ChannelSettings;

/// Makes a business with an agent, their API key, a chat channel and a conversation on it.
pub(crate) async fn run(place: &Place, args: &NewBusiness) -> Result<Report, Failure> {
    let (business, agent) = (BusinessId(Uuid::new_v4()), AgentId(Uuid::new_v4()));
    let key = ApiKey::generate(business);
    place.table.create_business(business, &args.plan, args.limit, args.shards).await?;
    place.table.create_agent(business, agent).await?;
    place.table.create_api_key(&key, Some(agent), None).await?;
    let channel_id =
        put_channel(place, business, ChannelSettings::Chat {}, OnUnknownOutcome::default()).await?;
    let new = NewConversation {
        channel: Channel::Chat.name().to_owned(),
        channel_id,
        recipient: "first-visitor".to_owned(),
        subject: None,
        begun_by: None,
        window_expires_at: None,
    };
    let conversation = begin(place, business, new).await?;
    let api = place.api();
    let json = json!({
        "business_id": business, "agent_id": agent, "api_key": key.reveal(), "api_key_id": key.hash(),
        "channel_id": channel_id, "conversation_id": conversation, "api": api,
    });
    let url = api.as_deref().unwrap_or("$API");
    Ok(Report::of(json)
        .fields(vec![
            ("business", business.to_string()),
            ("plan", format!("{}: {} messages a month", args.plan, args.limit)),
            ("agent", agent.to_string()),
            ("api key", key.reveal()),
            ("api key id", key.hash()),
            ("chat channel", channel_id.to_string()),
            ("conversation", conversation.to_string()),
        ])
        .line("The key is not stored and never shown again. This sends the first message:")
        .code(format!(
            "curl -i {url}/api/v1/conversations/{conversation}/messages \\\n  -H 'Authorization: Bearer {}' \\\n  \
             -H 'Content-Type: application/json' \\\n  -d '{{\"content\": \"Hello! How can we help?\"}}'",
            key.reveal()
        )))
}
