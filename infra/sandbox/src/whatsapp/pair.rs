//! A business number and a person: until when the one may write to the other freely, and how fast.
//! Told apart by the number's id at Meta and the person's digits.
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

use super::digits;
use super::error::Error;
use crate::clock::Clock;
use crate::journal::Journal;

const WINDOW: TimeDelta = TimeDelta::hours(24);
const EACH: TimeDelta = TimeDelta::seconds(6);
const BURST: i32 = 45;

/// Everybody that the business's numbers have to do with.
#[derive(Debug)]
pub struct Pairs {
    clock: Arc<Clock>,
    kept: Journal<Opened>,
    known: Mutex<HashMap<(String, String), Pair>>,
}

/// What is known of one pair.
#[derive(Debug, Default)]
struct Pair {
    /// Until when the person may be written to freely.
    open_until: Option<DateTime<Utc>>,
    /// When everything that was sent would have been, at one message each [`EACH`]; gone with the
    /// process.
    even: Option<DateTime<Utc>>,
}

/// A window that was opened, on disk.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Opened {
    phone_number_id: String,
    person: String,
    until: DateTime<Utc>,
}

impl Pairs {
    /// With a directory, `whatsapp-windows.jsonl` remembers who may be written to.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn open(directory: Option<&Path>, clock: Arc<Clock>) -> io::Result<Self> {
        let kept = Journal::in_directory(directory, "whatsapp-windows.jsonl")?;
        let pairs = Self { clock, known: Mutex::default(), kept };
        for opened in pairs.kept.entries() {
            pairs.extend(&opened);
        }
        Ok(pairs)
    }

    /// A person may be written to freely until then; who could be for longer still can.
    ///
    /// # Errors
    /// The directory did not take it.
    pub async fn opened(
        &self,
        phone_number_id: &str,
        person: &str,
        until: DateTime<Utc>,
    ) -> io::Result<()> {
        let opened =
            Opened { phone_number_id: phone_number_id.into(), person: digits(person), until };
        if self.extend(&opened) { self.kept.append(opened).await } else { Ok(()) }
    }

    /// A person writes.
    ///
    /// # Errors
    /// The directory did not take it.
    pub(crate) async fn wrote(&self, phone_number_id: &str, person: &str) -> io::Result<()> {
        self.opened(phone_number_id, person, self.clock.now() + WINDOW).await
    }

    /// Whether a person may be written to freely; who never wrote may not.
    pub(super) fn is_open(&self, phone_number_id: &str, person: &str) -> bool {
        let known = self.known();
        let pair = known.get(&(phone_number_id.into(), digits(person)));
        pair.and_then(|pair| pair.open_until).is_some_and(|until| self.clock.now() < until)
    }

    /// Counts one message to a person.
    ///
    /// # Errors
    /// It is one too many, and does not count.
    pub(super) fn count(&self, phone_number_id: &str, person: &str) -> Result<(), Error> {
        let now = self.clock.now();
        let mut known = self.known();
        let pair = known.entry((phone_number_id.into(), digits(person))).or_default();
        let even = pair.even.unwrap_or(now).max(now);
        if even - EACH * (BURST - 1) > now {
            return Err(Error::new(131056, "Too many messages to this person in a short time."));
        }
        pair.even = Some(even + EACH);
        Ok(())
    }

    /// Whether that is news.
    fn extend(&self, Opened { phone_number_id, person, until }: &Opened) -> bool {
        let mut known = self.known();
        let pair = known.entry((phone_number_id.clone(), person.clone())).or_default();
        let is_news = pair.open_until.is_none_or(|known| known < *until);
        pair.open_until = pair.open_until.max(Some(*until));
        is_news
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
    async fn who_wrote_may_be_written_to_for_a_day_and_nobody_else() {
        let pairs = pairs();
        assert!(!pairs.is_open(NUMBER, ANNA));
        pairs.wrote(NUMBER, "31612345678").await.expect("in memory");
        pairs.opened(NUMBER, ANNA, pairs.clock.now()).await.expect("in memory");
        assert!(pairs.is_open(NUMBER, ANNA), "a window is never shortened");
        assert!(!pairs.is_open("1", ANNA) && !pairs.is_open(NUMBER, "31612345679"));
        pairs.clock.move_to(pairs.clock.now() + WINDOW + TimeDelta::seconds(1));
        assert!(!pairs.is_open(NUMBER, ANNA));
    }

    #[test]
    fn one_person_gets_a_burst_and_then_one_message_in_six_seconds() {
        let pairs = pairs();
        let taken =
            |most: usize| (0..most).take_while(|_| pairs.count(NUMBER, ANNA).is_ok()).count();
        assert_eq!(taken(100), 45);
        assert_eq!(pairs.count(NUMBER, ANNA).unwrap_err().code, 131056);
        assert!(pairs.count(NUMBER, "31612345679").is_ok() && pairs.count("1", ANNA).is_ok());
        pairs.clock.move_to(pairs.clock.now() + EACH * 2 + TimeDelta::seconds(1));
        assert_eq!(taken(100), 2);
    }
}
