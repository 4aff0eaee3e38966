//! One message to SES:
//! [`SendEmail`](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html) with
//! the mail as we built it (`Content.Raw`). What its errors mean is in [`domain::channel::email`].
//!
//! The SDK's own retries are off: it would repeat a call whose answer was lost, and SES would send
//! twice.

use std::time::Duration;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Destination, EmailContent, MessageTag, RawMessage};
use aws_smithy_types::Blob;
use lettre::message::Mailbox;

use crate::attachments;
use crate::email::{self, Email};
use crate::mime;
use domain::channel::{self, Channel};
use domain::delivery::{Accepted, Failure, MessageReference, Reason, SendOutcome};
use platform::aws::{Aws, never_connected, retry_after};
use platform::delivery::{OutboundMessage, Provider};
use platform::files::Files;
use platform::runtime::Error;
use platform::settings;
use platform::table::record::ChannelSettings;

/// How long one call may take: about as long as the worker waits.
const SES_TIMEOUT: Duration = Duration::from_secs(10);

/// SES, and the domain that customers' answers come to.
#[derive(Debug)]
pub struct Ses {
    client: Client,
    files: Files,
    reply_domain: String,
    /// The domain of the `Message-ID`s that SES gives.
    message_id_domain: String,
}

impl Ses {
    /// Returns the address for the customer's answers, which carries the conversation.
    fn reply_to(&self, outbound: &OutboundMessage<'_>) -> String {
        let business = outbound.business_id.0.simple();
        let conversation = outbound.conversation_id.0.simple();
        // 64 characters are all that a local part may have (RFC 5321 §4.5.3.1.1): two ids and
        // nothing else.
        format!("{business}{conversation}@{}", self.reply_domain)
    }

    /// Makes the mail from the message.
    async fn email<'a>(
        &self,
        outbound: &OutboundMessage<'a>,
        from: &str,
    ) -> Result<Email<'a>, Failure> {
        let failure = |code, detail| Failure::Permanent(Reason::new(code, detail));
        let from = email::sender(from).ok_or_else(|| {
            failure("channel_misconfigured", "the channel's sender is no mail address")
        })?;

        let to = email::address(&outbound.conversation.recipient).ok_or_else(|| {
            failure("recipient_unreachable", "SES cannot write to the customer's address")
        })?;
        let reply_to = email::address(&self.reply_to(outbound)).ok_or_else(|| {
            failure("channel_misconfigured", "the reply domain is no mail domain")
        })?;

        let thread = &outbound.conversation.thread;
        let (inside, links) = attachments::read_files(&self.files, outbound).await?;
        Ok(Email {
            id: outbound.message.id,
            from,
            to: Mailbox::new(None, to),
            reply_to,
            subject: email::subject(outbound.conversation.subject.as_deref(), thread),
            thread,
            date: outbound.message.created_at,
            text: outbound.message.content.as_str(),
            inside,
            links,
        })
    }
}

/// Returns the domain of SES's `Message-ID`s: it names the region, but for the oldest one. That is
/// not documented, but is so in every mail that SES sends; if it changed, mail programs would fall
/// back on the subject.
fn message_id_domain(region: &str) -> String {
    match region {
        "us-east-1" => "email.amazonses.com".to_owned(),
        region => format!("{region}.amazonses.com"),
    }
}

impl Provider for Ses {
    const CHANNEL: Channel = Channel::Email;

    /// Reads `EMAIL_REPLY_DOMAIN`, `ATTACHMENTS_BUCKET` and what AWS clients need.
    fn from_env(aws: &Aws) -> Result<Ses, Error> {
        let config = aws.service_once("SESV2", SES_TIMEOUT);
        let region = config.region().map_or("us-east-1", |region| region.as_ref());
        Ok(Ses {
            message_id_domain: message_id_domain(region),
            client: Client::new(&config),
            files: Files::from_env(aws)?,
            reply_domain: settings::required("EMAIL_REPLY_DOMAIN")?,
        })
    }

    async fn send(&self, outbound: OutboundMessage<'_>) -> SendOutcome {
        let ChannelSettings::Email { from, configuration_set } = &outbound.channel.settings else {
            return Err(Failure::Permanent(Reason::new(
                "channel_misconfigured",
                "the channel is not a mailbox",
            )));
        };

        let email = self.email(&outbound, from).await?;
        let misbuilt =
            || Failure::Permanent(Reason::new("message_rejected", "the mail could not be built"));
        let mail = mime::build(&email).map_err(|_| misbuilt())?;
        let call = self
            .client
            .send_email()
            .from_email_address(email.from.email.to_string())
            .destination(Destination::builder().to_addresses(email.to.email.to_string()).build())
            .content(raw(mail).map_err(|_| misbuilt())?)
            .set_email_tags(Some(tags(&outbound).map_err(|_| misbuilt())?))
            .set_configuration_set_name(configuration_set.clone());

        match call.send().await {
            Ok(sent) => Ok(Accepted { provider_id: sent.message_id }),
            Err(error) => Err(failure_of(&error, retry_after(&error))),
        }
    }

    fn name_in_thread(&self, provider_id: &str) -> Option<String> {
        Some(format!("{provider_id}@{}", self.message_id_domain))
    }
}

fn raw(mail: Vec<u8>) -> Result<EmailContent, BuildError> {
    let raw = RawMessage::builder().data(Blob::new(mail)).build()?;
    Ok(EmailContent::builder().raw(raw).build())
}

/// Returns our ids as tags, which come back with every event that SES reports about the message.
fn tags(outbound: &OutboundMessage<'_>) -> Result<Vec<MessageTag>, BuildError> {
    let ids = MessageReference::from(*outbound).tags();
    ids.into_iter()
        .map(|(name, value)| MessageTag::builder().name(name).value(value).build())
        .collect()
}

/// Returns what a failed call means for the message.
fn failure_of<R: std::fmt::Debug>(
    error: &SdkError<SendEmailError, R>,
    retry_after: Option<Duration>,
) -> Failure {
    let transient =
        |word, detail| Failure::Transient { reason: reason(error, word, detail), retry_after };

    match error {
        SdkError::ServiceError(_) => match error.code() {
            Some(word) => {
                channel::email::failure(word, error.message().unwrap_or_default(), retry_after)
                    .unwrap_or_else(|| transient("provider_error", "SES failed"))
            }
            // A 5xx without SES's own words comes from something in between, which may have passed
            // the mail on.
            None => {
                Failure::Unknown(reason(error, "provider_error", "SES failed without saying how"))
            }
        },
        SdkError::DispatchFailure(failed)
            if failed.as_connector_error().is_some_and(never_connected) =>
        {
            transient("unreachable", "SES could not be reached")
        }
        SdkError::ConstructionFailure(_) => {
            Failure::Permanent(reason(error, "message_rejected", "the message could not be built"))
        }
        _ => Failure::Unknown(reason(error, "no_answer", "SES did not answer")),
    }
}

fn reason<R: std::fmt::Debug>(
    error: &SdkError<SendEmailError, R>,
    word: &str,
    detail: &str,
) -> Reason {
    let reason = Reason::new(word, detail);
    match error.code() {
        Some(code) => reason.with_provider_code(code),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_thread_is_the_message_id_that_customers_see() {
        assert_eq!(message_id_domain("eu-central-1"), "eu-central-1.amazonses.com");
        assert_eq!(message_id_domain("us-east-1"), "email.amazonses.com");
    }
}
