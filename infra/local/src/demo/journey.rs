//! Sends one message and shows its way: accepted, queued, sent, delivered, the customer's view, and
//! the events that the business's endpoint was sent.

use std::io::Write;
use std::time::{Duration, Instant};

use anstream::{print, println};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::api::Api;
use super::picture::Picture;
use super::receiver::Receiver;
use super::step::{DemoError, TIME_LIMIT, milliseconds, text};
use crate::terminal::{BAD, BOLD, DIM, GOOD, field, paint};

/// Pause between two reads of the status: a plan that says nothing allows a hundred reads in ten
/// seconds. The times that are shown are the message's own.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The statuses of a message after it was accepted, in order.
const STATUSES: [&str; 4] = ["queued", "sent", "delivered", "read"];
/// The status of a message that the customer has: reported by the widget itself, by WhatsApp's
/// webhook, or by SES's events.
const LAST_STATUS: &str = "delivered";

/// A message to send and to follow.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) channel: &'static str,
    pub(super) title: &'static str,
    pub(super) conversation: Uuid,
    pub(super) content: &'static str,
    pub(super) picture: Option<Picture>,
}

impl Journey {
    /// Sends the message and shows every status.
    pub(super) async fn send_and_follow(
        &self,
        api: &Api,
        token: &str,
        receiver: &Receiver,
    ) -> Result<(), DemoError> {
        let conversation = self.conversation.to_string();
        println!(
            "  {}  {}",
            paint(BOLD, self.title),
            paint(DIM, format_args!("POST /api/v1/conversations/{conversation}/messages"))
        );

        println!(
            "{}",
            field("agent", format_args!("{}{}", quoted(self.content), self.with_picture()))
        );

        let started = Instant::now();
        let mut attachments = Vec::new();
        if let Some(picture) = &self.picture {
            attachments.push(api.upload(&conversation, token, picture).await?);
        }

        let (status, message) = api.send(&conversation, token, self.content, &attachments).await?;
        if status != 201 {
            return Err(self.failed(format!("was answered {status} {message}")));
        }

        let accepted = format!(
            "{} {}",
            paint(GOOD, "accepted"),
            paint(DIM, format_args!("{} ms", milliseconds(started)))
        );

        print!("{}", field("status", accepted));
        let arrived = self.follow(api, token, &message).await;
        println!();
        arrived?;

        self.show_customer(api, text(&message["id"])).await?;
        self.show_events(api, receiver, &message).await
    }

    /// Prints each status as it is reached, until the last.
    async fn follow(&self, api: &Api, token: &str, message: &Value) -> Result<(), DemoError> {
        let path = format!(
            "/api/v1/conversations/{}/messages/{}",
            self.conversation,
            text(&message["id"])
        );

        let started = Instant::now();
        let mut shown = 0;

        loop {
            let delivery = api.get(&path, token).await?["delivery"].take();
            let status = text(&delivery["status"]);
            if status == "failed" {
                print!(" → {}", paint(BAD, "failed"));
                return Err(self.failed(format!("failed: {}", delivery["error"])));
            }

            // A message that is being sent counts as queued; one that was delivered was sent.
            let reached = STATUSES.iter().position(|known| *known == status).unwrap_or(0);
            for status in &STATUSES[shown.min(reached + 1)..=reached] {
                let after = since(&message["created_at"], &delivery[format!("{status}_at")]);
                print!(" → {}{after}", paint(GOOD, status));
            }
            shown = shown.max(reached + 1);
            let _ = std::io::stdout().flush(); // shows each status as it is reached

            if STATUSES[reached] == LAST_STATUS {
                return Ok(());
            }
            if started.elapsed() > TIME_LIMIT {
                return Err(self.failed(format!(
                    "was not {LAST_STATUS} within {} s; it is {status}",
                    TIME_LIMIT.as_secs()
                )));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Shows the message as the provider accepted it.
    async fn show_customer(&self, api: &Api, id: &str) -> Result<(), DemoError> {
        let path =
            format!("/sandbox/{}/messages?conversation_id={}", self.channel, self.conversation);
        let accepted = api.get_from_sandbox(&path).await?;
        let mut copies =
            accepted.as_array().into_iter().flatten().filter(|copy| copy["message_id"] == id);

        let received =
            copies.next().ok_or_else(|| self.failed("never reached the customer".into()))?;

        if copies.next().is_some() {
            return Err(self.failed("reached the customer twice".into()));
        }
        if text(&received["content"]).trim_end() != self.content {
            return Err(self.failed(format!("reached the customer as {}", received["content"])));
        }

        self.check_picture(received)?;

        println!(
            "{}",
            field(
                "customer",
                format_args!(
                    "{}{}  {}",
                    quoted(text(&received["content"])),
                    self.with_picture(),
                    paint(DIM, format_args!("to {}", text(&received["to"])))
                )
            )
        );

        Ok(())
    }

    /// Shows the events of the message that the business's endpoint got, up to the last one, and
    /// that each is signed by its secret.
    async fn show_events(
        &self,
        api: &Api,
        receiver: &Receiver,
        message: &Value,
    ) -> Result<(), DemoError> {
        let started = Instant::now();
        let events = loop {
            let events = receiver.events(api, text(&message["id"])).await?;
            if events.iter().any(|event| event.status() == LAST_STATUS) {
                break events;
            }
            if started.elapsed() > TIME_LIMIT {
                let limit = TIME_LIMIT.as_secs();
                return Err(self.failed(format!("was not told of within {limit} s")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        };

        if !events.iter().all(|event| event.is_verified) {
            return Err(self.failed("was told of with a wrong signature".into()));
        }

        let shown = events.iter().map(|event| {
            let after = since(&message["created_at"], &event.at);
            format!("{}{after}", paint(GOOD, event.status()))
        });
        let shown: Vec<String> = shown.collect();
        let verified = paint(DIM, "signatures verified");
        println!("{}", field("endpoint", format_args!("{}  {verified}", shown.join(" → "))));
        Ok(())
    }

    /// Checks that the provider accepted the picture with the message.
    fn check_picture(&self, received: &Value) -> Result<(), DemoError> {
        let files = received["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_as_sent = match self.picture {
            Some(picture) => files.len() == 1 && files[0]["content_type"] == picture.content_type,
            None => files.is_empty(),
        };

        if is_as_sent {
            return Ok(());
        }
        Err(self.failed(format!("reached the customer with {}", received["attachments"])))
    }

    fn with_picture(&self) -> String {
        let shown = |Picture { filename, bytes, .. }: Picture| {
            format!(
                " + {} {}",
                paint(BOLD, filename),
                paint(DIM, format_args!("{} bytes", bytes.len()))
            )
        };
        self.picture.map(shown).unwrap_or_default()
    }

    fn failed(&self, how: String) -> DemoError {
        DemoError(format!("the {} message {how}.", self.title))
    }
}

fn quoted(content: &str) -> String {
    format!("“{}”", content.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns ` 12 ms` between two times of the API, if it knows both.
fn since(earlier: &Value, later: &Value) -> String {
    let time = |value: &Value| value.as_str()?.parse::<DateTime<Utc>>().ok();
    match (time(earlier), time(later)) {
        (Some(earlier), Some(later)) => {
            paint(DIM, format_args!(" {} ms", (later - earlier).num_milliseconds()))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_the_apis_own() {
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain(since(&json!("2026-03-01T09:05:00Z"), &json!("2026-03-01T09:05:00.042Z"))),
            " 42 ms"
        );
        assert_eq!(since(&json!("2026-03-01T09:05:00Z"), &Value::Null), "");
    }

    #[test]
    fn a_text_of_several_lines_is_quoted_in_one() {
        assert_eq!(quoted("Dear Anna,\n\nthank you."), "“Dear Anna, thank you.”");
    }
}
