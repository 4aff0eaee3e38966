//! Reads messages as the Cloud API does, and refuses those that it would refuse.
//!
//! Shapes: <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages>. Fields
//! that the system does not send are refused like fields that do not exist.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::{Error, missing};
use super::media::{Kind, Media};
use super::number::{check_number_id, digits, is_user_id};
use super::webhook::MessageRecord;
use crate::accepted::ReceivedParts;
use crate::channel::Submission;

/// Longest text, in characters.
const TEXT_LIMIT: usize = 4096;
/// Longest caption, in characters.
const CAPTION_LIMIT: usize = 1024;
/// Longest body of a template with its parameters filled in, in characters.
const TEMPLATE_LIMIT: usize = 1024;
/// Longest `biz_opaque_callback_data`, in characters.
const CALLBACK_DATA_LIMIT: usize = 512;

/// Name of the one template that was approved here.
const TEMPLATE_NAME: &str = "agent_answers";
/// Its language.
const TEMPLATE_LANGUAGE: &str = "en_US";
/// Its text before its only parameter.
const TEMPLATE_TEXT: &str = "An answer to your question: ";

/// The message as the customer sees it.
#[derive(Debug, Default)]
struct CustomerView {
    content: String,
    attachments: Vec<Value>,
    template: Option<Value>,
}

/// Reads the message that a body asks to send, if the Cloud API would take it, and the record for
/// its receipts.
pub(super) fn read(
    phone_number_id: &str,
    body: &[u8],
    media: &Media,
) -> Result<(Submission, MessageRecord), Error> {
    check_number_id(phone_number_id)?;
    let body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| Error::new(100, format!("The body is no JSON object: {error}.")))?;

    check_value(&body, "messaging_product", "whatsapp", true)?;
    check_value(&body, "recipient_type", "individual", false)?;
    // The provider's default. It has other types, which nothing here sends.
    let kind = text_of(&body, "type")?.unwrap_or("text");
    let to = recipient(&body)?;

    let of_kind = |kind: Kind| file(&body, kind, phone_number_id, media);
    let shown = match kind {
        "text" => text(object_of(&body, "text")?)?,
        "image" => of_kind(Kind::Image)?,
        "video" => of_kind(Kind::Video)?,
        "audio" => of_kind(Kind::Audio)?,
        "document" => of_kind(Kind::Document)?,
        "template" => template(object_of(&body, "template")?)?,
        other => {
            return Err(Error::new(
                131051,
                format!("This sandbox sends no messages of type '{other}'."),
            ));
        }
    };

    let known = [
        "messaging_product",
        "recipient_type",
        "to",
        "recipient",
        "type",
        kind,
        "context",
        "biz_opaque_callback_data",
    ];
    check_names(&body, &known, "")?;
    let callback_data = text_of(&body, "biz_opaque_callback_data")?;
    check_length(
        "biz_opaque_callback_data",
        callback_data.unwrap_or_default(),
        CALLBACK_DATA_LIMIT,
    )?;

    let MessageReference { conversation_id, message_id, part } =
        reference_in(callback_data.unwrap_or_default());
    let record = MessageRecord {
        wamid: format!("wamid.{}", STANDARD.encode(rand::random::<[u8; 30]>())),
        phone_number_id: phone_number_id.into(),
        to: to.into(),
        callback_data: callback_data.map(str::to_owned),
    };

    let CustomerView { content, attachments, template } = shown;
    let to = to.into();
    let submission = Submission {
        message_id,
        conversation_id,
        to,
        content,
        attachments,
        template,
        part,
        ..Submission::default()
    };

    Ok((submission, record))
}

/// Reads the person a message is for: a phone number in `to`, which takes precedence, or a user id
/// in `recipient`
/// (<https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids/>).
fn recipient(body: &Map<String, Value>) -> Result<&str, Error> {
    let Some(to) = text_of(body, "to")? else {
        let user_id = text_of(body, "recipient")?.ok_or_else(|| missing("to"))?;
        let sentence = "Parameter 'recipient' is no business-scoped user ID.";
        return is_user_id(user_id).then_some(user_id).ok_or_else(|| Error::new(131009, sentence));
    };

    let is_number = (7..=15).contains(&digits(to).len())
        && to.bytes().all(|byte| b"+-() 0123456789".contains(&byte));
    let sentence = "Parameter 'to' is no phone number of 7 to 15 digits.";
    is_number.then_some(to).ok_or_else(|| Error::new(131009, sentence))
}

fn text(text: &Map<String, Value>) -> Result<CustomerView, Error> {
    check_names(text, &["body", "preview_url"], "text.")?;
    if text.get("preview_url").is_some_and(|preview| !preview.is_boolean()) {
        return Err(Error::new(131009, "Parameter 'text.preview_url' must be true or false."));
    }
    let content = text_of(text, "body")?
        .filter(|body| !body.is_empty())
        .ok_or_else(|| missing("text.body"))?;
    check_length("text.body", content, TEXT_LIMIT)?;
    Ok(CustomerView { content: content.into(), ..CustomerView::default() })
}

/// Reads a file that was uploaded for this number before.
fn file(
    body: &Map<String, Value>,
    kind: Kind,
    number: &str,
    media: &Media,
) -> Result<CustomerView, Error> {
    let name = kind.name();
    let file = object_of(body, name)?;
    let known: &[&str] = match kind {
        Kind::Image | Kind::Video => &["id", "link", "caption"],
        Kind::Audio => &["id", "link"],
        Kind::Document => &["id", "link", "caption", "filename"],
    };

    check_names(file, known, &format!("{name}."))?;

    if file.contains_key("link") {
        return Err(Error::new(
            131052,
            "This sandbox fetches nothing: upload it and send its 'id'.",
        ));
    }

    let id = text_of(file, "id")?.ok_or_else(|| missing(&format!("{name}.id")))?;
    let stored = media.find(number, id).ok_or_else(|| {
        let sentence = format!(
            "Param {name}['id'] is not a valid whatsapp business account media attachment ID"
        );
        Error::new(100, sentence)
    })?;

    if kind != Kind::Document && stored.kind != kind {
        let sentence = format!("A file of type '{}' is no {name}.", stored.content_type);
        return Err(Error::new(131053, sentence));
    }

    let caption = text_of(file, "caption")?;
    check_length(&format!("{name}.caption"), caption.unwrap_or_default(), CAPTION_LIMIT)?;
    let attachment = json!({
        "kind": name,
        // A document without a name is shown as just a document.
        "filename": text_of(file, "filename")?,
        "content_type": stored.content_type,
        "size": stored.size,
        "sha256": stored.sha256,
        "caption": caption,
    });

    Ok(CustomerView {
        content: caption.unwrap_or_default().into(),
        attachments: vec![attachment],
        template: None,
    })
}

/// Reads the approved template, and fills it in.
fn template(template: &Map<String, Value>) -> Result<CustomerView, Error> {
    check_names(template, &["name", "language", "components"], "template.")?;
    let name = text_of(template, "name")?.ok_or_else(|| missing("template.name"))?;
    let language = object_of(template, "language")?;
    check_names(language, &["code"], "template.language.")?;
    let code = text_of(language, "code")?.ok_or_else(|| missing("template.language.code"))?;

    if (name, code) != (TEMPLATE_NAME, TEMPLATE_LANGUAGE) {
        let sentence = format!("template name ({name}) does not exist in {code}");
        return Err(Error::new(132001, sentence));
    }

    let components: Vec<&Value> =
        template.get("components").and_then(Value::as_array).into_iter().flatten().collect();
    let parameters = match components[..] {
        [body] if body["type"] == "body" => {
            body["parameters"].as_array().map(Vec::as_slice).unwrap_or_default()
        }
        _ => &[],
    };

    let [parameter] = parameters else {
        let count = parameters.len();
        let sentence = format!(
            "number of localizable_params ({count}) does not match the expected number of params (1)"
        );
        return Err(Error::new(132000, sentence));
    };

    let content =
        parameter["text"].as_str().filter(|text| !text.is_empty() && parameter["type"] == "text");
    let content =
        content.ok_or_else(|| Error::new(132012, "The template's parameter is a text."))?;

    if content.contains(['\n', '\r', '\t']) || content.contains("     ") {
        let sentence =
            "Param text cannot have new-line/tab characters or more than 4 consecutive spaces";
        return Err(Error::new(100, sentence));
    }

    if TEMPLATE_TEXT.chars().count() + content.chars().count() > TEMPLATE_LIMIT {
        return Err(Error::new(132005, "The filled template is too long."));
    }

    let shown =
        json!({ "name": name, "language": code, "shown": format!("{TEMPLATE_TEXT}{content}") });
    Ok(CustomerView { content: content.into(), template: Some(shown), ..CustomerView::default() })
}

/// The system's message that a call is for, and the part of it.
struct MessageReference {
    conversation_id: Option<Uuid>,
    message_id: Option<Uuid>,
    part: Option<ReceivedParts>,
}

/// Reads `{business}.{conversation}.{message}`, which Meta itself never looks into, and behind it
/// `.{part}.{of}` and `.{tag}`, each of which may be missing.
fn reference_in(callback_data: &str) -> MessageReference {
    let words: Vec<_> = callback_data.split('.').collect();
    let id = |place: usize| words.get(place).and_then(|id| Uuid::parse_str(id).ok());
    let number = |place: usize| words.get(place).and_then(|number| number.parse::<u8>().ok());
    let part = number(3).zip(number(4)).map(|(part, of)| ReceivedParts { of, got: vec![part] });
    let is_tagged = words.last().is_some_and(|word| word.parse::<u8>().is_err());
    match (id(0), words.len(), is_tagged) {
        (Some(_business), 3, _) | (Some(_business), 5, false) | (Some(_business), 4 | 6, true) => {
            MessageReference { conversation_id: id(1), message_id: id(2), part }
        }
        _ => MessageReference { conversation_id: None, message_id: None, part: None },
    }
}

fn check_names(body: &Map<String, Value>, known: &[&str], inside: &str) -> Result<(), Error> {
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Error::new(100, format!("Unexpected parameter '{inside}{name}'."))),
        None => Ok(()),
    }
}

fn check_value(
    body: &Map<String, Value>,
    name: &str,
    value: &str,
    required: bool,
) -> Result<(), Error> {
    match text_of(body, name)? {
        Some(given) if given == value => Ok(()),
        Some(given) => {
            Err(Error::new(131009, format!("Parameter '{name}' must be '{value}', not '{given}'.")))
        }
        None if required => Err(missing(name)),
        None => Ok(()),
    }
}

fn object_of<'a>(
    body: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Map<String, Value>, Error> {
    let value = body.get(name).ok_or_else(|| missing(name))?;
    value
        .as_object()
        .ok_or_else(|| Error::new(131009, format!("Parameter '{name}' must be an object.")))
}

fn text_of<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Error> {
    let not_text = || Error::new(131009, format!("Parameter '{name}' must be a string."));
    body.get(name).map(|value| value.as_str().ok_or_else(not_text)).transpose()
}

fn check_length(name: &str, text: &str, limit: usize) -> Result<(), Error> {
    match text.chars().count() {
        long if long > limit => Err(Error::new(
            131009,
            format!("Parameter '{name}' must be at most {limit} characters long."),
        )),
        _ => Ok(()),
    }
}
