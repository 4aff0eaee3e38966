//! The Lambda bootstrap; the function is in the library beside it.

use deliver_webhook::DeliverWebhook;
use platform::runtime::{Error, serve_events};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve_events::<DeliverWebhook>().await
}
