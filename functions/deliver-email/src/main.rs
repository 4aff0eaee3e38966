//! The Lambda bootstrap; the function is in the library beside it.

use deliver_email::ses::Ses;
use platform::delivery::Worker;
use platform::runtime::{Error, serve_events};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve_events::<Worker<Ses>>().await
}
