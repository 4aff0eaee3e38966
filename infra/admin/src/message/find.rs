//! Finds a message by whatever is known of it: its address, a line of the log, a dead letter, or
//! one name. A full address is one read; everything else reads the whole table.

use serde::Deserialize;
use serde_json::Value;

use crate::command_line::ShowMessage;
use crate::failure::Failure;
use crate::report::Progress;
use crate::target::Target;
use domain::{BusinessId, ConversationId, MessageId, MessageNumber, Seq};
use platform::table::record::CustomerMessage;
use platform::table::{MessageName, MessageSearch, StoredMessage};

/// Returns the messages that the arguments describe: several only if they came from one call.
pub(super) async fn find(
    target: &Target,
    args: &ShowMessage,
    progress: &Progress,
) -> Result<Vec<StoredMessage>, Failure> {
    let search = parse(args)?;
    if let Some(business_id) = search.business_id {
        target.plan_of(business_id).await?;
    }

    if let (Some(business_id), Some(conversation_id), Some(seq)) =
        (search.business_id, search.conversation_id, seq(&search.name))
    {
        return read_message(target, business_id, conversation_id, seq, &search.name)
            .await
            .map(|found| vec![found]);
    }

    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = target.table.operator().find_messages(&search, cursor).await?;
        found.extend(page.records);
        progress.advance(page.items_read, "items read");

        cursor = page.end;
        if cursor.is_none() || found.iter().any(|found| is_unique(found, &search.name)) {
            return Ok(found);
        }
    }
}

/// Returns the customer's message that the arguments describe, with its conversation; `None` if
/// they describe no such id. It has no index and no line of a log leads to many: its address has to
/// be whole.
pub(super) async fn find_customer_message(
    target: &Target,
    args: &ShowMessage,
) -> Result<Option<(BusinessId, ConversationId, CustomerMessage)>, Failure> {
    let search = parse(args)?;
    let id = match &search.name {
        MessageName::Id(id) => id.parse::<MessageId>().ok(),
        MessageName::Seq(_) => None,
    };
    let is_customers = |id: &MessageId| matches!(id.number(), Some(MessageNumber::Customer(_)));
    let Some(id) = id.filter(is_customers) else { return Ok(None) };

    let (Some(business_id), Some(conversation_id)) = (search.business_id, search.conversation_id)
    else {
        return Err(Failure::new(
            "this is the id of a message that a customer wrote: it is found by --business and \
             CONVERSATION MESSAGE",
        ));
    };
    target.plan_of(business_id).await?;
    target.conversation_of(business_id, conversation_id).await?;
    let message = target.table.customer_message(business_id, conversation_id, id).await?;
    let message = message.ok_or_else(|| Failure::new("the conversation has no such message"))?;
    Ok(Some((business_id, conversation_id, message)))
}

async fn read_message(
    target: &Target,
    business_id: BusinessId,
    conversation_id: ConversationId,
    seq: Seq,
    name: &MessageName,
) -> Result<StoredMessage, Failure> {
    target.conversation_of(business_id, conversation_id).await?;
    let before = Seq(seq.0.saturating_sub(1));
    let page = target.table.messages_after(business_id, conversation_id, before, 1).await?;

    let is_it = |id: &str, message_id: MessageId| id == message_id.to_string();
    let message = page.messages.into_iter().find(|message| {
        message.seq == seq
            && match name {
                MessageName::Seq(_) => true,
                MessageName::Id(id) => is_it(id, message.id),
            }
    });
    let message = message.ok_or_else(|| Failure::new("the conversation has no such message"))?;
    Ok(StoredMessage { business_id, conversation_id, message })
}

/// Returns a message's place, which its own id has in it.
fn seq(name: &MessageName) -> Option<Seq> {
    match name {
        MessageName::Seq(seq) => Some(*seq),
        MessageName::Id(id) => id.parse::<MessageId>().ok()?.seq(),
    }
}

/// Returns true if no other message can have the name: a call may have made several, an id is one
/// message's.
fn is_unique(found: &StoredMessage, name: &MessageName) -> bool {
    match name {
        MessageName::Seq(_) => true,
        MessageName::Id(id) => found.message.correlation_id.as_ref() != Some(id),
    }
}

/// The members of log lines and of dead letters that name a message. In a dead letter `message` is
/// its id, in a line of the log a sentence.
#[derive(Deserialize)]
struct Line {
    business: Option<BusinessId>,
    conversation: Option<ConversationId>,
    message_id: Option<MessageId>,
    message: Option<Value>,
    seq: Option<Seq>,
    correlation_id: Option<String>,
}

/// Parses what names a message.
fn parse(args: &ShowMessage) -> Result<MessageSearch, Failure> {
    let malformed = || {
        Failure::new(
            "CONVERSATION MESSAGE: a conversation's id and a message's id or seq; a path such as \
             /api/v1/conversations/{conversation}/messages/{message}; a line of the log or a dead \
             letter, as JSON; or one id of a message, of its call or of its provider",
        )
    };

    let business_id = args.business_id;
    let in_conversation = |conversation_id: &str, message: &str| {
        let conversation_id = Some(conversation_id.parse().map_err(|_| malformed())?);
        let name = message
            .parse()
            .map(|seq| MessageName::Seq(Seq(seq)))
            .or_else(|_| message.parse().map(|id: MessageId| MessageName::Id(id.to_string())))
            .map_err(|_| malformed())?;
        Ok(MessageSearch { business_id, conversation_id, name })
    };

    match args.address.as_slice() {
        [conversation_id, message] => in_conversation(conversation_id, message),
        // In front of a line, `aws logs tail` prints its time and the stream.
        [line] if line.contains('{') => {
            let (_, json) = line.split_at(line.find('{').ok_or_else(malformed)?);
            parse_line(json, business_id)
        }
        [path] if path.contains("/messages/") => {
            let path = path.trim_end_matches('/');
            let (before, message_id) = path.split_once("/messages/").ok_or_else(malformed)?;
            let (_, conversation_id) =
                before.rsplit_once("/conversations/").ok_or_else(malformed)?;
            in_conversation(conversation_id, message_id)
        }
        [name] => {
            // SES's id of a mail is also in its Message-ID, as `<id@email.amazonses.com>`.
            let name = name.trim().trim_start_matches('<');
            let id = name.split('@').next().unwrap_or_default();
            let id = id.parse::<MessageId>().map_or_else(|_| id.to_owned(), |id| id.to_string());
            if id.is_empty() {
                return Err(malformed());
            }
            Ok(MessageSearch { business_id, conversation_id: None, name: MessageName::Id(id) })
        }
        _ => Err(malformed()),
    }
}

fn parse_line(json: &str, business_id: Option<BusinessId>) -> Result<MessageSearch, Failure> {
    let line: Line = serde_json::from_str(json).map_err(|error| {
        Failure::new(format!("this JSON is no line of the log and no dead letter: {error}"))
    })?;

    let letters_id = line.message.as_ref().and_then(|message| message.as_str()?.parse().ok());
    let id = line.message_id.or(letters_id).map(|id: MessageId| MessageName::Id(id.to_string()));
    let name =
        id.or(line.seq.map(MessageName::Seq))
            .or(line.correlation_id.map(MessageName::Id))
            .ok_or_else(|| Failure::new("this JSON names no message, and no call that made one"))?;

    Ok(MessageSearch {
        business_id: business_id.or(line.business),
        conversation_id: line.conversation,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSINESS: &str = "0b9c8c4e-5a0f-4c0e-9a52-5f8f8d0b6a0e";
    const CONVERSATION: &str = "5d1f6f0e-0000-4000-8000-000000000001";
    const MESSAGE: &str = "01a2237e-bd2d-7000-8000-05f7dc49e83b";

    fn parsed(address: &[&str]) -> Result<MessageSearch, String> {
        let address = address.iter().map(|text| (*text).to_owned()).collect();
        parse(&ShowMessage { business_id: None, address, show_content: false })
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_message_is_named_by_address_line_letter_or_one_id() {
        let id = MessageName::Id(MESSAGE.to_owned());
        let at = |business: bool, conversation: bool, name: MessageName| MessageSearch {
            business_id: business.then(|| BUSINESS.parse().expect("an id")),
            conversation_id: conversation.then(|| CONVERSATION.parse().expect("an id")),
            name,
        };
        let line = format!(
            r#"{{"message":"put back","business":"{BUSINESS}","conversation":"{CONVERSATION}","message_id":"{MESSAGE}","seq":1}}"#
        );
        let letter = format!(
            r#"{{"v":1,"business":"{BUSINESS}","conversation":"{CONVERSATION}","message":"{MESSAGE}","channel":"email"}}"#
        );
        let tailed = format!("2026-11-29T02:22:42 {line}");
        let streamed = format!("2026-11-29T02:22:42.123000+00:00 2026/11/29/[$LATEST]0a1b {line}");
        let path = format!("https://a/api/v1/conversations/{CONVERSATION}/messages/{MESSAGE}/");
        let call = r#"{"message":"refused","correlation_id":"Yb-w=","level":"INFO"}"#;
        let name = |text: &str| MessageName::Id(text.to_owned());

        for (address, search) in [
            (vec![CONVERSATION, MESSAGE], at(false, true, id.clone())),
            (vec![CONVERSATION, "7"], at(false, true, MessageName::Seq(Seq(7)))),
            (vec![path.as_str()], at(false, true, id.clone())),
            (vec![line.as_str()], at(true, true, id.clone())),
            (vec![tailed.as_str()], at(true, true, id.clone())),
            (vec![streamed.as_str()], at(true, true, id.clone())),
            (vec![letter.as_str()], at(true, true, id.clone())),
            (vec![call], at(false, false, name("Yb-w="))),
            (vec![MESSAGE.to_uppercase().as_str()], at(false, false, id.clone())),
            (vec!["<0107-1@email.amazonses.com>"], at(false, false, name("0107-1"))),
            (vec!["wamid.HBgL=="], at(false, false, name("wamid.HBgL=="))),
        ] {
            assert_eq!(parsed(&address), Ok(search), "{address:?}");
        }

        for address in
            [vec!["x", MESSAGE], vec![CONVERSATION, "x"], vec![""], vec!["{}"], vec!["{no"]]
        {
            assert!(parsed(&address).is_err(), "{address:?}");
        }
    }
}
