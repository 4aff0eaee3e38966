//! The stages of the smoke test, and how long each took.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// One stage of the message's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The smoke test's own records are there, and its tokens are signed.
    Prepare,
    /// The visitor's widget is connected and greeted.
    Connect,
    /// The API accepts the message.
    Accept,
    /// A worker delivers it to the widget.
    Deliver,
    /// The widget's receipt makes it `delivered`.
    Confirm,
}

impl Stage {
    const ALL: [Stage; 5] =
        [Stage::Prepare, Stage::Connect, Stage::Accept, Stage::Deliver, Stage::Confirm];

    pub(super) fn name(self) -> &'static str {
        match self {
            Stage::Prepare => "prepare",
            Stage::Connect => "connect",
            Stage::Accept => "accept",
            Stage::Deliver => "deliver",
            Stage::Confirm => "confirm",
        }
    }

    /// Returns what a stage that went well has shown.
    fn shows(self) -> &'static str {
        match self {
            Stage::Prepare => "the table and the secrets can be read",
            Stage::Connect => "chat-socket greets a widget",
            Stage::Accept => "send-message answers 201",
            Stage::Deliver => "deliver-chat has brought the message to the widget",
            Stage::Confirm => "the widget's receipt is stored, and the API shows it",
        }
    }
}

/// The stage at which the message stopped, and the reason.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) stage: Stage,
    pub(super) reason: String,
}

/// The stages that were begun, with the time each took.
#[derive(Debug, Default)]
pub(super) struct Stages(Vec<(Stage, Duration)>);

impl Stages {
    /// Goes through one stage, and notes how long it took.
    pub(super) async fn time<T>(
        &mut self,
        stage: Stage,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, Stopped> {
        let begun = Instant::now();
        let result = work.await;
        self.0.push((stage, begun.elapsed()));
        result.map_err(|reason| Stopped { stage, reason })
    }

    pub(super) fn rows(&self, stopped: Option<&Stopped>) -> Vec<[String; 3]> {
        let row = |stage: Stage| {
            let took = self.took(stage).map(|took| took.as_millis().to_string());
            [stage.name().to_owned(), took.unwrap_or_default(), self.outcome(stage, stopped)]
        };
        Stage::ALL.into_iter().map(row).collect()
    }

    pub(super) fn json(&self, stopped: Option<&Stopped>) -> Vec<Value> {
        let entry = |stage: Stage| {
            let failed = stopped.filter(|stopped| stopped.stage == stage);
            let took = self.took(stage);
            json!({
                "stage": stage.name(), "is_passed": took.is_some() && failed.is_none(),
                "milliseconds": took.map(|took| took.as_secs_f64() * 1000.0),
                "detail": failed.map(|failed| &failed.reason),
            })
        };
        Stage::ALL.into_iter().map(entry).collect()
    }

    fn took(&self, stage: Stage) -> Option<Duration> {
        self.0.iter().find(|(one, _)| *one == stage).map(|(_, took)| *took)
    }

    fn outcome(&self, stage: Stage, stopped: Option<&Stopped>) -> String {
        match (self.took(stage), stopped) {
            (None, _) => "not reached".to_owned(),
            (Some(_), Some(stopped)) if stopped.stage == stage => "FAILED".to_owned(),
            (Some(_), _) => stage.shows().to_owned(),
        }
    }
}
