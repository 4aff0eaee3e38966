use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;

/// A conversation: the messages of agents and of the customer, each in the order in which they were
/// stored, with times that may be in any order.
#[derive(Debug, Clone, Default)]
struct Conversation {
    agents: Vec<MessageId>,
    customers: Vec<MessageId>,
}

impl Conversation {
    fn store(&mut self, is_agent: bool, millis: i64) {
        let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::milliseconds(millis);
        if is_agent {
            let seq = Seq(self.agents.len() as u64 + 1);
            self.agents.push(MessageId::new(at, seq, 7));
        } else {
            let number = CustomerNumber(self.customers.len() as u64 + 1);
            self.customers.push(MessageId::of_customer(at, number, 7));
        }
    }

    /// Reads a page as the table does, at most `limit` and one more of each range, and of those no
    /// more than `most`, as DynamoDB ends a page where it likes.
    fn page(&self, span: Span, limit: usize, most: usize) -> Merged {
        let read = |ids: &[MessageId], after: u64, up_to: u64| {
            let number = |id: &MessageId| match id.number().expect("it is ours") {
                MessageNumber::Agent(seq) => seq.0,
                MessageNumber::Customer(number) => number.0,
            };
            let is_in = |id: &&MessageId| (after + 1..=up_to).contains(&number(id));
            let mut ids: Vec<MessageId> = ids.iter().filter(is_in).copied().collect();
            if span.order == Order::NewestFirst {
                ids.reverse();
            }
            let has_more = ids.len() > most.min(limit + 1);
            ids.truncate(most.min(limit + 1));
            RangeStart { ids, has_more }
        };
        let agents = read(&self.agents, span.after.seq.0, span.up_to.seq.0);
        let customers = read(&self.customers, span.after.number.0, span.up_to.number.0);
        span.merge(&agents, &customers, limit)
    }

    fn all(&self) -> BTreeSet<MessageId> {
        self.agents.iter().chain(&self.customers).copied().collect()
    }
}

/// Passes a cursor on as a caller does.
fn passed(cursor: Cursor) -> Cursor {
    cursor.to_string().parse().expect("a cursor")
}

fn span(after: Cut, up_to: Cut, order: Order) -> Span {
    Span { after, up_to, order }
}

fn from(after: Cursor) -> Span {
    span(after.after(), Cut::END, Order::OldestFirst)
}

fn back_from(before: Cut) -> Span {
    span(Cut::default(), before, Order::NewestFirst)
}

const START: Cursor = Cursor { seq: 0, number: None };

fn is_strictly_in_order(ids: &[MessageId], place: impl Fn(MessageNumber) -> Option<u64>) -> bool {
    let own: Vec<u64> = ids.iter().filter_map(|id| place(id.number()?)).collect();
    own.windows(2).all(|pair| pair[0] < pair[1])
}

fn seq(place: MessageNumber) -> Option<u64> {
    match place {
        MessageNumber::Agent(seq) => Some(seq.0),
        MessageNumber::Customer(_) => None,
    }
}

fn number(place: MessageNumber) -> Option<u64> {
    match place {
        MessageNumber::Agent(_) => None,
        MessageNumber::Customer(number) => Some(number.0),
    }
}

/// A message that is stored, by whom and when; or a page that is read, of how many messages, some
/// of which do not fit into the answer.
#[derive(Debug, Clone)]
enum Step {
    Store(bool, i64),
    Read { limit: usize, most: usize, fits: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (any::<bool>(), 0i64..50).prop_map(|(is_agent, at)| Step::Store(is_agent, at)),
        1 => (1usize..9, 1usize..9, 1usize..9)
            .prop_map(|(limit, most, fits)| Step::Read { limit, most, fits }),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    /// A poller gets each message once, and agents' messages and the customer's each in their
    /// order, however many come meanwhile and whatever times they have.
    #[test]
    fn who_reads_on_from_next_gets_each_message_once(steps in steps()) {
        let mut conversation = Conversation::default();
        let mut seen = Vec::new();
        let mut next = START;
        let mut read = |conversation: &Conversation, limit, most, fits| {
            let page = conversation.page(from(next), limit, most);
            let taken = page.ids.len().min(fits);
            seen.extend_from_slice(&page.ids[..taken]);
            next = passed(page.next(taken));
            page.has_more || taken < page.ids.len()
        };

        for step in steps {
            match step {
                Step::Store(is_agent, millis) => conversation.store(is_agent, millis),
                Step::Read { limit, most, fits } => {
                    read(&conversation, limit, most, fits);
                }
            }
        }
        while read(&conversation, 5, 9, 9) {}

        prop_assert_eq!(seen.len(), conversation.all().len());
        prop_assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), conversation.all());
        prop_assert!(is_strictly_in_order(&seen, seq) && is_strictly_in_order(&seen, number));
    }

    /// From the newest page on, `next` leads through all that was and `previous` through all that
    /// comes: together each message once.
    #[test]
    fn next_and_previous_of_the_newest_page_share_all_messages_between_them(
        before in prop::collection::vec((any::<bool>(), 0i64..50), 0..40),
        since in prop::collection::vec((any::<bool>(), 0i64..50), 0..40),
        limit in 1usize..9,
        most in 1usize..9,
    ) {
        let mut conversation = Conversation::default();
        for (is_agent, millis) in before {
            conversation.store(is_agent, millis);
        }
        let newest = conversation.page(back_from(Cut::END), limit, most);
        let mut seen = newest.ids.clone();
        for (is_agent, millis) in since {
            conversation.store(is_agent, millis);
        }

        let mut page = newest.clone();
        while page.has_more {
            let before = passed(page.next(page.ids.len())).before();
            page = conversation.page(back_from(before), limit, most);
            seen.extend(&page.ids);
        }
        let mut after = passed(newest.previous());
        loop {
            let page = conversation.page(from(after), limit, most);
            seen.extend(&page.ids);
            after = passed(page.next(page.ids.len()));
            if !page.has_more {
                break;
            }
        }

        prop_assert_eq!(seen.len(), conversation.all().len());
        prop_assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), conversation.all());
    }

    /// Read backwards from where a page began, a reader gets what lies before it and nothing of it.
    #[test]
    fn previous_leads_to_what_lies_before_a_page(
        messages in prop::collection::vec((any::<bool>(), 0i64..50), 1..40),
        skipped in 0usize..20,
        limit in 1usize..9,
    ) {
        let mut conversation = Conversation::default();
        for (is_agent, millis) in messages {
            conversation.store(is_agent, millis);
        }
        let first = conversation.page(from(START), skipped.max(1), usize::MAX);
        let next = passed(first.next(first.ids.len()));
        let second = conversation.page(from(next), limit, usize::MAX);

        let back = back_from(passed(second.previous()).before());
        let page = conversation.page(back, usize::MAX - 1, usize::MAX);
        let read: BTreeSet<_> = page.ids.into_iter().collect();
        prop_assert_eq!(read, first.ids.into_iter().collect::<BTreeSet<_>>());
    }

    /// Where both are in the order of time, so is the list, in both directions.
    #[test]
    fn the_list_is_in_the_order_of_time(
        messages in prop::collection::vec((any::<bool>(), 0i64..3), 0..40),
        limit in 1usize..9,
    ) {
        let mut conversation = Conversation::default();
        let mut now = 0;
        for (is_agent, later) in messages {
            now += later;
            conversation.store(is_agent, now);
        }

        let oldest = conversation.page(from(START), usize::MAX - 1, usize::MAX).ids;
        prop_assert_eq!(&oldest, &conversation.all().into_iter().collect::<Vec<_>>());

        let mut newest: Vec<MessageId> = Vec::new();
        let mut up_to = Cut::END;
        loop {
            let page = conversation.page(back_from(up_to), limit, usize::MAX);
            newest.extend(&page.ids);
            up_to = passed(page.next(page.ids.len())).before();
            if !page.has_more {
                break;
            }
        }
        newest.reverse();
        prop_assert_eq!(newest, oldest);
    }

    #[test]
    fn a_cursor_is_read_as_it_is_written(seq in 0..=MAX_CURSOR, number in 0..=MAX_CURSOR) {
        for number in [None, Some(number)] {
            let cursor = Cursor { seq, number };
            prop_assert_eq!(passed(cursor), cursor);
        }
    }

    #[test]
    fn no_text_makes_a_cursor_that_is_not_one(text in ".{0,30}") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert!(cursor.seq <= MAX_CURSOR && cursor.number <= Some(MAX_CURSOR));
        }
    }
}

#[test]
fn an_empty_page_leads_on_in_both_directions() {
    let conversation = Conversation::default();
    let oldest = conversation.page(from(START), 9, 9);
    let newest = conversation.page(back_from(Cut::END), 9, 9);
    for (page, next, previous) in [(oldest, "0.0", "1.1"), (newest, "1.1", "0.0")] {
        let told = (page.next(0).to_string(), page.previous().to_string(), page.has_more);
        assert_eq!(told, (next.to_owned(), previous.to_owned(), false));
    }
}

#[test]
fn a_cursor_of_agents_messages_alone_leaves_out_none_of_the_customers() {
    let cursor: Cursor = "57".parse().expect("a cursor");
    assert_eq!(cursor.after(), Cut { seq: Seq(57), number: CustomerNumber(0) });
    assert_eq!(cursor.before(), Cut { seq: Seq(56), number: Cut::END.number });

    for text in
        ["", ".", "1.", ".1", "-1", "+1", "1.2.3", "x", "1,2", "12345678901", "1.12345678901"]
    {
        assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text:?}");
    }
}
