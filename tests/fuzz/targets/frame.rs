//! A frame of a chat widget.

#![no_main]

use chat_socket::action::WidgetAction;
use domain::widget::{MAX_CLIENT_ID_CHARACTERS, MAX_MESSAGE_CHARACTERS, VisitorMessage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(action) = chat_socket::action::parse(text) else { return };
    assert!(!format!("{action:?}").contains("eyJ"), "a token is never printed");

    let WidgetAction::Message { client_id, content } = action else { return };
    match VisitorMessage::parse(client_id, content) {
        Ok(message) => {
            assert!((1..=MAX_CLIENT_ID_CHARACTERS).contains(&message.client_id.len()));
            assert!((1..=MAX_MESSAGE_CHARACTERS).contains(&message.content.characters()));
            assert_eq!(format!("{message:?}"), "VisitorMessage(…)", "a text is never printed");
        }
        Err(refusal) => assert!(refusal.field().is_some(), "the member at fault is named"),
    }
});
