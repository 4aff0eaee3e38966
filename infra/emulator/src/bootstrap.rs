//! A binary as a function's bootstrap: a worker process without its function.

use std::error::Error;
use std::io::Read;
use std::process::ExitCode;

/// The result of a function's `run`.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Runs `function` with the name in `_HANDLER`, on a runtime of one thread. A function that does
/// not start writes its error to standard error, in one line.
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

/// Ends this process when its standard input does. The host holds the other end, so no worker
/// outlives it, not even if the host is killed while the worker waits for something else.
fn exit_with_parent() {
    std::thread::spawn(|| {
        let mut ignored = [0; 64];
        while std::io::stdin().read(&mut ignored).is_ok_and(|read| read > 0) {}
        std::process::exit(0);
    });
}
