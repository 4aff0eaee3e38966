//! One message to SES:
//! [`SendEmail`](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html).
//!
//! The SDK's own retries are off: it would repeat a call whose answer was lost, and SES would send twice.

use crate::mail;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageTag};
use domain::Channel;
use domain::delivery::{Accepted, Failure, Outcome, Reason, Reference};
use platform::aws::{Aws, never_connected, retry_after};
use platform::delivery::{Parcel, Provider};
use platform::table::record::ChannelSettings;
use std::time::Duration;

/// The worker gives up waiting at about the same time.
const PATIENCE: Duration = Duration::from_secs(10);

/// SES, and the domain that customers' answers come to.
#[derive(Debug)]
pub struct Ses {
    client: Client,
    reply_domain: String,
}

impl Ses {
    /// SES through `aws`.
    #[must_use]
    pub fn new(aws: &Aws, reply_domain: String) -> Ses {
        Ses { client: Client::new(&aws.service_once("SESV2", PATIENCE)), reply_domain }
    }

    /// Answers come to an address that carries the conversation.
    fn reply_to(&self, parcel: &Parcel<'_>) -> String {
        let (business, conversation) = (parcel.business.0.simple(), parcel.conversation_id.0.simple());
        // 64 characters are all that a local part may have (RFC 5321 §4.5.3.1.1): two ids and nothing else.
        format!("{business}{conversation}@{}", self.reply_domain)
    }
}

impl Provider for Ses {
    const CHANNEL: Channel = Channel::Email;

    async fn send(&self, parcel: Parcel<'_>) -> Outcome {
        let ChannelSettings::Email { from, configuration_set } = &parcel.channel.settings else {
            return Err(Failure::Permanent(Reason::new("channel_misconfigured", "the channel is not a mailbox")));
        };
        let misbuilt = |error: BuildError| Failure::Permanent(Reason::new("message_rejected", error.to_string()));
        let call = self
            .client
            .send_email()
            .from_email_address(from)
            .destination(Destination::builder().to_addresses(&parcel.conversation.recipient).build())
            .reply_to_addresses(self.reply_to(&parcel))
            .content(content(&parcel).map_err(misbuilt)?)
            .set_email_tags(Some(tags(&parcel).map_err(misbuilt)?))
            .set_configuration_set_name(configuration_set.clone());
        match call.send().await {
            Ok(sent) => Ok(Accepted { provider_id: sent.message_id }),
            Err(error) => Err(judge(&error, retry_after(&error))),
        }
    }
}

fn content(parcel: &Parcel<'_>) -> Result<EmailContent, BuildError> {
    let utf8 = |data: String| Content::builder().data(data).charset("UTF-8").build();
    let text = &parcel.message.content;
    let body = Body::builder().text(utf8(text.clone())?).html(utf8(mail::html(text))?).build();
    let subject = utf8(mail::subject(parcel.conversation.subject.as_deref()))?;
    Ok(EmailContent::builder().simple(Message::builder().subject(subject).body(body).build()).build())
}

/// Our ids, which come back with every event SES reports about the message.
fn tags(parcel: &Parcel<'_>) -> Result<Vec<MessageTag>, BuildError> {
    let ids = Reference::from(*parcel).tags();
    ids.into_iter().map(|(name, value)| MessageTag::builder().name(name).value(value).build()).collect()
}

/// What SES's errors mean for a message.
fn judge<R: std::fmt::Debug>(error: &SdkError<SendEmailError, R>, retry_after: Option<Duration>) -> Failure {
    let transient = |word, detail| Failure::Transient { reason: reason(error, word, detail), retry_after };
    match error {
        SdkError::ServiceError(failed) => match failed.err() {
            SendEmailError::TooManyRequestsException(_) => transient("rate_limited", "SES asks for patience"),
            SendEmailError::LimitExceededException(_) => {
                transient("rate_limited", "the account's sending limit is reached")
            }
            SendEmailError::AccountSuspendedException(_) => {
                transient("account_blocked", "SES has suspended the account")
            }
            SendEmailError::SendingPausedException(_) => transient("account_blocked", "sending is paused"),
            SendEmailError::MessageRejected(_) => {
                Failure::Permanent(reason(error, "message_rejected", "SES did not accept the message"))
            }
            SendEmailError::MailFromDomainNotVerifiedException(_) | SendEmailError::NotFoundException(_) => {
                Failure::Permanent(reason(error, "channel_misconfigured", "SES does not know the channel's identity"))
            }
            SendEmailError::BadRequestException(_) => {
                Failure::Permanent(reason(error, "message_rejected", "SES did not accept the message"))
            }
            other => match other.code() {
                Some("ThrottlingException" | "Throttling") => transient("rate_limited", "SES asks for patience"),
                Some(_) => transient("provider_error", "SES failed"),
                // A 5xx without SES's own words comes from something in between, which may have passed the mail on.
                None => Failure::Unknown(reason(error, "provider_error", "SES failed without saying how")),
            },
        },
        SdkError::DispatchFailure(failed) if failed.as_connector_error().is_some_and(never_connected) => {
            transient("unreachable", "SES could not be reached")
        }
        SdkError::ConstructionFailure(_) => {
            Failure::Permanent(reason(error, "message_rejected", "the message could not be built"))
        }
        _ => Failure::Unknown(reason(error, "no_answer", "SES did not answer")),
    }
}

fn reason<R: std::fmt::Debug>(error: &SdkError<SendEmailError, R>, word: &str, detail: &str) -> Reason {
    let reason = Reason::new(word, detail);
    match error.code() {
        Some(code) => reason.with_provider_code(code),
        None => reason,
    }
}
