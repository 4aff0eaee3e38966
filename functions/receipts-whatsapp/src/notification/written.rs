//! A customer's own message: the text of a message, or the kind and the id of a file with its
//! caption ([messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages)).
//! Places, contacts, orders and reactions are neither: they open the window and are not kept.

use super::item::CustomerText;
use super::members::{Members, id, text};
use domain::message::MediaKind;
use domain::{Media, text as rules};

/// The most characters of a text that are kept, as many as WhatsApp lets a person write. At four
/// bytes each an item has room for them.
const MAX_CHARACTERS: usize = 65_536;

/// Reads what a customer wrote; `None` if it is neither text nor file, or has no id to know it by.
pub(super) fn customer_text(message: &Members<'_>) -> Option<CustomerText> {
    let provider_id = id(message, "id")?.into();
    let kind = text(message, "type")?;
    let part = message.get(kind.as_str()).and_then(|part| part.members()).unwrap_or_default();

    let media_kind = serde_json::from_value::<MediaKind>(kind.as_str().into()).ok();
    let media =
        media_kind.and_then(|media| Some(Media { kind: media, id: id(&part, "id")?.into() }));
    let content = match kind.as_str() {
        "text" => shown(&part, "body"),
        // The words of a template's button, and of a choice.
        "button" => shown(&part, "text"),
        "interactive" => ["button_reply", "list_reply"]
            .into_iter()
            .find_map(|reply| shown(&part.get(reply)?.members()?, "title")),
        _ => media.as_ref().and_then(|_| shown(&part, "caption")),
    };

    if content.is_none() && media.is_none() {
        return None;
    }
    Some(CustomerText { provider_id, content: content.unwrap_or_default().into(), media })
}

/// Returns a text that shows something, without control characters.
fn shown(members: &Members<'_>, name: &str) -> Option<String> {
    let text = members.get(name)?.text()?;
    let is_allowed = |one: &char| !one.is_control() || matches!(one, '\t' | '\n' | '\r');
    let text: String = text.chars().filter(is_allowed).take(MAX_CHARACTERS).collect();
    Some(text).filter(|text| !rules::is_blank(text))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::messages;
    use super::*;

    /// Id, text and file of a message.
    type Written = (String, String, Option<(MediaKind, String)>);

    fn written(mut message: Value) -> Vec<Written> {
        message["from"] = json!("16505551234");
        let parsed = messages(json!({ "messages": [message] }));
        assert_eq!((parsed.customers.len(), parsed.unreadable), (1, 0), "the window opens");
        let texts = parsed.texts.into_values().flatten();
        texts
            .map(|text| {
                let media = text.media.map(|media| (media.kind, media.id.into_string()));
                (text.provider_id.into_string(), text.content.into_string(), media)
            })
            .collect()
    }

    #[test]
    fn texts_choices_and_files_are_read_and_nothing_else() {
        let text = |text: &str| vec![("wamid.1".to_owned(), text.to_owned(), None)];
        let file = |kind, caption: &str| {
            let media = Some((kind, "1479537139650973".to_owned()));
            vec![("wamid.1".to_owned(), caption.to_owned(), media)]
        };
        let media = json!({ "id": "1479537139650973", "mime_type": "image/jpeg", "sha256": "…" });
        let mut captioned = media.clone();
        captioned["caption"] = json!("Look");

        for (message, expected) in [
            (json!({ "type": "text", "text": { "body": "Hi\nthere" } }), text("Hi\nthere")),
            (json!({ "type": "text", "text": { "body": "a\u{8}b\u{0}" } }), text("ab")),
            (json!({ "type": "button", "button": { "text": "Yes", "payload": "1" } }), text("Yes")),
            (
                json!({ "type": "interactive", "interactive": { "type": "list_reply",
                    "list_reply": { "id": "1", "title": "Tuesday" } } }),
                text("Tuesday"),
            ),
            (json!({ "type": "image", "image": captioned }), file(MediaKind::Image, "Look")),
            (json!({ "type": "video", "video": media }), file(MediaKind::Video, "")),
            (json!({ "type": "audio", "audio": media }), file(MediaKind::Audio, "")),
            (json!({ "type": "document", "document": media }), file(MediaKind::Document, "")),
            (json!({ "type": "sticker", "sticker": media }), file(MediaKind::Sticker, "")),
            (json!({ "type": "image", "image": { "caption": "no id" } }), vec![]),
            (json!({ "type": "text", "text": { "body": " \u{200b}" } }), vec![]),
            (json!({ "type": "text", "text": "Hi" }), vec![]),
            (json!({ "type": "location", "location": { "latitude": 1, "longitude": 2 } }), vec![]),
            (json!({ "type": "reaction", "reaction": { "emoji": "👍" } }), vec![]),
            (json!({ "type": "unsupported" }), vec![]),
            (json!({}), vec![]),
        ] {
            let mut message = message;
            message["id"] = json!("wamid.1");
            assert_eq!(written(message.clone()), expected, "{message}");
        }

        let without_id = json!({ "type": "text", "text": { "body": "Hi" } });
        assert_eq!(written(without_id), vec![]);
        let longest = "\u{1F600}".repeat(MAX_CHARACTERS + 1);
        let kept = written(json!({ "id": "1", "type": "text", "text": { "body": longest } }));
        assert_eq!(kept[0].1.chars().count(), MAX_CHARACTERS);
    }
}
