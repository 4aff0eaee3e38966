//! Delivers through Amazon SES v2.

pub mod enclosures;
pub mod html;
pub mod letter;
pub mod mime;
pub mod ses;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;

use platform::aws::Aws;
use platform::clock::Clock;
use platform::delivery::{Channels, Worker, serve};
use platform::files::Files;
use platform::queue::WorkerQueue;
use platform::runtime;
use platform::settings::{self, SettingError};
use platform::table::Table;
use ses::Ses;

/// The function.
#[derive(Debug)]
pub struct DeliverEmail {
    worker: Worker<Ses>,
}

/// Runs the function until Lambda stops it.
///
/// # Errors
/// What kept it from starting, in a sentence.
pub async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    platform::telemetry::init();
    let function = DeliverEmail::from_env()?;
    let handler = |event| async { Ok::<_, std::convert::Infallible>(function.handle(event).await) };
    runtime::events(handler).await
}

impl DeliverEmail {
    /// Reads `TABLE_NAME`, `QUEUE_URL`, `DEAD_LETTER_QUEUE_URL`, `EMAIL_REPLY_DOMAIN`,
    /// `ATTACHMENTS_BUCKET` and what AWS clients need.
    ///
    /// # Errors
    /// The variable that is missing or malformed.
    pub fn from_env() -> Result<DeliverEmail, SettingError> {
        let aws = Aws::from_env()?;
        let provider =
            Ses::new(&aws, Files::from_env(&aws)?, settings::required("EMAIL_REPLY_DOMAIN")?);
        let (table, queue) = (Table::from_env(&aws)?, WorkerQueue::from_env(&aws)?);
        let (clock, channels) = (Clock::from_env()?, Channels::default());
        Ok(DeliverEmail { worker: Worker { table, queue, clock, provider, channels } })
    }

    /// Answers a batch of bells.
    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
        serve(&self.worker, event).await
    }
}
