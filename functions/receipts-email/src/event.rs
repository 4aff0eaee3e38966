//! The meaning of SES's events for a message.
//!
//! Names: [SES events](https://docs.aws.amazon.com/ses/latest/dg/monitoring-eventbridge.html); what
//! is in them: [event
//! data](https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html).
//!
//! | event | the message is | because |
//! |---|---|---|
//! | Sent | sent | SES has it and will try to deliver it |
//! | Delivered | delivered | the customer's mail server has it |
//! | Complaint Received | delivered | a customer who calls it spam has got it; if SES suppressed the mail because of an earlier complaint, it failed |
//! | Bounced | failed | also if it was but *transient*, and also after a delivery, unless it is an out-of-office answer |
//! | Rejected, Rendering Failed | failed | SES did not send it |
//! | Delivery Delayed | as before | SES goes on trying, and tells how that ends |
//! | Opened, Clicked | as before | mail programs and virus scanners open and click, and people who read with images off do not: neither proves that the customer has read it |
//!
//! The meaning of a bounce's and a complaint's words is in [`domain::channel::email`]. Events may
//! arrive in any order; those of a delivery and a bounce are compared by SES's own times
//! ([`domain::delivery::Standing`]).

use chrono::{DateTime, Utc};
use serde_json::Value;

use domain::channel::email;
use domain::delivery::{MessageReference, PROOF_TAG_NAME, Part, Reason, Receipt, ReportedStatus};
use platform::receipts::ClaimedReceipt;

/// Returns the receipt in an event of this kind; `None` if the event changes nothing, is about no
/// message of ours, or about a mail that was sent with another configuration set than
/// `configuration_set`: its tags are another system's. `time` is EventBridge's, for kinds that have
/// no time of their own.
#[must_use]
pub fn receipt(
    configuration_set: &str,
    kind: &str,
    time: DateTime<Utc>,
    detail: &Value,
) -> Option<ClaimedReceipt> {
    let mail = &detail["mail"];
    if mail["tags"]["ses:configuration-set"][0] != configuration_set {
        return None;
    }

    let (reported, at) = match kind {
        "Email Sent" => (ReportedStatus::Sent, &mail["timestamp"]),
        "Email Delivered" => (ReportedStatus::Delivered, &detail["delivery"]["timestamp"]),
        "Email Complaint Received" => {
            (complained(&detail["complaint"]), &detail["complaint"]["timestamp"])
        }
        "Email Bounced" => (bounced(&detail["bounce"]), &detail["bounce"]["timestamp"]),
        "Email Rejected" => (
            failed("message_rejected", "SES found something harmful in the message", "Reject"),
            &Value::Null,
        ),
        "Email Rendering Failed" => (
            failed("message_rejected", "SES could not build the message", "RenderingFailure"),
            &Value::Null,
        ),
        _ => return None,
    };

    // Every tag is a list of values.
    let value = |name: &str| mail["tags"][name][0].as_str();
    let about = MessageReference::from_tags(value)?;
    let tag = value(PROOF_TAG_NAME).map(str::to_owned);
    let at = at.as_str().and_then(|at| at.parse().ok()).unwrap_or(time);
    let provider_id = mail["messageId"].as_str().map(Into::into);

    let receipt = Receipt { reported, part: Part::WHOLE, at, provider_id };
    Some(ClaimedReceipt { sender: configuration_set.to_owned(), about, tag, receipt })
}

/// True for the complaint of a customer, and false for one by which SES says that it did not send.
#[must_use]
pub fn is_complaint(kind: &str, detail: &Value) -> bool {
    kind == "Email Complaint Received"
        && complained(&detail["complaint"]) == ReportedStatus::Delivered
}

/// True for the kinds of events that SES sends.
#[must_use]
pub fn is_kind(kind: &str) -> bool {
    const KINDS: [&str; 10] = [
        "Email Sent",
        "Email Delivered",
        "Email Complaint Received",
        "Email Bounced",
        "Email Rejected",
        "Email Rendering Failed",
        "Email Delivery Delayed",
        "Email Opened",
        "Email Clicked",
        "Email Subscribed",
    ];
    KINDS.contains(&kind)
}

fn failed(word: &str, detail: &str, provider_code: &str) -> ReportedStatus {
    ReportedStatus::Failed(Reason::new(word, detail).with_provider_code(provider_code))
}

/// Reads a bounce. The mail server's own words may quote the address and are not read.
fn bounced(bounce: &Value) -> ReportedStatus {
    let word = |name: &str| bounce[name].as_str().unwrap_or("Undetermined");
    email::bounce(word("bounceType"), word("bounceSubType"))
}

/// Reads a complaint: it comes from a customer who has got the mail, or from SES itself, which then
/// has not sent it.
fn complained(complaint: &Value) -> ReportedStatus {
    email::complaint_reason(complaint["complaintSubType"].as_str())
        .map_or(ReportedStatus::Delivered, ReportedStatus::Failed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TIME: DateTime<Utc> = DateTime::from_timestamp(1_772_356_000, 0).expect("a time");

    fn detail(what: &str, of_it: Value) -> Value {
        let tags = json!({
            "ses:configuration-set": ["pingback"],
            "business": ["8d0a1c52-6b1e-4f0e-9a3b-2c6f6f1f3a10"],
            "conversation": ["6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4"],
            "message": ["0198f3c2-7a10-7000-8001-9d4c5b6a7f80"],
            "tag": ["a-tag"],
        });
        let mail =
            json!({ "timestamp": "2026-03-01T09:05:00.500Z", "messageId": "0107-1", "tags": tags });
        json!({ "mail": mail, what: of_it })
    }

    fn receipt_of(kind: &str, detail: &Value) -> Receipt {
        let claimed = receipt("pingback", kind, TIME, detail).expect("it is about one of ours");
        let ClaimedReceipt { sender, about, tag, receipt } = claimed;
        assert_eq!((sender.as_str(), tag.as_deref()), ("pingback", Some("a-tag")));
        assert_eq!(about.message_id.to_string(), "0198f3c2-7a10-7000-8001-9d4c5b6a7f80");
        assert_eq!(receipt.provider_id.as_deref(), Some("0107-1"));
        receipt
    }

    fn code(kind: &str, detail: &Value) -> String {
        match receipt_of(kind, detail).reported {
            ReportedStatus::Failed(reason) | ReportedStatus::Bounced(reason) => {
                format!("{} {}", reason.code, reason.provider_code.unwrap_or_default())
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_event_has_its_meaning_and_its_own_time() {
        let later = json!({ "timestamp": "2026-03-01T09:05:02.000Z" });
        let sent = receipt_of("Email Sent", &detail("send", json!({})));
        assert_eq!(
            (sent.reported, sent.at.timestamp_millis()),
            (ReportedStatus::Sent, 1_772_355_900_500)
        );

        let delivered = receipt_of("Email Delivered", &detail("delivery", later.clone()));
        assert_eq!(
            (delivered.reported, delivered.at.timestamp_millis()),
            (ReportedStatus::Delivered, 1_772_355_902_000)
        );

        assert_eq!(
            receipt_of("Email Complaint Received", &detail("complaint", later)).reported,
            ReportedStatus::Delivered
        );

        // SES tells of a bounce when it reads it; the bounce itself was earlier.
        let bounce = json!({ "bounceType": "Permanent", "bounceSubType": "General",
            "timestamp": "2026-03-01T09:05:03.250Z" });
        let bounced = receipt_of("Email Bounced", &detail("bounce", bounce));
        assert_eq!(bounced.at.timestamp_millis(), 1_772_355_903_250);
        for unreadable in [json!({}), json!({ "timestamp": "soon" }), json!({ "timestamp": 7 })] {
            assert_eq!(receipt_of("Email Bounced", &detail("bounce", unreadable)).at, TIME);
        }

        let rejected = detail("reject", json!({ "reason": "Bad content" }));
        assert_eq!(
            (code("Email Rejected", &rejected), receipt_of("Email Rejected", &rejected).at),
            ("message_rejected Reject".into(), TIME)
        );

        let failure = detail("failure", json!({ "errorMessage": "Attribute 'x' is not present" }));
        assert_eq!(code("Email Rendering Failed", &failure), "message_rejected RenderingFailure");
    }

    #[test]
    fn a_bounce_says_why_in_our_words() {
        let bounce = |kind, subtype| {
            let recipients =
                json!([{ "emailAddress": "anna@example.com", "diagnosticCode": "smtp; 550 anna" }]);
            let of_it = json!({ "bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": recipients });
            code("Email Bounced", &detail("bounce", of_it))
        };

        assert_eq!(bounce("Permanent", "General"), "recipient_unreachable Permanent/General");
        assert_eq!(
            bounce("Permanent", "OnAccountSuppressionList"),
            "recipient_suppressed Permanent/OnAccountSuppressionList"
        );

        assert_eq!(
            code("Email Bounced", &detail("bounce", json!({}))),
            "undeliverable Undetermined/Undetermined"
        );
    }

    #[test]
    fn a_complaint_that_sent_nothing_is_no_delivery() {
        let complaint = |subtype| {
            code(
                "Email Complaint Received",
                &detail("complaint", json!({ "complaintSubType": subtype })),
            )
        };
        assert_eq!(complaint(Value::Null), "Delivered");
        let suppressed = complaint(json!("OnAccountSuppressionList"));
        assert_eq!(suppressed, "recipient_suppressed Complaint/OnAccountSuppressionList");
    }

    #[test]
    fn what_is_no_news_or_none_of_ours_is_left_alone() {
        let ours = detail("open", json!({}));
        for kind in [
            "Email Delivery Delayed",
            "Email Opened",
            "Email Clicked",
            "Email Subscribed",
            "Scheduled Event",
            "",
        ] {
            assert_eq!(receipt("pingback", kind, TIME, &ours), None, "{kind}");
        }

        let sent = detail("send", json!({}));
        assert!(receipt("pingback", "Email Sent", TIME, &sent).is_some());
        for other in ["", "pingback-dev", "Pingback"] {
            assert_eq!(receipt(other, "Email Sent", TIME, &sent), None, "{other}");
        }
        let mut without = sent.clone();
        without["mail"]["tags"]["ses:configuration-set"] = json!([]);
        assert_eq!(receipt("pingback", "Email Sent", TIME, &without), None);

        let mut foreign = sent;
        foreign["mail"]["tags"]["message"] = json!(["campaign-7"]);
        assert_eq!(receipt("pingback", "Email Sent", TIME, &foreign), None);
        foreign["mail"]["tags"] = json!({ "ses:configuration-set": ["pingback"] });

        assert_eq!(receipt("pingback", "Email Sent", TIME, &foreign), None);
        assert_eq!(receipt("pingback", "Email Sent", TIME, &json!("detail")), None);
    }
}
