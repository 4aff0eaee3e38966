//! The events that SES publishes for a message that was sent with a configuration set.
//!
//! Names: <https://docs.aws.amazon.com/ses/latest/dg/monitoring-eventbridge.html>; what is in them:
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::receipts::{ProviderRecord, Report, Reporter};
use emulator::account::{ACCOUNT_ID, PARTITION, REGION};
use emulator::{Engine, Event};

/// Publishes SES's events.
#[derive(Debug)]
pub(crate) struct SesEvents;

/// SES's record of a mail that it accepted.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct MailRecord {
    pub(super) message_id: String,
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) subject: Option<String>,
    /// The configuration set; without one, SES publishes nothing.
    pub(super) configuration_set: Option<String>,
    pub(super) tags: BTreeMap<String, Vec<String>>,
    pub(super) at: DateTime<Utc>,
}

impl ProviderRecord for MailRecord {
    fn provider_id(&self) -> &str {
        &self.message_id
    }
}

impl Reporter for SesEvents {
    type Record = MailRecord;
    const STATUSES: &'static [&'static str] = &[
        "sent",
        "delivered",
        "bounced",
        "soft_bounced",
        "out_of_office",
        "suppressed",
        "complained",
        "complaint_suppressed",
        "rejected",
        "delayed",
        "opened",
    ];

    async fn report(&self, engine: &Engine, report: &Report<MailRecord>) -> bool {
        match event(report) {
            Some(event) => engine.publish(&event).await.is_ok(),
            None => true,
        }
    }
}

/// Returns the event of a report; none without a configuration set.
fn event(report: &Report<MailRecord>) -> Option<Event> {
    let record = &report.record;
    let configuration_set = record.configuration_set.as_ref()?;
    let at = time(report.at);
    let to = || record.to.first().cloned().unwrap_or_default();
    let bounce = |kind: &str, subtype: &str, status: &str, words: &str| {
        json!({
            "feedbackId": record.message_id, "bounceType": kind, "bounceSubType": subtype, "timestamp": at,
            "bouncedRecipients": [{
                "emailAddress": to(), "action": "failed", "status": status, "diagnosticCode": format!("smtp; {words}"),
            }],
            "reportingMTA": "dsn; mta.example.com",
        })
    };

    let complaint = |subtype: Value| {
        json!({
            "feedbackId": record.message_id, "complaintSubType": subtype, "timestamp": at,
            "complainedRecipients": [{ "emailAddress": to() }], "complaintFeedbackType": "abuse",
        })
    };

    let (detail_type, kind, what, of_it) = match report.status.as_str() {
        "sent" => ("Email Sent", "Send", "send", json!({})),
        "delivered" => ("Email Delivered", "Delivery", "delivery", {
            json!({
                "timestamp": at, "processingTimeMillis": 500, "recipients": record.to,
                "smtpResponse": "250 2.6.0 Message received", "reportingMTA": "mta.example.com",
            })
        }),
        "bounced" => (
            "Email Bounced",
            "Bounce",
            "bounce",
            bounce("Permanent", "General", "5.1.1", "550 5.1.1 user unknown"),
        ),
        "soft_bounced" => (
            "Email Bounced",
            "Bounce",
            "bounce",
            bounce("Transient", "MailboxFull", "4.2.2", "452 4.2.2 mailbox full"),
        ),
        "out_of_office" => (
            "Email Bounced",
            "Bounce",
            "bounce",
            bounce("Transient", "General", "4.0.0", "I am on holiday"),
        ),
        // SES sends nothing to an address on the account's suppression list, also after `sent`.
        "suppressed" => {
            let words = "Amazon SES did not send the message to this address because it is on the suppression list";
            (
                "Email Bounced",
                "Bounce",
                "bounce",
                bounce("Permanent", "OnAccountSuppressionList", "5.1.1", words),
            )
        }
        "complained" => {
            ("Email Complaint Received", "Complaint", "complaint", complaint(Value::Null))
        }
        "complaint_suppressed" => (
            "Email Complaint Received",
            "Complaint",
            "complaint",
            complaint(json!("OnAccountSuppressionList")),
        ),
        "rejected" => ("Email Rejected", "Reject", "reject", json!({ "reason": "Bad content" })),
        "delayed" => ("Email Delivery Delayed", "DeliveryDelay", "deliveryDelay", {
            json!({
                "timestamp": at, "delayType": "TransientCommunicationFailure", "expirationTime": at,
                "delayedRecipients": [{ "emailAddress": to(), "status": "4.4.1", "diagnosticCode": "smtp; 421 4.4.1" }],
            })
        }),
        "opened" => ("Email Opened", "Open", "open", {
            json!({ "timestamp": at, "ipAddress": "192.0.2.1", "userAgent": "Mozilla/5.0" })
        }),
        _ => return None,
    };

    let set =
        format!("arn:{PARTITION}:ses:{REGION}:{ACCOUNT_ID}:configuration-set/{configuration_set}");

    Some(Event {
        source: "aws.ses",
        detail_type,
        time: report.at,
        resources: vec![set],
        detail: json!({ "eventType": kind, "mail": mail(record, configuration_set), what: of_it }),
    })
}

/// Returns the mail as every event describes it.
fn mail(record: &MailRecord, configuration_set: &str) -> Value {
    let MailRecord { message_id, from, to, subject, tags, .. } = record;
    let mut all = BTreeMap::from([
        ("ses:operation".to_owned(), vec!["SendEmail".to_owned()]),
        ("ses:configuration-set".to_owned(), vec![configuration_set.to_owned()]),
    ]);
    all.extend(tags.clone());

    json!({
        "timestamp": time(record.at),
        "source": from,
        "sendingAccountId": ACCOUNT_ID,
        "messageId": message_id,
        "destination": to,
        "headersTruncated": false,
        "headers": [
            { "name": "From", "value": from }, { "name": "To", "value": to.join(", ") },
            { "name": "Subject", "value": subject },
        ],
        "commonHeaders": { "from": [from], "to": to, "messageId": message_id, "subject": subject },
        "tags": all,
    })
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: &str, configuration_set: Option<&str>) -> Option<Event> {
        let at = "2026-03-01T09:05:01.900Z".parse().unwrap();
        let record = MailRecord {
            message_id: "0107-1".into(),
            from: "support@shop.example".into(),
            to: vec!["anna@example.com".into()],
            subject: Some("Re: your parcel".into()),
            configuration_set: configuration_set.map(str::to_owned),
            tags: [("message".to_owned(), vec!["m".to_owned()])].into(),
            at,
        };
        event(&Report { record, status: status.into(), code: None, at })
    }

    #[test]
    fn every_status_has_an_event_with_the_mails_tags() {
        for status in SesEvents::STATUSES {
            let event = report(status, Some("receipts")).expect("it is published");
            assert_eq!(event.detail["mail"]["tags"]["message"], json!(["m"]), "{status}");
            assert_eq!(event.detail["mail"]["tags"]["ses:configuration-set"], json!(["receipts"]));
            assert!(event.detail_type.starts_with("Email ") && event.source == "aws.ses");
        }

        let bounced = report("bounced", Some("receipts")).unwrap();
        assert_eq!(
            (bounced.detail_type, &bounced.detail["eventType"]),
            ("Email Bounced", &json!("Bounce"))
        );

        assert_eq!(bounced.detail["bounce"]["bounceType"], "Permanent");
        assert_eq!(bounced.detail["bounce"]["timestamp"], "2026-03-01T09:05:01.900Z");
    }

    #[test]
    fn without_a_configuration_set_nothing_is_published() {
        assert!(report("sent", None).is_none());
    }
}
