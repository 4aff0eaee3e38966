//! What can be printed: `{:?}` of a type that derives `Debug` shows all of its members, in the log
//! of a panic, of a library, or of a line that is added one day. So a type of the functions that
//! derives it holds no bare text or bytes, unless it is listed here.
//!
//! Texts about people are `PrivateText` or have a `Debug` that is written by hand, secrets are
//! `secrecy`'s: both show nothing, so a type that holds them may derive `Debug`.

use std::collections::BTreeSet;

use crate::{Violations, files, read};

/// Types that may hold what people write, how they are called, or what signs and opens. `dyn` is
/// any type, and so any of these.
const BARE: [&str; 16] = [
    "AttributeValue",
    "Blob",
    "Body",
    "Bytes",
    "EventBridgeEvent",
    "HeaderMap",
    "HttpResponse",
    "Map",
    "RawValue",
    "Request",
    "Response",
    "SdkError",
    "String",
    "Value",
    "dyn",
    "str",
];

/// The members that may be bare, as `Type.line`.
const HARMLESS: [&str; 65] = [
    // Settings: addresses and names of what the stack and its operators made.
    "ApiAddress.hosts: Vec<String>",
    "ApiAddress.pub origin: String",
    "ApiDomains.current: Option<String>",
    "ApiDomains.former: Vec<String>",
    "ApiDomains.region: String",
    "ApiKeyTerms.pub name: Option<String>",
    "BusinessName.name: String",
    "BusinessPart.Name(BusinessId, String)",
    "ChannelDoorbell.url: String",
    "ChannelSettings.configuration_set: Option<String>",
    "ChannelSettings.phone_number_id: String",
    "ChannelSettings.secret: String",
    "ChatSocket.api_url: String",
    "ClaimedReceipt.pub sender: String",
    "ClaimedReceipt.pub tag: Option<String>",
    "CloudApi.url: String",
    "ConversationChannel.wire_name: String",
    "Credential.pub name: Option<String>",
    "Customer.pub phone_number_id: String",
    "CustomerChange.pub phone_number_id: String",
    "DeadLetters.url: String",
    "Doorbells.urls: BTreeMap<Channel, String>",
    "Files.bucket: String",
    "HelloTimers.url: String",
    "PhoneNumber.id: &'a str",
    "PhoneNumber.secret: &'a str",
    "Plan.pub name: String",
    "ReceiptKeys.id: String",
    "ReceiptsEmail.configuration_set: String",
    "DeliverWebhook.origin: String",
    "EventBells.url: String",
    "EventDelivery.pub outbox_bucket: Option<String>",
    "EndpointAttempt.pub fault: Option<String>",
    "ReceiptsWhatsapp.secret: String",
    "Route.pub sender: &'a str",
    "Ses.api_url: String",
    "Ses.message_id_domain: String",
    "Ses.reply_domain: String",
    "Table.name: String",
    "Template.pub language: String",
    "Template.pub name: String",
    "TokenKeys.id: String",
    "Widgets.api_url: String",
    "WorkerQueue.dead_letters: String",
    "WorkerQueue.url: String",
    // Ids that AWS, Meta or we made, and hashes.
    "BarOutcome.ended: Vec<String>",
    "Connection.pub connection_id: String",
    "Connection.pub kid: String",
    "Conversation.pub lease_owner: Option<String>",
    "DeadLetter.handle: String",
    "FoundApiKey.pub hash: String",
    "HeldConversation.owner: String",
    "HelloTimer.pub connection_id: String",
    "Message.pub correlation_id: Option<String>",
    "MessageName.Id(String)",
    "RecordedAnswer.pub request_hash: String",
    "SweepRound.pub left: BTreeMap<String, Option<Cursor>>",
    "TabAdmission.displaced: Option<String>",
    "Tabs.open: BTreeMap<String, Tab>",
    "TabsAdmission.pub displaced: Option<String>",
    "VisitorToken.pub kid: String",
    // Our own words, and codes that have the form of one.
    "MediaType.(String)",
    "Reason.pub code: String",
    "Reason.pub detail: String",
    "Reason.pub provider_code: Option<String>",
];

#[test]
fn what_derives_debug_holds_no_bare_text() {
    let mut found = BTreeSet::new();
    let mut violations = Violations::default();
    let sources = files("functions").into_iter().filter(|path| {
        let is_test = path.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
        path.extension().is_some_and(|ending| ending == "rs") && !is_test
    });

    for path in sources {
        for member in bare_members(&read(&path)) {
            violations.unless(HARMLESS.contains(&member.as_str()), || {
                format!(
                    "{}: `{member}` can be printed: write Debug by hand, make it a PrivateText or \
                     a secret, or list it in tests/conventions/printing.rs",
                    path.display()
                )
            });
            found.insert(member);
        }
    }

    for member in HARMLESS.iter().filter(|member| !found.contains(**member)) {
        violations.add(format!("`{member}` is listed in printing.rs and is not in the code"));
    }
    violations.report();
}

/// Returns the members of bare types, in types that derive `Debug` and are no test's. Relies on
/// rustfmt: a type ends with the first line that closes at its own indentation.
fn bare_members(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut members = Vec::new();
    let mut derives = false;
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let indentation = line.len() - line.trim_start().len();
        let text = line.trim();
        if let Some(first) = text.strip_prefix("#[derive(") {
            let mut derived = first.to_owned();
            while !derived.contains(")]") {
                derived += lines.next().unwrap_or(")]");
            }
            derives = derived.contains("Debug");
            continue;
        }
        let words: Vec<&str> = text.split([' ', '<', '(', '{', ';']).collect();
        let Some(place) = words.iter().position(|word| ["struct", "enum"].contains(word)) else {
            derives &= text.starts_with(['#', '/', ')']) || text.is_empty();
            continue;
        };
        if !std::mem::take(&mut derives) || place > 2 {
            continue;
        }

        let name = words[place + 1];
        if let Some((_, tuple)) = text.split_once(&format!("{name}(")) {
            let member = format!("({}", tuple.trim_end_matches(';'));
            members.extend(is_bare(&member).then(|| format!("{name}.{member}")));
        }
        if text.ends_with('{') {
            let is_inside = |line: &&str| {
                line.trim().is_empty() || line.len() - line.trim_start().len() > indentation
            };
            for inside in lines.by_ref().take_while(is_inside) {
                let member = inside.trim().trim_end_matches(',');
                let is_code = !member.starts_with(['#', '/']);
                members.extend((is_code && is_bare(member)).then(|| format!("{name}.{member}")));
            }
        }
    }
    members
}

/// True for a member in whose type one of [`BARE`] is named, or several bytes. `&'static str` is a
/// constant, and a cache shows nothing.
fn is_bare(member: &str) -> bool {
    let member = member.replace("&'static str", "");
    let of = member.split_once(": ").map_or(member.as_str(), |(_, of)| of);
    if of.starts_with("TtlCache<") {
        return false;
    }
    let mut words = of.split(|one: char| !one.is_alphanumeric() && one != '_');
    of.contains("Vec<u8>") || of.contains("[u8") || words.any(|word| BARE.contains(&word))
}

#[test]
fn members_are_found_wherever_they_stand() {
    let source = "
#[derive(Debug, Clone)]
#[serde(transparent)]
pub struct Text(String);

#[derive(Clone)]
pub struct Unprinted {
    text: String,
}

/// One of two.
#[derive(
    Debug,
    Clone,
)]
pub(crate) enum Either {
    /// A String.
    First { word: &'static str, text: Option<String> },
    Second(Vec<u8>),
    Third(PrivateText, u8),
}

#[derive(Debug)]
struct Borrowed<'a> {
    #[serde(rename = \"str\")]
    text: &'a str,
    other: Box<dyn Error>,
}
";
    assert_eq!(
        bare_members(source),
        [
            "Text.(String)",
            "Either.First { word: &'static str, text: Option<String> }",
            "Either.Second(Vec<u8>)",
            "Borrowed.text: &'a str",
            "Borrowed.other: Box<dyn Error>",
        ]
    );
}
