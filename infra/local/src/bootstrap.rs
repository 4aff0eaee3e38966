//! The system's own functions: which crate is behind which handler.

use emulator::bootstrap::Outcome;

/// Runs the function of this handler.
pub(crate) async fn run_function(handler: String) -> Outcome {
    match handler.as_str() {
        "attachments" => attachments::run().await,
        "chat-socket" => chat_socket::run().await,
        "deliver-chat" => deliver_chat::run().await,
        "deliver-email" => deliver_email::run().await,
        "deliver-whatsapp" => deliver_whatsapp::run().await,
        "read-messages" => read_messages::run().await,
        "receipts-email" => receipts_email::run().await,
        "receipts-whatsapp" => receipts_whatsapp::run().await,
        "send-message" => send_message::run().await,
        "sweep-outbox" => sweep_outbox::run().await,
        _ => Err(format!(
            "no function is called `{handler}`: add it to infra/local/src/bootstrap.rs"
        )
        .into()),
    }
}
