//! The events that SES puts on the bus of a message that was sent with a configuration set.
//!
//! Names: <https://docs.aws.amazon.com/ses/latest/dg/monitoring-eventbridge.html>; what is in them:
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::control::System;
use super::super::receipts::{Report, Reporter, Taken};
use emulator::Event;
use emulator::account::{ACCOUNT_ID, PARTITION, REGION};

/// SES's side of the bus.
#[derive(Debug)]
pub(crate) struct Events;

/// A message that SES took.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct TakenMail {
    pub(super) message_id: String,
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) subject: Option<String>,
    /// Without one, SES publishes nothing.
    pub(super) configuration_set: Option<String>,
    pub(super) tags: BTreeMap<String, Vec<String>>,
    pub(super) at: DateTime<Utc>,
}

impl Taken for TakenMail {
    fn provider_id(&self) -> &str {
        &self.message_id
    }
}

impl Reporter for Events {
    type Taken = TakenMail;
    const STATUSES: &'static [&'static str] = &[
        "sent",
        "delivered",
        "bounced",
        "soft_bounced",
        "suppressed",
        "complained",
        "complaint_suppressed",
        "rejected",
        "delayed",
        "opened",
    ];

    async fn report(&self, system: &System, report: &Report<TakenMail>) -> bool {
        match event(report) {
            Some(event) => system.engine().publish(&event).await.is_ok(),
            None => true,
        }
    }
}

/// What is published; nothing without a configuration set.
fn event(report: &Report<TakenMail>) -> Option<Event> {
    let taken = &report.taken;
    let configuration_set = taken.configuration_set.as_ref()?;
    let at = time(report.at);
    let to = || taken.to.first().cloned().unwrap_or_default();
    let bounce = |kind: &str, subtype: &str, status: &str, words: &str| {
        json!({
            "feedbackId": taken.message_id, "bounceType": kind, "bounceSubType": subtype, "timestamp": at,
            "bouncedRecipients": [{
                "emailAddress": to(), "action": "failed", "status": status, "diagnosticCode": format!("smtp; {words}"),
            }],
            "reportingMTA": "dsn; mta.example.com",
        })
    };
    let complaint = |subtype: Value| {
        json!({
            "feedbackId": taken.message_id, "complaintSubType": subtype, "timestamp": at,
            "complainedRecipients": [{ "emailAddress": to() }], "complaintFeedbackType": "abuse",
        })
    };
    let (detail_type, kind, what, of_it) = match report.status.as_str() {
        "sent" => ("Email Sent", "Send", "send", json!({})),
        "delivered" => ("Email Delivered", "Delivery", "delivery", {
            json!({
                "timestamp": at, "processingTimeMillis": 500, "recipients": taken.to,
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
        // Who is on the account's suppression list gets nothing, whatever was reported as sent.
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
        detail: json!({ "eventType": kind, "mail": mail(taken, configuration_set), what: of_it }),
    })
}

/// The mail, as every event names it.
fn mail(taken: &TakenMail, configuration_set: &str) -> Value {
    let TakenMail { message_id, from, to, subject, tags, .. } = taken;
    let mut all = BTreeMap::from([
        ("ses:operation".to_owned(), vec!["SendEmail".to_owned()]),
        ("ses:configuration-set".to_owned(), vec![configuration_set.to_owned()]),
    ]);
    all.extend(tags.clone());
    json!({
        "timestamp": time(taken.at),
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
        let taken = TakenMail {
            message_id: "0107-1".into(),
            from: "support@shop.example".into(),
            to: vec!["anna@example.com".into()],
            subject: Some("Re: your parcel".into()),
            configuration_set: configuration_set.map(str::to_owned),
            tags: [("message".to_owned(), vec!["m".to_owned()])].into(),
            at,
        };
        event(&Report { taken, status: status.into(), code: None, at })
    }

    #[test]
    fn every_status_has_an_event_with_our_tags() {
        for status in Events::STATUSES {
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
