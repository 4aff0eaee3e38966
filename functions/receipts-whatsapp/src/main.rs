//! The Lambda bootstrap; the function is in the library beside it.

use platform::runtime::{Error, serve_http};
use receipts_whatsapp::ReceiptsWhatsapp;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve_http::<ReceiptsWhatsapp>().await
}
