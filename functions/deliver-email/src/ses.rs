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
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::Blob;
use lettre::message::Mailbox;

use crate::attachments;
use crate::email::{self, Email};
use crate::mime;
use domain::channel::{self, Channel};
use domain::delivery::{
    Accepted, Failure, MessageReference, PROOF_TAG_NAME, Reason, SendOutcome, of_bare_status,
};
use platform::aws::{Aws, never_connected, retry_after};
use platform::delivery::{OutboundMessage, Provider, keys_unavailable};
use platform::files::Files;
use platform::origin::api_url_from_env;
use platform::receipt_keys::{ReceiptKeys, Route};
use platform::runtime::Error;
use platform::secrets::Secrets;
use platform::settings;
use platform::table::record::ChannelSettings;

/// How long one call may take: about as long as the worker waits.
pub const SES_TIMEOUT: Duration = Duration::from_secs(10);

/// SES, and the domain that customers' answers come to.
#[derive(Debug)]
pub struct Ses {
    client: Client,
    files: Files,
    reply_domain: String,
    keys: ReceiptKeys,
    /// The address for links to files.
    api_url: String,
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
        let (inside, links) = attachments::read_files(&self.files, &self.api_url, outbound).await?;
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

impl Ses {
    /// Returns our ids and their proof, which come back with every event that SES reports about the
    /// message. Without a configuration set there is none.
    async fn tags(
        &self,
        outbound: &OutboundMessage<'_>,
        configuration_set: Option<&str>,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let reference = MessageReference::from(*outbound);
        let mut tags = reference.tags().to_vec();
        if let Some(sender) = configuration_set {
            let route = Route { channel: Channel::Email, sender };
            let reference = outbound.part.callback_data(&reference);
            let wait = outbound.half_of_time_left();
            let tag = self.keys.tag(route, &reference, outbound.now, wait).await;
            tags.push((PROOF_TAG_NAME, tag.map_err(|error| keys_unavailable(&error))?));
        }
        Ok(tags)
    }
}

impl Provider for Ses {
    const CHANNEL: Channel = Channel::Email;

    /// Reads `EMAIL_REPLY_DOMAIN`, `ATTACHMENTS_BUCKET`, `API_URL`, `RECEIPT_KEYS_SECRET` and what
    /// AWS clients need.
    fn from_env(aws: &Aws) -> Result<Ses, Error> {
        let config = aws.service_once("SESV2", SES_TIMEOUT);
        let region = config.region().map_or("us-east-1", |region| region.as_ref());
        Ok(Ses {
            message_id_domain: message_id_domain(region),
            client: Client::new(&config),
            files: Files::from_env(aws)?,
            keys: ReceiptKeys::from_env(&Secrets::new(aws))?,
            reply_domain: settings::required("EMAIL_REPLY_DOMAIN")?,
            api_url: api_url_from_env()?,
        })
    }

    async fn send(&self, outbound: OutboundMessage<'_>) -> SendOutcome {
        let ChannelSettings::Email { from, configuration_set } = &outbound.channel.settings else {
            return Err(Failure::Permanent(Reason::new(
                "channel_misconfigured",
                "the channel is not a mailbox",
            )));
        };

        let tags = self.tags(&outbound, configuration_set.as_deref()).await?;
        let email = self.email(&outbound, from).await?;
        let misbuilt =
            || Failure::Permanent(Reason::new("message_rejected", "the mail could not be built"));
        let mail = mime::build(&email).map_err(|_| misbuilt())?;
        let (from, to) = (email.from.email.to_string(), email.to.email.to_string());
        // The mail has the files encoded: without this they would be in memory twice during the
        // call, for each of a batch.
        drop(email);
        let call = self
            .client
            .send_email()
            .from_email_address(from)
            .destination(Destination::builder().to_addresses(to).build())
            .content(raw(mail).map_err(|_| misbuilt())?)
            .set_email_tags(Some(message_tags(tags).map_err(|_| misbuilt())?))
            .set_configuration_set_name(configuration_set.clone());

        match call.send().await {
            Ok(sent) => Ok(Accepted { provider_id: sent.message_id.map(Into::into) }),
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

fn message_tags(tags: Vec<(&str, String)>) -> Result<Vec<MessageTag>, BuildError> {
    let tags = tags.into_iter();
    tags.map(|(name, value)| MessageTag::builder().name(name).value(value).build()).collect()
}

/// Returns what a failed call means for the message.
///
/// | the call | means |
/// |---|---|
/// | was answered with an error that SES names | what [`channel::email::failure`] says; for a name it does not list: tried again |
/// | was answered with a status alone | what the status says; a 5xx is no proof that SES has not sent the mail |
/// | never connected | not sent: tried again |
/// | could not be made | the message ends `failed` |
/// | was not answered, or not in time, or cannot be read | unknown |
fn failure_of(
    error: &SdkError<SendEmailError, HttpResponse>,
    retry_after: Option<Duration>,
) -> Failure {
    let transient =
        |word, detail| Failure::Transient { reason: reason(error, word, detail), retry_after };

    match error {
        SdkError::ServiceError(answered) => match error.code() {
            Some(name) => {
                channel::email::failure(name, error.message().unwrap_or_default(), retry_after)
                    .unwrap_or_else(|| transient("provider_error", "SES failed"))
            }
            None => of_bare_status("SES", answered.raw().status().as_u16(), retry_after),
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

fn reason(error: &SdkError<SendEmailError, HttpResponse>, word: &str, detail: &str) -> Reason {
    let reason = Reason::new(word, detail);
    match error.code() {
        Some(code) => reason.with_provider_code(code),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use aws_sdk_sesv2::config::Credentials;

    use super::*;

    #[test]
    fn a_name_in_a_thread_is_the_message_id_that_customers_see() {
        assert_eq!(message_id_domain("eu-central-1"), "eu-central-1.amazonses.com");
        assert_eq!(message_id_domain("us-east-1"), "email.amazonses.com");
    }

    /// An answer in SES's place: its status, a header, and its body.
    #[derive(Debug, Clone)]
    struct CannedAnswer {
        status: u16,
        header: String,
        body: String,
    }

    impl CannedAnswer {
        /// An error as SES words it: its name is in a header or in the body.
        fn named(status: u16, name: &str, message: &str) -> CannedAnswer {
            let header = format!("x-amzn-ErrorType: {name}\r\n");
            CannedAnswer { status, header, body: format!(r#"{{"message": "{message}"}}"#) }
        }

        fn bare(status: u16, body: &str) -> CannedAnswer {
            CannedAnswer { status, header: String::new(), body: body.to_owned() }
        }
    }

    /// Serves one answer for each call; `None` closes the connection without one.
    fn server(answers: Vec<Option<CannedAnswer>>) -> String {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", server.local_addr().expect("an address"));

        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = server.accept().expect("a call");
                read_request(&mut stream);
                let Some(CannedAnswer { status, header, body }) = answer else { continue };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} Whatever\r\n{header}Content-Length: {length}\r\n\
                     Connection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).expect("the caller reads");
            }
        });
        url
    }

    /// Reads a whole request, or the caller would see its connection reset.
    fn read_request(stream: &mut impl Read) {
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let length = stream.read(&mut chunk).expect("a request");
            request.extend_from_slice(&chunk[..length]);
            let text = String::from_utf8_lossy(&request).to_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let expected = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= expected.unwrap_or(0) {
                return;
            }
        }
    }

    /// Sends a mail through the real SDK to each of these answers, and judges what the SDK makes of
    /// them: kind, our word, the wait in seconds, and the code at SES.
    async fn judged(answers: &[Option<CannedAnswer>]) -> Vec<(&'static str, String, Option<u64>)> {
        let client = client(&server(answers.to_vec()));
        let mut verdicts = Vec::new();
        for _ in answers {
            verdicts.push(verdict(&client).await);
        }
        verdicts
    }

    fn client(url: &str) -> Client {
        let credentials = Credentials::new("id", "secret", None, None, "test");
        let config = Aws::new("eu-central-1".to_owned(), credentials)
            .service_once("SESV2", SES_TIMEOUT)
            .into_builder()
            .endpoint_url(url)
            .build();
        Client::new(&config)
    }

    async fn verdict(client: &Client) -> (&'static str, String, Option<u64>) {
        let call = client.send_email().content(raw(b"a mail".to_vec()).expect("it is complete"));
        let error = match call.send().await {
            Ok(_) => return ("success", String::new(), None),
            Err(error) => error,
        };

        let (kind, reason, wait) = match failure_of(&error, retry_after(&error)) {
            Failure::Permanent(reason) => ("permanent", reason, None),
            Failure::Transient { reason, retry_after } => ("transient", reason, retry_after),
            Failure::ChannelDown { reason, wait } => ("channel", reason, Some(wait)),
            Failure::Unknown(reason) => ("unknown", reason, None),
            Failure::Away => panic!("SES knows no such failure"),
        };
        let words = format!("{} {}", reason.code, reason.provider_code.unwrap_or_default());
        (kind, words.trim_end().to_owned(), wait.map(|wait| wait.as_secs()))
    }

    #[tokio::test]
    async fn a_status_without_a_word_of_sess_own_is_judged_alone() {
        let html = "<html><body>502 Bad Gateway</body></html>";
        let bodies = ["", html, "{}", r#"{"message": "upstream connect error"}"#];
        for (status, kind, word, wait) in [
            (307, "channel", "channel_misconfigured", Some(60)),
            (400, "permanent", "message_rejected", None),
            (401, "channel", "not_permitted", Some(60)),
            (403, "channel", "not_permitted", Some(60)),
            (404, "channel", "channel_misconfigured", Some(60)),
            (408, "transient", "provider_error", None),
            (413, "permanent", "message_rejected", None),
            (429, "transient", "rate_limited", None),
            (500, "unknown", "provider_error", None),
            (502, "unknown", "provider_error", None),
            (503, "unknown", "provider_error", None),
            (504, "unknown", "provider_error", None),
        ] {
            let answers = bodies.map(|body| Some(CannedAnswer::bare(status, body)));
            for (verdict, body) in judged(&answers).await.into_iter().zip(bodies) {
                assert_eq!(verdict, (kind, word.to_owned(), wait), "{status} {body}");
            }
        }
    }

    #[tokio::test]
    async fn a_named_error_is_judged_by_its_name_with_any_status() {
        let rows = [
            ("MessageRejected", "permanent", "message_rejected", None),
            ("TooManyRequestsException", "transient", "rate_limited", None),
            ("LimitExceededException", "channel", "rate_limited", Some(600)),
            ("AccountSuspendedException", "channel", "account_blocked", Some(900)),
            ("AccessDeniedException", "channel", "not_permitted", Some(60)),
            ("InternalServiceErrorException", "transient", "provider_error", None),
            ("SomethingNew", "transient", "provider_error", None),
        ];
        for status in [400, 403, 500, 503] {
            let answers = rows.map(|(name, ..)| Some(CannedAnswer::named(status, name, "…")));
            for (verdict, (name, kind, word, wait)) in judged(&answers).await.into_iter().zip(rows)
            {
                assert_eq!(verdict, (kind, format!("{word} {name}"), wait), "{status} {name}");
            }
        }

        // The name may be in the body, and with a namespace.
        let in_body = r#"{"__type": "com.amazonaws.sesv2#MessageRejected", "message": "…"}"#;
        let verdicts = judged(&[Some(CannedAnswer::bare(400, in_body))]).await;
        assert_eq!(verdicts[0].1, "message_rejected MessageRejected");
    }

    #[tokio::test]
    async fn a_call_without_an_answer_is_in_doubt_unless_it_never_connected() {
        let garbage = CannedAnswer::bare(200, "<html>200 OK</html>");
        let verdicts = judged(&[None, Some(garbage)]).await;
        assert_eq!(verdicts[0], ("unknown", "no_answer".to_owned(), None));
        assert_eq!(verdicts[1], ("unknown", "provider_error".to_owned(), None));

        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
        let unheard = format!("http://{}", free.expect("an address"));
        let verdict = verdict(&client(&unheard)).await;
        assert_eq!(verdict, ("transient", "unreachable".to_owned(), None));
    }

    #[tokio::test]
    async fn the_wait_that_ses_asks_for_is_heard() {
        let busy = CannedAnswer::named(429, "TooManyRequestsException", "…");
        let header = format!("{}Retry-After: 17\r\n", busy.header);
        let bare =
            CannedAnswer { header: "Retry-After: 18\r\n".into(), ..CannedAnswer::bare(429, "") };
        let verdicts = judged(&[Some(CannedAnswer { header, ..busy }), Some(bare)]).await;
        assert_eq!((verdicts[0].2, verdicts[1].2), (Some(17), Some(18)));
    }
}
