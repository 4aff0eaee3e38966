//! Creates records, one at a time. Every id is new, so no existing record is overwritten.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::command_line::{
    BusinessArgs, CreateApiKey, CreateBusiness, CreateChannel, CreateConversation,
};
use crate::failure::Failure;
use crate::plan::{or_default, requests_a_minute};
use crate::report::{Report, or_dash, time};
use crate::target::Target;
use domain::channel::MESSAGING_WINDOW;
use domain::channel::email::NamedAddress;
use domain::delivery::OnUnknownOutcome;
use domain::{AgentId, BusinessId, Channel, ChannelId, ConversationId, Scopes};
use platform::credential::ApiKey;
use platform::table::ApiKeyTerms;
use platform::table::provision::NewConversation;
use platform::table::record::{ChannelRecord, ChannelSettings, Template};

/// Creates a business with its plan.
pub(crate) async fn business(target: &Target, args: &CreateBusiness) -> Result<Report, Failure> {
    let CreateBusiness { name, plan, limit, shards, requests_per_minute } = args;
    let business_id = put_business(target, args).await?;

    let json = json!({
        "business_id": business_id, "business_name": name, "plan": plan, "limit": limit,
        "shards": shards, "requests_per_minute": or_default(*requests_per_minute),
    });

    Ok(Report::new(json).fields(vec![
        ("business", business_id.to_string()),
        ("name", or_dash(name.as_ref())),
        ("plan", format!("{plan}: {limit} messages a month on {shards} shards")),
        ("requests", requests_a_minute(*requests_per_minute)),
    ]))
}

/// Creates an agent of a business.
pub(crate) async fn agent(target: &Target, args: &BusinessArgs) -> Result<Report, Failure> {
    target.plan_of(args.business_id).await?;
    let agent_id = AgentId(Uuid::new_v4());
    target.table.operator().create_agent(args.business_id, agent_id).await?;

    Ok(Report::new(json!({"agent_id": agent_id})).fields(vec![("agent", agent_id.to_string())]))
}

/// Creates an API key, which only this report shows.
pub(crate) async fn api_key(target: &Target, args: &CreateApiKey) -> Result<Report, Failure> {
    target.plan_of(args.business_id).await?;
    let key = ApiKey::generate(args.business_id);
    let valid_until = args.days.map(|days| target.now() + TimeDelta::days(days.into()));

    let scopes = args.scope.map_or_else(Scopes::default, |scope| [scope].into_iter().collect());
    let terms = ApiKeyTerms {
        agent: args.agent_id,
        valid_until,
        scopes: scopes.clone(),
        name: args.name.clone(),
    };

    if !target.table.operator().create_api_key(&key, terms).await? {
        return Err(Failure::new(
            "--agent: the business has no such agent, or they are revoked; `create agent` makes \
             one",
        ));
    }

    let json = json!({
        "api_key": key.reveal(), "api_key_id": key.hash(), "agent_id": args.agent_id,
        "valid_until": valid_until, "scopes": scopes, "name": args.name,
    });

    Ok(Report::new(json)
        .fields(vec![
            ("api key", key.reveal()),
            ("api key id", key.hash()),
            ("name", or_dash(args.name.as_ref())),
            ("scopes", scopes.to_string()),
            ("agent", or_dash(args.agent_id)),
            ("valid until", or_dash(valid_until.map(time))),
        ])
        .text("The key is not stored and never shown again. Its id revokes it."))
}

/// Creates a channel of a business.
pub(crate) async fn channel(target: &Target, args: &CreateChannel) -> Result<Report, Failure> {
    target.plan_of(args.business_id).await?;
    let settings = settings(target.stack_name(), args)?;
    let channel_id = put_channel(target, args.business_id, settings, args.in_doubt).await?;

    Ok(Report::new(json!({"channel_id": channel_id, "channel": args.channel})).fields(vec![
        ("channel id", channel_id.to_string()),
        ("channel", args.channel.to_string()),
    ]))
}

/// Returns the settings that the channel's provider needs. Refuses one that is missing, or that
/// belongs to another kind of channel.
fn settings(stack: Option<&str>, args: &CreateChannel) -> Result<ChannelSettings, Failure> {
    let CreateChannel {
        channel,
        phone_number_id,
        secret,
        template,
        template_language,
        from,
        configuration_set,
        ..
    } = args;

    for (owner, flag, value) in [
        (Channel::Whatsapp, "phone-number-id", phone_number_id),
        (Channel::Whatsapp, "secret", secret),
        (Channel::Whatsapp, "template", template),
        (Channel::Email, "from", from),
        (Channel::Email, "configuration-set", configuration_set),
    ] {
        if value.is_some() && owner != *channel {
            return Err(Failure::new(format!(
                "--{flag}: {channel} channels have none, only {owner} channels do"
            )));
        }
    }

    let required = |value: &Option<String>, flag: &str| {
        value
            .clone()
            .ok_or_else(|| Failure::new(format!("--{flag} is missing: {channel} channels need it")))
    };

    match channel {
        Channel::Chat => Ok(ChannelSettings::Chat {}),
        Channel::Whatsapp => {
            let secret = required(secret, "secret")?;
            check_secret(stack, &secret)?;

            let template = template.clone().zip(template_language.clone());
            Ok(ChannelSettings::Whatsapp {
                phone_number_id: required(phone_number_id, "phone-number-id")?,
                secret,
                template: template.map(|(name, language)| Template { name, language }),
            })
        }
        Channel::Email => {
            let from = required(from, "from")?;
            check_sender(&from)?;

            Ok(ChannelSettings::Email {
                from: from.into(),
                configuration_set: configuration_set.clone(),
            })
        }
    }
}

/// Refuses a secret that functions may not read.
pub(crate) fn check_secret(stack: Option<&str>, name_or_arn: &str) -> Result<(), Failure> {
    let (of, rest) = secret_name(name_or_arn).split_once("/whatsapp/").unwrap_or_default();
    let is_readable = stack.is_none_or(|stack| of == stack);

    if is_readable && !of.is_empty() && !rest.is_empty() {
        Ok(())
    } else {
        let stack = stack.unwrap_or("<stack>");
        Err(Failure::new(format!(
            "--secret: functions may read secrets whose name begins with {stack}/whatsapp/"
        )))
    }
}

/// Refuses a sender that is no address.
pub(crate) fn check_sender(from: &str) -> Result<(), Failure> {
    match NamedAddress::parse(from) {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            "--from: not a mail address that SES can write from, such as support@example.com or \
             \"Shop <support@example.com>\"",
        )),
    }
}

/// Returns a secret's name, which is the last part of its ARN
/// ([format](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html)).
fn secret_name(name_or_arn: &str) -> &str {
    match name_or_arn.splitn(7, ':').collect::<Vec<_>>()[..] {
        ["arn", _, "secretsmanager", _, _, "secret", name] => name,
        _ => name_or_arn,
    }
}

/// Creates a conversation with a customer.
pub(crate) async fn conversation(
    target: &Target,
    args: &CreateConversation,
) -> Result<Report, Failure> {
    target.plan_of(args.business_id).await?;
    let channel = target
        .table
        .channel(args.business_id, args.channel_id)
        .await?
        .ok_or_else(|| {
            Failure::new(
                "--channel-id: the business has no such channel; `list channels` shows them",
            )
        })?
        .settings
        .channel();

    channel
        .check_recipient(&args.recipient)
        .map_err(|expected| Failure::new(format!("--recipient: not {expected}")))?;

    let window_expires_at = args
        .wrote_at
        .filter(|_| channel == Channel::Whatsapp)
        .map(|wrote_at| wrote_at + MESSAGING_WINDOW);
    let conversation = NewConversation {
        channel: channel.into(),
        channel_id: args.channel_id,
        recipient: args.recipient.as_str().into(),
        subject: args.subject.clone().map(Into::into),
        begun_by: None,
        window_expires_at,
    };

    let conversation_id = put_conversation(target, args.business_id, conversation).await?;

    Ok(Report::new(json!({"conversation_id": conversation_id, "channel": channel})).fields(vec![
        ("conversation", conversation_id.to_string()),
        ("channel", channel.to_string()),
    ]))
}

/// Puts a business into the table, under a new id. Its name goes first, so that no list shows it
/// without.
pub(crate) async fn put_business(
    target: &Target,
    args: &CreateBusiness,
) -> Result<BusinessId, Failure> {
    let CreateBusiness { name, plan, limit, shards, requests_per_minute } = args;
    let business_id = BusinessId(Uuid::new_v4());
    let operator = target.table.operator();
    if let Some(name) = name {
        operator.name_business(business_id, name).await?;
    }
    operator.create_business(business_id, plan, *limit, *shards, *requests_per_minute).await?;
    Ok(business_id)
}

/// Puts a channel into the table, under a new id.
pub(crate) async fn put_channel(
    target: &Target,
    business_id: BusinessId,
    settings: ChannelSettings,
    in_doubt: OnUnknownOutcome,
) -> Result<ChannelId, Failure> {
    let channel_id = ChannelId(Uuid::new_v4());
    let record = ChannelRecord { is_active: true, in_doubt, paused_until: None, settings };
    target.table.operator().put_channel(business_id, channel_id, &record).await?;
    Ok(channel_id)
}

/// Puts a conversation into the table, under a new id.
pub(crate) async fn put_conversation(
    target: &Target,
    business_id: BusinessId,
    conversation: NewConversation,
) -> Result<ConversationId, Failure> {
    let conversation_id = ConversationId(Uuid::new_v4());
    let now = target.now();
    target
        .table
        .operator()
        .create_conversation(business_id, conversation_id, conversation, now)
        .await?;
    Ok(conversation_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_is_no_address_is_refused_by_name() {
        let channel = |from: &str| {
            settings(
                None,
                &CreateChannel {
                    business_id: BusinessId(Uuid::nil()),
                    channel: Channel::Email,
                    phone_number_id: None,
                    secret: None,
                    template: None,
                    template_language: None,
                    from: Some(from.to_owned()),
                    configuration_set: None,
                    in_doubt: OnUnknownOutcome::Hold,
                },
            )
        };
        assert!(channel("\"Bob \\\"B\\\" Smith\" <shop@example.com>").is_ok());
        for from in ["", "Shop", "shop@localhost", "Shop <shop@[192.0.2.1]>", "\"a b\"@example.com"]
        {
            let refused = channel(from).expect_err("no address");
            assert!(refused.to_string().contains("--from"), "{from}");
        }
    }

    #[test]
    fn a_secret_may_be_named_by_its_arn() {
        let arn =
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:pingback/whatsapp/shop-AbCdEf";
        assert_eq!(secret_name(arn), "pingback/whatsapp/shop-AbCdEf");
        assert_eq!(secret_name("pingback/whatsapp/shop"), "pingback/whatsapp/shop");
        assert_eq!(secret_name("x/pingback/whatsapp/shop"), "x/pingback/whatsapp/shop");
        let elsewhere = "arn:aws:ssm:eu-central-1:123456789012:secret:pingback/whatsapp/shop";
        assert_eq!(secret_name(elsewhere), elsewhere);
    }
}
