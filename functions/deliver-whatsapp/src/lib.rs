//! Delivers through the WhatsApp Cloud API.

pub mod cloud_api;
pub mod media;
pub mod outgoing;
pub mod piece;
pub mod verdict;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;

use cloud_api::CloudApi;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::delivery::{Channels, Worker, serve};
use platform::files::Files;
use platform::queue::WorkerQueue;
use platform::runtime;
use platform::secrets::Secrets;
use platform::settings;
use platform::table::Table;

/// The function.
#[derive(Debug)]
pub struct DeliverWhatsapp {
    worker: Worker<CloudApi>,
}

/// Runs the function until Lambda stops it.
///
/// # Errors
/// What kept it from starting, in a sentence.
pub async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    platform::telemetry::init();
    let function = DeliverWhatsapp::from_env()?;
    let handler = |event| async { Ok::<_, std::convert::Infallible>(function.handle(event).await) };
    runtime::events(handler).await
}

impl DeliverWhatsapp {
    /// Reads `TABLE_NAME`, `QUEUE_URL`, `DEAD_LETTER_QUEUE_URL`, `WHATSAPP_API_URL`,
    /// `ATTACHMENTS_BUCKET` and what AWS clients need.
    ///
    /// # Errors
    /// The variable that is missing or malformed, or an HTTPS client that cannot be made.
    pub fn from_env() -> Result<DeliverWhatsapp, Box<dyn std::error::Error + Send + Sync>> {
        let aws = Aws::from_env()?;
        let (url, files) = (settings::required("WHATSAPP_API_URL")?, Files::from_env(&aws)?);
        let provider = CloudApi::new(url, Secrets::new(&aws), files)?;
        let (table, queue) = (Table::from_env(&aws)?, WorkerQueue::from_env(&aws)?);
        let (clock, channels) = (Clock::from_env()?, Channels::default());
        Ok(DeliverWhatsapp { worker: Worker { table, queue, clock, provider, channels } })
    }

    /// Answers a batch of bells.
    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
        serve(&self.worker, event).await
    }
}
