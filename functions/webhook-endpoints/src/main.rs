//! The Lambda bootstrap; the function is in the library beside it.

use platform::runtime::{Error, serve_http};
use webhook_endpoints::WebhookEndpoints;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve_http::<WebhookEndpoints>().await
}
