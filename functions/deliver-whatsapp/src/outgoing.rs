//! One message as the Cloud API takes it. Fields are the documented ones
//! ([messages](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages)).

use serde::Serialize;

use domain::channel::WhatsappMedia;
use domain::channel::whatsapp::CustomerId;
use platform::table::record::Template;

/// A message to one person.
#[derive(Serialize)]
pub struct Outgoing<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    #[serde(flatten)]
    recipient: Recipient<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    body: Body<'a>,
    /// Comes back with every status of the message; at most 512 characters.
    biz_opaque_callback_data: String,
}

/// The person a message is for. A user id in `to` would be taken for a number, and the message
/// would be [lost without an error](https://github.com/chatwoot/chatwoot/pull/15150).
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Recipient<'a> {
    /// A phone number.
    To(&'a str),
    /// A [user
    /// id](https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids/).
    Recipient(&'a str),
}

/// The body, under the name of its type.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Body<'a> {
    /// A text.
    Text(Text<'a>),
    /// A picture.
    Image(Media<'a>),
    /// A film.
    Video(Media<'a>),
    /// A recording.
    Audio(Media<'a>),
    /// Any other file.
    Document(Media<'a>),
    /// A template with its parameter.
    Template(Filled<'a>),
}

/// A text.
#[derive(Serialize)]
pub struct Text<'a> {
    preview_url: bool,
    body: &'a str,
}

/// A file that was uploaded before.
#[derive(Serialize)]
pub struct Media<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<&'a str>,
    /// Documents are shown by their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
}

/// A template with its parameter.
#[derive(Serialize)]
pub struct Filled<'a> {
    name: &'a str,
    language: Language<'a>,
    components: [Component<'a>; 1],
}

#[derive(Serialize)]
struct Language<'a> {
    code: &'a str,
}

#[derive(Serialize)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    parameters: [Parameter<'a>; 1],
}

#[derive(Serialize)]
struct Parameter<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

impl<'a> Outgoing<'a> {
    /// Makes a message to one person, with the data that comes back with its statuses.
    #[must_use]
    pub fn new(
        recipient: &'a str,
        body: Body<'a>,
        biz_opaque_callback_data: String,
    ) -> Outgoing<'a> {
        let is_user_id = matches!(CustomerId::parse(recipient), Some(CustomerId::UserId(_)));
        Outgoing {
            messaging_product: "whatsapp",
            recipient_type: "individual",
            recipient: match is_user_id {
                true => Recipient::Recipient(recipient.trim()),
                false => Recipient::To(recipient),
            },
            kind: body.kind(),
            body,
            biz_opaque_callback_data,
        }
    }
}

impl<'a> Body<'a> {
    /// Makes a text, with a preview of the page that it links to.
    #[must_use]
    pub fn text(body: &'a str) -> Body<'a> {
        Body::Text(Text {
            preview_url: body.contains("https://") || body.contains("http://"),
            body,
        })
    }

    /// Makes a file that WhatsApp knows by `id`.
    #[must_use]
    pub fn file(
        media: WhatsappMedia,
        id: String,
        filename: &'a str,
        caption: Option<&'a str>,
    ) -> Body<'a> {
        let unnamed = Media { id, caption, filename: None };
        match media {
            WhatsappMedia::Image => Body::Image(unnamed),
            WhatsappMedia::Video => Body::Video(unnamed),
            WhatsappMedia::Audio => Body::Audio(Media { caption: None, ..unnamed }),
            WhatsappMedia::Document => {
                Body::Document(Media { filename: Some(filename), ..unnamed })
            }
        }
    }

    /// Makes a template, filled with `text`.
    #[must_use]
    pub fn template(template: &'a Template, text: &'a str) -> Body<'a> {
        let components =
            [Component { kind: "body", parameters: [Parameter { kind: "text", text }] }];
        Body::Template(Filled {
            name: &template.name,
            language: Language { code: &template.language },
            components,
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Body::Text(_) => "text",
            Body::Image(_) => "image",
            Body::Video(_) => "video",
            Body::Audio(_) => "audio",
            Body::Document(_) => "document",
            Body::Template(_) => "template",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(body: Body<'_>) -> Value {
        serde_json::to_value(Outgoing::new("16505551234", body, "b.c.m".into()))
            .expect("plain data")
    }

    #[test]
    fn messages_have_the_documented_shapes() {
        let template = Template { name: "agent_answers".into(), language: "en_US".into() };
        let file = |media| {
            Body::file(media, "1037543291543636".into(), "invoice 7.pdf", Some("Here it is."))
        };

        let captioned = json!({ "id": "1037543291543636", "caption": "Here it is." });
        let parameters = json!([{ "type": "text", "text": "It is on its way." }]);
        for (body, kind, expected) in [
            (Body::text("Hello"), "text", json!({ "preview_url": false, "body": "Hello" })),
            (
                Body::text("https://a.example"),
                "text",
                json!({ "preview_url": true, "body": "https://a.example" }),
            ),
            (file(WhatsappMedia::Image), "image", captioned.clone()),
            (file(WhatsappMedia::Video), "video", captioned),
            (file(WhatsappMedia::Audio), "audio", json!({ "id": "1037543291543636" })),
            (
                file(WhatsappMedia::Document),
                "document",
                json!({ "id": "1037543291543636", "caption": "Here it is.", "filename": "invoice 7.pdf" }),
            ),
            (
                Body::template(&template, "It is on its way."),
                "template",
                json!({ "name": "agent_answers", "language": { "code": "en_US" },
                    "components": [{ "type": "body", "parameters": parameters }] }),
            ),
        ] {
            let whole = json!({ "messaging_product": "whatsapp", "recipient_type": "individual", "to": "16505551234",
                "type": kind, kind: expected, "biz_opaque_callback_data": "b.c.m" });
            assert_eq!(written(body), whole);
        }
    }

    #[test]
    fn a_number_goes_into_to_and_a_user_id_into_recipient() {
        let addressed = |recipient| {
            let message = Outgoing::new(recipient, Body::text("Hello"), "b.c.m".into());
            let message = serde_json::to_value(message).expect("plain data");
            (message.get("to").cloned(), message.get("recipient").cloned())
        };

        for number in ["+1 650 555 1234", "16505551234"] {
            assert_eq!(addressed(number), (Some(json!(number)), None));
        }
        for user_id in ["US.13491208655302741918", "US.ENT.11815799212886844830"] {
            assert_eq!(addressed(user_id), (None, Some(json!(user_id))));
        }
    }
}
