//! The Lambda bootstrap; the function is in the library beside it.

use attachments::Attachments;
use platform::runtime::{Error, serve_http};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve_http::<Attachments>().await
}
