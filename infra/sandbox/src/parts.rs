//! Joins messages that their provider takes in several parts. A part that comes again is a copy,
//! and begins a message of its own.

use crate::accepted::CustomerMessage;

/// Joins the parts of each message where its first part came.
pub(super) fn join_parts(
    accepted: impl IntoIterator<Item = CustomerMessage>,
) -> Vec<CustomerMessage> {
    let mut whole: Vec<CustomerMessage> = Vec::new();
    for one in accepted {
        let lacks_it = |message: &&mut CustomerMessage| match (&message.parts, &one.parts) {
            (Some(has), Some(part)) => {
                message.message_id == one.message_id
                    && part.got.iter().all(|number| !has.got.contains(number))
            }
            _ => false,
        };
        match whole.iter_mut().find(lacks_it) {
            Some(message) => add_part(message, one),
            None => whole.push(one),
        }
    }

    whole
}

fn add_part(message: &mut CustomerMessage, part: CustomerMessage) {
    if let (Some(has), Some(parts)) = (&mut message.parts, part.parts) {
        has.got.extend(parts.got);
    }
    message.attachments.extend(part.attachments);
    if message.content.is_empty() {
        message.content = part.content;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::accepted::ReceivedParts;

    fn part(message: u128, number: u8, of: u8) -> CustomerMessage {
        CustomerMessage {
            message_id: Some(Uuid::from_u128(message)),
            conversation_id: None,
            to: "+31612345678".into(),
            content: if number == 1 { "see the files".into() } else { String::new() },
            attachments: vec![number.into()],
            subject: None,
            headers: Vec::new(),
            template: None,
            parts: (of > 1).then(|| ReceivedParts { of, got: vec![number] }),
            at: Default::default(),
        }
    }

    fn got(accepted: Vec<CustomerMessage>) -> Vec<(u128, Vec<u8>)> {
        let shown = |one: CustomerMessage| {
            let got = one.parts.map(|parts| parts.got).unwrap_or_default();
            assert_eq!(one.attachments.len(), got.len().max(1));
            (one.message_id.unwrap().as_u128(), got)
        };
        join_parts(accepted).into_iter().map(shown).collect()
    }

    #[test]
    fn parts_are_one_message_and_a_part_that_comes_again_is_a_copy() {
        assert_eq!(
            got(vec![part(1, 1, 2), part(1, 2, 2), part(2, 1, 1)]),
            [(1, vec![1, 2]), (2, vec![])]
        );
        let again = vec![part(1, 1, 3), part(1, 2, 3), part(1, 2, 3), part(1, 3, 3)];
        assert_eq!(got(again), [(1, vec![1, 2, 3]), (1, vec![2])]);
        assert_eq!(got(vec![part(1, 1, 1), part(1, 1, 1)]), [(1, vec![]), (1, vec![])]);
        let first = join_parts([part(1, 1, 2), part(1, 2, 2)]);
        assert_eq!(first[0].content, "see the files");
    }
}
