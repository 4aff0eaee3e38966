//! A binary as a function's bootstrap: what a worker process does besides running its function.

use std::error::Error;
use std::io::Read;
use std::process::ExitCode;

/// What a function's `run` returns.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Runs the function that `_HANDLER` names, as `function` knows it, on a runtime of one thread. A
/// function that does not start says why on standard error, in one line.
pub fn run<F: Future<Output = Outcome>>(function: impl FnOnce(String) -> F) -> ExitCode {
    exit_with_parent();
    let handler = std::env::var("_HANDLER").unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome =
        runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(function(handler)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one of the system's own functions: which crate is behind which handler.
pub(crate) async fn own(handler: String) -> Outcome {
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

/// Ends this process when its standard input does. The host holds the other end, so no worker
/// outlives it, not even one whose host is killed while the worker waits for something else.
fn exit_with_parent() {
    std::thread::spawn(|| {
        let mut ignored = [0; 64];
        while std::io::stdin().read(&mut ignored).is_ok_and(|read| read > 0) {}
        std::process::exit(0);
    });
}
