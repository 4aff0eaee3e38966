//! The Lambda bootstrap; the function is in the library beside it.

use deliver_chat::Widgets;
use platform::delivery::Worker;
use platform::runtime::{Error, serve_events};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve_events::<Worker<Widgets>>().await
}
