//! The local binary as a function's bootstrap: which crate is behind which handler.

use std::io::Read;
use std::process::ExitCode;

/// Runs the function that `_HANDLER` names until the process is told to stop.
pub(crate) fn main() -> ExitCode {
    exit_with_parent();
    let handler = std::env::var("_HANDLER").unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&handler)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(handler: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match handler {
        "chat-socket" => chat_socket::run().await,
        "deliver-chat" => deliver_chat::run().await,
        "deliver-email" => deliver_email::run().await,
        "deliver-whatsapp" => deliver_whatsapp::run().await,
        "read-messages" => read_messages::run().await,
        "send-message" => send_message::run().await,
        "sweep-outbox" => sweep_outbox::run().await,
        _ => Err(format!("no function is called `{handler}`: add it to infra/local/src/bootstrap.rs").into()),
    }
}

/// Ends this process when its standard input does. The host holds the other end, so no worker outlives it, not even
/// one that is killed.
fn exit_with_parent() {
    std::thread::spawn(|| {
        let mut ignored = [0; 64];
        while std::io::stdin().read(&mut ignored).is_ok_and(|read| read > 0) {}
        std::process::exit(0);
    });
}
