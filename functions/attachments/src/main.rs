//! The Lambda bootstrap; everything is in the library beside it.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    attachments::run().await
}
