//! The Lambda bootstrap; the function is in the library beside it.

use deliver_whatsapp::cloud_api::CloudApi;
use platform::delivery::Worker;
use platform::runtime::{Error, serve_events};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve_events::<Worker<CloudApi>>().await
}
