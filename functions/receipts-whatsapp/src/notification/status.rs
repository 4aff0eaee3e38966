//! The receipts of our messages.

use chrono::{DateTime, Utc};

use super::item::Item;
use super::members::{Members, is_whole, present, text, time};
use domain::channel::whatsapp;
use domain::delivery::{MessageReference, Part, Receipt, ReportedStatus};
use platform::receipts::ClaimedReceipt;

/// Reads a status. The texts of its errors may quote the customer and are not read.
pub(super) fn receipt(
    phone_number_id: &str,
    status: &Members<'_>,
    now: DateTime<Utc>,
) -> Item<ClaimedReceipt> {
    // Messages that something else sent with this number carry no reference, or one of its own.
    let Some(callback_data) = present(status, "biz_opaque_callback_data") else {
        return Item::Ignored;
    };
    let Some(callback_data) = callback_data.text().filter(|text| is_whole(text)) else {
        return Item::Unreadable;
    };
    let Some((about, part, tag)) = parse_callback_data(&callback_data) else {
        return Item::Ignored;
    };

    let Some(word) = text(status, "status") else { return Item::Unreadable };
    let reported = match word.as_str() {
        "sent" => ReportedStatus::Sent,
        "delivered" => ReportedStatus::Delivered,
        "read" => ReportedStatus::Read,
        "failed" => ReportedStatus::Failed(whatsapp::failure_reason(error_code(status))),
        _ => return Item::Ignored,
    };

    let at = time(status, now);
    let receipt = Receipt { reported, part, at, provider_id: text(status, "id").map(Into::into) };
    Item::Read(ClaimedReceipt { sender: phone_number_id.to_owned(), about, tag, receipt })
}

/// Parses the reference and the tag behind it, which a reference that is not ours may lack.
fn parse_callback_data(text: &str) -> Option<(MessageReference, Part, Option<String>)> {
    let tagged = text.rsplit_once('.').and_then(|(reference, tag)| {
        let (about, part) = Part::parse_callback_data(reference)?;
        Some((about, part, Some(tag.to_owned())))
    });
    let untagged = || Part::parse_callback_data(text).map(|(about, part)| (about, part, None));
    tagged.or_else(untagged)
}

/// Returns the first code of a status's errors.
fn error_code(status: &Members<'_>) -> Option<i64> {
    let errors = present(status, "errors")?;
    let errors = errors.items().unwrap_or_else(|| vec![errors]);
    errors.into_iter().find_map(|error| error.member("code")?.integer())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{NOW, NUMBER, OURS, at, of, status};
    use super::*;

    fn one(change: impl FnOnce(&mut Value)) -> Receipt {
        let parsed = of(json!([status(change)]));
        let counts = (parsed.receipts.len(), parsed.ignored, parsed.unreadable);
        assert_eq!(counts, (1, 0, 0), "{parsed:?}");
        let claimed = parsed.receipts.into_iter().next().expect("there is one");
        assert_eq!(claimed.about.to_string(), OURS);
        assert_eq!((claimed.sender.as_str(), claimed.tag.as_deref()), (NUMBER, Some("tag")));
        claimed.receipt
    }

    #[test]
    fn the_four_statuses_are_read() {
        let sent = one(|_| ());
        assert_eq!(
            (sent.reported, sent.provider_id.as_deref()),
            (ReportedStatus::Sent, Some("wamid.1"))
        );

        assert_eq!(sent.at.timestamp(), 1_772_355_901);
        assert_eq!(
            one(|status| status["status"] = json!("delivered")).reported,
            ReportedStatus::Delivered
        );

        assert_eq!(one(|status| status["status"] = json!("read")).reported, ReportedStatus::Read);
    }

    #[test]
    fn a_failure_is_read_whatever_its_errors_look_like() {
        for (errors, code, provider_code) in [
            (
                json!([{ "code": 131_026, "title": "Message undeliverable", "href": "…" }]),
                "recipient_unreachable",
                Some("131026"),
            ),
            (json!([{ "code": "131026" }]), "recipient_unreachable", Some("131026")),
            (json!([{ "code": 131_026.0 }]), "recipient_unreachable", Some("131026")),
            (json!({ "code": 131_026 }), "recipient_unreachable", Some("131026")),
            (
                json!([{ "code": 131_047 }, { "code": 1 }]),
                "outside_messaging_window",
                Some("131047"),
            ),
            (json!([{ "code": 42 }]), "undeliverable", Some("42")),
            (json!([{ "code": "42" }]), "undeliverable", Some("42")),
            (json!([{ "code": null }]), "undeliverable", None),
            (json!([{ "code": "OAuthException" }]), "undeliverable", None),
            (json!([{}]), "undeliverable", None),
            (json!([]), "undeliverable", None),
            (json!([null]), "undeliverable", None),
            (json!([null, {}, { "code": 131_026 }]), "recipient_unreachable", Some("131026")),
            (json!(null), "undeliverable", None),
            (json!("131026"), "undeliverable", None),
            (json!(131_026), "undeliverable", None),
        ] {
            let receipt = one(|status| {
                status["status"] = json!("failed");
                status["errors"] = errors.clone();
            });
            let ReportedStatus::Failed(reason) = receipt.reported else { panic!("{errors}") };
            assert_eq!(
                (reason.code.as_str(), reason.provider_code.as_deref()),
                (code, provider_code),
                "{errors}"
            );
        }
    }

    #[test]
    fn a_status_may_be_of_one_part() {
        let name = |suffix: &str| json!(format!("{OURS}{suffix}.tag"));
        let parsed =
            of(json!([status(|status| status["biz_opaque_callback_data"] = name(".2.3"))]));
        assert_eq!(parsed.receipts[0].about.to_string(), OURS);
        assert_eq!(parsed.receipts[0].receipt.part, Part { number: 2, of: 3 });
        let odd = of(json!([status(|status| status["biz_opaque_callback_data"] = name(".3.2"))]));
        assert_eq!((odd.receipts.len(), odd.ignored), (0, 1));
        assert_eq!(one(|_| ()).part, Part::WHOLE);
    }

    #[test]
    fn a_reference_without_a_tag_is_read_and_proves_nothing() {
        for (suffix, tag) in
            [("", None), (".2.3", None), (".tag", Some("tag")), (".2.3.t", Some("t"))]
        {
            let data = json!(format!("{OURS}{suffix}"));
            let parsed = of(json!([status(|status| status["biz_opaque_callback_data"] = data)]));
            assert_eq!(parsed.receipts[0].tag.as_deref(), tag, "{suffix}");
        }
    }

    #[test]
    fn a_time_is_a_number_or_now_and_never_later() {
        let timed = |time: Value| one(|status| status["timestamp"] = time).at;
        for time in [
            json!(1_772_355_901),
            json!("1772355901"),
            json!(" 1772355901 "),
            json!(1_772_355_901.0),
            json!("1.772355901e9"),
        ] {
            assert_eq!(timed(time.clone()), at(1_772_355_901), "{time}");
        }
        for time in [json!(1_772_355_901.25), json!("1772355901.25")] {
            assert_eq!(timed(time).timestamp_millis(), 1_772_355_901_250);
        }

        let later = [json!(1_772_999_999), json!("1772355901000"), json!("99999999999999999")];
        let unreadable = [json!("soon"), json!("NaN"), json!(null), json!([1]), json!(1e300)];
        for time in later.into_iter().chain(unreadable) {
            assert_eq!(timed(time.clone()), NOW, "{time}");
        }
    }

    #[test]
    fn what_is_none_of_ours_is_counted_and_left_alone() {
        type Change = fn(&mut Value);
        let foreign: [Change; 4] = [
            |status| status["status"] = json!("played"),
            |status| status["biz_opaque_callback_data"] = json!("campaign.7"),
            |status| status["biz_opaque_callback_data"] = json!(null),
            |status| {
                drop(status.as_object_mut().expect("an object").remove("biz_opaque_callback_data"))
            },
        ];
        let mut statuses: Vec<Value> = foreign.into_iter().map(status).collect();
        statuses.push(status(|status| status["pricing"] = json!({ "billable": true })));
        let parsed = of(json!(statuses));

        assert_eq!(
            (parsed.receipts.len(), parsed.ignored, parsed.unreadable),
            (1, 4, 0),
            "{parsed:?}"
        );
    }
}
