//! Making things, one at a time. Nothing that exists is overwritten: every id is new.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::Failure;
use crate::command_line::{NewApiKey, NewBusiness, NewChannel, NewConversation, OfBusiness};
use crate::place::Place;
use crate::report::{Report, or_dash, time};
use domain::channel::MESSAGING_WINDOW;
use domain::delivery::OnUnknownOutcome;
use domain::{AgentId, BusinessId, Channel, ChannelId, ConversationId};
use platform::credential::ApiKey;
use platform::table::provision::NewConversation as NewRecord;
use platform::table::record::{ChannelRecord, ChannelSettings, Template};

/// A business with its plan.
pub(crate) async fn business(place: &Place, args: &NewBusiness) -> Result<Report, Failure> {
    let id = BusinessId(Uuid::new_v4());
    place.table.create_business(id, &args.plan, args.limit, args.shards).await?;
    let NewBusiness { plan, limit, shards } = args;
    Ok(Report::of(json!({"business_id": id, "plan": plan, "limit": limit, "shards": shards}))
        .fields(vec![
            ("business", id.to_string()),
            ("plan", format!("{plan}: {limit} messages a month on {shards} shards")),
        ]))
}

/// An agent of a business.
pub(crate) async fn agent(place: &Place, args: &OfBusiness) -> Result<Report, Failure> {
    place.plan_of(args.business).await?;
    let id = AgentId(Uuid::new_v4());
    place.table.create_agent(args.business, id).await?;
    Ok(Report::of(json!({"agent_id": id})).fields(vec![("agent", id.to_string())]))
}

/// A key, shown this once.
pub(crate) async fn api_key(place: &Place, args: &NewApiKey) -> Result<Report, Failure> {
    place.plan_of(args.business).await?;
    let key = ApiKey::generate(args.business);
    let until = args.days.map(|days| place.now() + TimeDelta::days(days.into()));
    if !place.table.create_api_key(&key, args.agent, until).await? {
        return Err(Failure::new(
            "--agent: the business has no such agent, or they are revoked; `create agent` makes one",
        ));
    }
    let json = json!({"api_key": key.reveal(), "id": key.hash(), "agent_id": args.agent, "valid_until": until});
    Ok(Report::of(json)
        .fields(vec![
            ("api key", key.reveal()),
            ("id", key.hash()),
            ("agent", or_dash(args.agent)),
            ("valid until", or_dash(until.map(time))),
        ])
        .line("The key is not stored and never shown again. Its id revokes it."))
}

/// A channel of a business.
pub(crate) async fn channel(place: &Place, args: &NewChannel) -> Result<Report, Failure> {
    place.plan_of(args.business).await?;
    let id = put_channel(place, args.business, settings(args)?, args.in_doubt).await?;
    Ok(Report::of(json!({"channel_id": id, "channel": args.channel}))
        .fields(vec![("channel", id.to_string()), ("type", args.channel.to_string())]))
}

/// What its provider needs of a channel, all of it and nothing that is another's.
fn settings(args: &NewChannel) -> Result<ChannelSettings, Failure> {
    let NewChannel {
        channel,
        phone_number_id,
        secret,
        template,
        template_language,
        from,
        configuration_set,
        ..
    } = args;
    for (owner, name, value) in [
        (Channel::Whatsapp, "phone-number-id", phone_number_id),
        (Channel::Whatsapp, "secret", secret),
        (Channel::Whatsapp, "template", template),
        (Channel::Email, "from", from),
        (Channel::Email, "configuration-set", configuration_set),
    ] {
        if value.is_some() && owner != *channel {
            return Err(Failure::new(format!(
                "--{name}: {channel} channels have none, only {owner} channels do"
            )));
        }
    }
    let needed = |value: &Option<String>, name: &str| {
        value
            .clone()
            .ok_or_else(|| Failure::new(format!("--{name} is missing: {channel} channels need it")))
    };
    match channel {
        Channel::Chat => Ok(ChannelSettings::Chat {}),
        Channel::Whatsapp => {
            let secret = needed(secret, "secret")?;
            if !name_of_secret(&secret).starts_with("pingback/whatsapp/") {
                return Err(Failure::new(
                    "--secret: functions may read secrets whose name begins with pingback/whatsapp/",
                ));
            }
            let template = template.clone().zip(template_language.clone());
            Ok(ChannelSettings::Whatsapp {
                phone_number_id: needed(phone_number_id, "phone-number-id")?,
                secret,
                template: template.map(|(name, language)| Template { name, language }),
            })
        }
        Channel::Email => Ok(ChannelSettings::Email {
            from: needed(from, "from")?,
            configuration_set: configuration_set.clone(),
        }),
    }
}

/// A secret's name, which is the last part of its ARN
/// ([format](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html)).
fn name_of_secret(name_or_arn: &str) -> &str {
    match name_or_arn.splitn(7, ':').collect::<Vec<_>>()[..] {
        ["arn", _, "secretsmanager", _, _, "secret", name] => name,
        _ => name_or_arn,
    }
}

/// A conversation with a customer.
pub(crate) async fn conversation(place: &Place, args: &NewConversation) -> Result<Report, Failure> {
    place.plan_of(args.business).await?;
    let channel = place.table.channel(args.business, args.channel).await?;
    let channel =
        channel.ok_or_else(|| Failure::new("--channel: the business has no such channel"))?;
    let channel = channel.settings.channel();
    let new = NewRecord {
        channel: channel.name().to_owned(),
        channel_id: args.channel,
        recipient: args.recipient.clone(),
        subject: args.subject.clone(),
        begun_by: None,
        window_expires_at: args
            .wrote_at
            .filter(|_| channel == Channel::Whatsapp)
            .map(|at| at + MESSAGING_WINDOW),
    };
    let id = begin(place, args.business, new).await?;
    Ok(Report::of(json!({"conversation_id": id, "channel": channel}))
        .fields(vec![("conversation", id.to_string()), ("channel", channel.to_string())]))
}

/// Puts a channel into the table, under a new id.
pub(crate) async fn put_channel(
    place: &Place,
    business: BusinessId,
    settings: ChannelSettings,
    in_doubt: OnUnknownOutcome,
) -> Result<ChannelId, Failure> {
    let id = ChannelId(Uuid::new_v4());
    let record = ChannelRecord { is_active: true, in_doubt, paused_until: None, settings };
    place.table.put_channel(business, id, &record).await?;
    Ok(id)
}

/// Puts a conversation into the table, under a new id.
pub(crate) async fn begin(
    place: &Place,
    business: BusinessId,
    new: NewRecord,
) -> Result<ConversationId, Failure> {
    let id = ConversationId(Uuid::new_v4());
    place.table.create_conversation(business, id, new, place.now()).await?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_may_be_named_by_its_arn() {
        let arn =
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:pingback/whatsapp/shop-AbCdEf";
        assert_eq!(name_of_secret(arn), "pingback/whatsapp/shop-AbCdEf");
        assert_eq!(name_of_secret("pingback/whatsapp/shop"), "pingback/whatsapp/shop");
        assert_eq!(name_of_secret("x/pingback/whatsapp/shop"), "x/pingback/whatsapp/shop");
        let elsewhere = "arn:aws:ssm:eu-central-1:123456789012:secret:pingback/whatsapp/shop";
        assert_eq!(name_of_secret(elsewhere), elsewhere);
    }
}
