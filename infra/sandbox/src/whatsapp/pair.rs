//! Pairs of a business number and a person: until when the business may write free-form, and how
//! fast. A pair is the number's id at Meta and WhatsApp's name
//! for the person.
//!
//! Window: <https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-messages>; rate: 45
//! messages ahead of one in six seconds,
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/overview#pair-rate-limits>.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::number::person;
use crate::clock::Clock;
use crate::journal::Journal;

/// How long a business may write free-form after the person wrote.
const WINDOW: TimeDelta = TimeDelta::hours(24);
/// Time that one message takes up in the long run.
const EACH: TimeDelta = TimeDelta::seconds(6);
/// Most messages at once.
const BURST: i32 = 45;

/// All pairs that are known.
#[derive(Debug)]
pub(crate) struct Pairs {
    clock: Arc<Clock>,
    windows: Journal<WindowRecord>,
    known: Mutex<HashMap<(String, String), Pair>>,
    /// The numbers of people who wrote with number and user id, by the user id.
    numbers: Mutex<HashMap<String, String>>,
}

/// The state of one pair.
#[derive(Debug, Default)]
struct Pair {
    /// Until when the business may write free-form.
    open_until: Option<DateTime<Utc>>,
    /// When everything that was sent would have been sent at one message each [`EACH`]; gone with
    /// the process.
    busy_until: Option<DateTime<Utc>>,
}

/// A window as it is kept on disk.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct WindowRecord {
    phone_number_id: String,
    person: String,
    until: DateTime<Utc>,
}

impl Pairs {
    /// Opens the pairs; with a directory, `whatsapp-windows.jsonl` keeps their windows.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn open(directory: Option<&Path>, clock: Arc<Clock>) -> io::Result<Self> {
        let windows = Journal::in_directory(directory, "whatsapp-windows.jsonl")?;
        let pairs = Self { clock, known: Mutex::default(), windows, numbers: Mutex::default() };
        for opened in pairs.windows.entries() {
            pairs.extend(&opened);
        }
        Ok(pairs)
    }

    /// Lets the business write free-form until then; a longer window stays.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) async fn open_window(
        &self,
        phone_number_id: &str,
        person: &str,
        until: DateTime<Utc>,
    ) -> io::Result<()> {
        let opened = WindowRecord {
            phone_number_id: phone_number_id.into(),
            person: self.name_of(person),
            until,
        };
        if self.extend(&opened) { self.windows.append(opened).await } else { Ok(()) }
    }

    /// Opens the window of a person who wrote with this number, this user id, or both.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) async fn hear_customer(
        &self,
        phone_number_id: &str,
        number: Option<&str>,
        user_id: Option<&str>,
    ) -> io::Result<()> {
        if let (Some(number), Some(user_id)) = (number, user_id) {
            let mut numbers = self.numbers.lock().expect("nothing panics while it holds this lock");
            numbers.insert(user_id.to_owned(), person(number));
        }
        let Some(name) = number.or(user_id) else { return Ok(()) };
        self.open_window(phone_number_id, name, self.clock.now() + WINDOW).await
    }

    /// Returns whether the business may write free-form.
    pub(super) fn is_open(&self, phone_number_id: &str, person: &str) -> bool {
        let known = self.known();
        let pair = known.get(&(phone_number_id.into(), self.name_of(person)));
        pair.and_then(|pair| pair.open_until).is_some_and(|until| self.clock.now() < until)
    }

    /// Counts one message to a person.
    ///
    /// # Errors
    /// It is one too many, and is not counted.
    pub(super) fn count_message(&self, phone_number_id: &str, person: &str) -> Result<(), Error> {
        let now = self.clock.now();
        let mut known = self.known();
        let pair = known.entry((phone_number_id.into(), self.name_of(person))).or_default();
        let busy_until = pair.busy_until.unwrap_or(now).max(now);
        if busy_until - EACH * (BURST - 1) > now {
            return Err(Error::new(131056, "Too many messages to this person in a short time."));
        }
        pair.busy_until = Some(busy_until + EACH);
        Ok(())
    }

    /// Extends a window; false if it was as long already.
    fn extend(&self, WindowRecord { phone_number_id, person, until }: &WindowRecord) -> bool {
        let mut known = self.known();
        let pair = known.entry((phone_number_id.clone(), person.clone())).or_default();
        let is_news = pair.open_until.is_none_or(|known| known < *until);
        pair.open_until = pair.open_until.max(Some(*until));
        is_news
    }

    /// Returns the one name of a person who has a number and a user id.
    fn name_of(&self, name: &str) -> String {
        let name = person(name);
        let numbers = self.numbers.lock().expect("nothing panics while it holds this lock");
        numbers.get(&name).cloned().unwrap_or(name)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Pair>> {
        self.known.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "106540352242922";
    const ANNA: &str = "+31 6 1234 5678";

    fn pairs() -> Pairs {
        Pairs::open(None, Arc::new(Clock::default())).expect("in memory")
    }

    #[tokio::test]
    async fn a_customer_who_wrote_may_be_written_to_for_a_day() {
        let pairs = pairs();
        assert!(!pairs.is_open(NUMBER, ANNA));
        pairs.hear_customer(NUMBER, Some("31612345678"), None).await.expect("in memory");
        pairs.open_window(NUMBER, ANNA, pairs.clock.now()).await.expect("in memory");
        assert!(pairs.is_open(NUMBER, ANNA), "a window is never shortened");
        assert!(!pairs.is_open("1", ANNA) && !pairs.is_open(NUMBER, "31612345679"));
        pairs.clock.move_to(pairs.clock.now() + WINDOW + TimeDelta::seconds(1));
        assert!(!pairs.is_open(NUMBER, ANNA));
    }

    #[test]
    fn one_person_gets_a_burst_and_then_one_message_in_six_seconds() {
        let pairs = pairs();
        let taken = |most: usize| {
            (0..most).take_while(|_| pairs.count_message(NUMBER, ANNA).is_ok()).count()
        };
        assert_eq!(taken(100), 45);
        assert_eq!(pairs.count_message(NUMBER, ANNA).unwrap_err().code, 131056);
        assert!(
            pairs.count_message(NUMBER, "31612345679").is_ok()
                && pairs.count_message("1", ANNA).is_ok()
        );
        pairs.clock.move_to(pairs.clock.now() + EACH * 2 + TimeDelta::seconds(1));
        assert_eq!(taken(100), 2);
    }
}
