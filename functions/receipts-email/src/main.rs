//! The Lambda bootstrap; the function is in the library beside it.

use platform::runtime::{Error, serve_events};
use receipts_email::ReceiptsEmail;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve_events::<ReceiptsEmail>().await
}
