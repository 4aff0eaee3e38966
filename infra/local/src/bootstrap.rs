//! The system's own functions: which crate is behind which handler.

use emulator::bootstrap::Outcome;
use platform::delivery::Worker;
use platform::runtime::{serve_events, serve_http};

/// Runs the function of this handler.
pub(crate) async fn run_function(handler: String) -> Outcome {
    match handler.as_str() {
        "attachments" => serve_http::<attachments::Attachments>().await,
        "chat-socket" => serve_events::<chat_socket::ChatSocket>().await,
        "deliver-chat" => serve_events::<Worker<deliver_chat::Widgets>>().await,
        "deliver-email" => serve_events::<Worker<deliver_email::ses::Ses>>().await,
        "deliver-webhook" => serve_events::<deliver_webhook::DeliverWebhook>().await,
        "deliver-whatsapp" => serve_events::<Worker<deliver_whatsapp::cloud_api::CloudApi>>().await,
        "publish-events" => serve_events::<publish_events::PublishEvents>().await,
        "read-messages" => serve_http::<read_messages::ReadMessages>().await,
        "receipts-email" => serve_events::<receipts_email::ReceiptsEmail>().await,
        "receipts-whatsapp" => serve_http::<receipts_whatsapp::ReceiptsWhatsapp>().await,
        "send-message" => serve_http::<send_message::SendMessage>().await,
        "sweep-outbox" => serve_events::<sweep_outbox::SweepOutbox>().await,
        "webhook-endpoints" => serve_http::<webhook_endpoints::WebhookEndpoints>().await,
        _ => Err(format!(
            "no function is called `{handler}`: add it to infra/local/src/bootstrap.rs"
        )
        .into()),
    }
}
