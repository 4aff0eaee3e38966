//! The Lambda bootstrap; the function is in the library beside it.

use platform::runtime::{Error, serve_events};
use publish_events::PublishEvents;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve_events::<PublishEvents>().await
}
