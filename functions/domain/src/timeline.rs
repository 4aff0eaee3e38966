//! One list of agents' messages and the customer's, which are counted apart.
//!
//! A page is merged of two ranges by the messages' ids, and so by time. A [`Cut`] says how far a
//! reader has come in each of them: each of the two grows only at its end, whatever the times of
//! its messages are, so all that comes later lies behind the cut. A list by time alone could not
//! be read on from: a message may be stored after one of a later time was listed.

use std::fmt;
use std::str::FromStr;

use crate::{CustomerNumber, MessageId, MessageNumber, Seq};

/// The largest number of a cursor, ten digits. After it comes nothing.
const MAX_CURSOR: u64 = 9_999_999_999;

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the order in which they were accepted.
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

/// A place in a conversation: agents' messages up to `seq` lie before it, and the customer's up to
/// `number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// The last of the agents' messages before it.
    pub seq: Seq,
    /// The last of the customer's messages before it.
    pub number: CustomerNumber,
}

impl Cut {
    /// The place behind everything.
    pub const END: Cut = Cut { seq: Seq(MAX_CURSOR), number: CustomerNumber(MAX_CURSOR) };

    /// Returns the place behind a message and all that lies before this one.
    #[must_use]
    fn behind(self, place: MessageNumber) -> Cut {
        match place {
            MessageNumber::Agent(seq) => Cut { seq, ..self },
            MessageNumber::Customer(number) => Cut { number, ..self },
        }
    }

    /// Returns the place before a message.
    #[must_use]
    fn before(self, place: MessageNumber) -> Cut {
        match place {
            MessageNumber::Agent(seq) => Cut { seq: Seq(seq.0.saturating_sub(1)), ..self },
            MessageNumber::Customer(number) => {
                Cut { number: CustomerNumber(number.0.saturating_sub(1)), ..self }
            }
        }
    }

    /// Returns the cursor that has what lies behind this place after it.
    #[must_use]
    pub fn as_after(self) -> Cursor {
        Cursor { seq: self.seq.0, number: Some(self.number.0) }
    }

    /// Returns the cursor that has what lies before this place before it.
    #[must_use]
    pub fn as_before(self) -> Cursor {
        let next = |number: u64| number.saturating_add(1).min(MAX_CURSOR);
        Cursor { seq: next(self.seq.0), number: Some(next(self.number.0)) }
    }
}

/// A place as callers pass it: `12.3`, or `12` of a list of agents' messages alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    seq: u64,
    number: Option<u64>,
}

/// The most digits of a number in a cursor.
const MAX_DIGITS: usize = 10;

impl Cursor {
    /// The most characters of a cursor: two numbers and a dot.
    pub const CHARACTERS: usize = 2 * MAX_DIGITS + 1;

    /// Returns the part of the cursor for agents' messages.
    #[must_use]
    pub fn seq(self) -> Seq {
        Seq(self.seq)
    }

    /// Returns the place, with what lies behind it after the cursor. Of a cursor for agents'
    /// messages alone, all of the customer's lie behind it.
    #[must_use]
    pub fn after(self) -> Cut {
        Cut { seq: self.seq(), number: CustomerNumber(self.number.unwrap_or(0)) }
    }

    /// Returns the place, with what lies before it before the cursor. Of a cursor for agents'
    /// messages alone, all of the customer's lie before it.
    #[must_use]
    pub fn before(self) -> Cut {
        Cut {
            seq: Seq(self.seq.saturating_sub(1)),
            number: CustomerNumber(
                self.number.map_or(MAX_CURSOR, |number| number.saturating_sub(1)),
            ),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seq)?;
        self.number.map_or(Ok(()), |number| write!(f, ".{number}"))
    }
}

/// A text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Cursor, NoCursor> {
        let number = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let digits = Some(digits).filter(|digits| is_number && digits.len() <= MAX_DIGITS);
            digits.and_then(|digits| digits.parse().ok()).ok_or(NoCursor)
        };
        match text.split_once('.') {
            Some((seq, own)) => Ok(Cursor { seq: number(seq)?, number: Some(number(own)?) }),
            None => Ok(Cursor { seq: number(text)?, number: None }),
        }
    }
}

/// The part of a conversation that a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Only what lies behind this place.
    pub after: Cut,
    /// Only what lies before this place.
    pub up_to: Cut,
    /// Which end of it comes first.
    pub order: Order,
}

/// The beginning of one of the two ranges, as far as it was read, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeStart {
    /// The ids.
    pub ids: Vec<MessageId>,
    /// Whether there may be more behind them.
    pub has_more: bool,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The ids, in the order of the list.
    pub ids: Vec<MessageId>,
    /// Whether there may be more behind them.
    pub has_more: bool,
    /// The end of the span that the page begins at, as far as it was read.
    begin: Cut,
    span: Span,
}

impl Span {
    /// Merges up to `limit` messages of the two ranges, of which at least as many were read unless
    /// there are no more. Where one of them is read as far as it was, and has more, the page ends.
    #[must_use]
    pub fn merge(self, agents: &RangeStart, customers: &RangeStart, limit: usize) -> Merged {
        let mut left =
            [agents, customers].map(|range| (range.ids.iter().peekable(), range.has_more));
        let mut ids = Vec::new();
        let is_cut = loop {
            let [(agents, more_agents), (customers, more_customers)] = &mut left;
            let (agent, customer) = (agents.peek(), customers.peek());
            let is_unknown =
                agent.is_none() && *more_agents || customer.is_none() && *more_customers;
            if is_unknown || ids.len() == limit {
                break is_unknown || agent.is_some() || customer.is_some();
            }

            let from_agents = match (agent, customer) {
                (Some(agent), Some(customer)) => match self.order {
                    Order::OldestFirst => agent < customer,
                    Order::NewestFirst => agent > customer,
                },
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break false,
            };
            ids.extend(if from_agents { agents.next() } else { customers.next() });
        };

        let begin = match self.order {
            Order::OldestFirst => self.after,
            // What comes later lies behind the newest that was read, not behind the span.
            Order::NewestFirst => [agents, customers]
                .into_iter()
                .filter_map(|range| range.ids.first()?.number())
                .fold(self.after, Cut::behind),
        };
        Merged { ids, has_more: is_cut, begin, span: self }
    }
}

impl Merged {
    /// Returns the cursor behind the first `taken` messages, where the list goes on.
    #[must_use]
    pub fn next(&self, taken: usize) -> Cursor {
        let places = self.ids.iter().take(taken).filter_map(|id| id.number());
        match self.span.order {
            Order::OldestFirst => places.fold(self.begin, Cut::behind).as_after(),
            Order::NewestFirst => places.fold(self.begin, Cut::before).as_before(),
        }
    }

    /// Returns the cursor before the page, from which the list goes on the other way round.
    #[must_use]
    pub fn previous(&self) -> Cursor {
        match self.span.order {
            Order::OldestFirst => self.begin.as_before(),
            Order::NewestFirst => self.begin.as_after(),
        }
    }
}

#[cfg(test)]
mod tests;
