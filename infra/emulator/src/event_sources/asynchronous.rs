//! Asynchronous invocation: Lambda keeps an event until the function has taken it, and drops it
//! when it is too old or has failed too often.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::lambda::{InvokeError, Lambda};
use crate::template::Function;

/// Waits before Lambda invokes a function again that failed on an event. On AWS they are one and
/// two minutes.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Invokes a function with an event that has waited for `age` already, and returns its answer, or
/// why the event is dropped.
pub(crate) async fn invoke(
    function: &Function,
    payload: &Bytes,
    age: Duration,
    lambda: &Lambda,
) -> Result<Bytes, InvokeError> {
    let config = &function.asynchronous;
    let left = config.max_age.checked_sub(age).ok_or(InvokeError::Expired)?;
    let end = Instant::now() + left;

    for wait in RETRIES.into_iter().take(config.max_retries) {
        match lambda.invoke_by(end, &function.logical_id, payload.clone()).await {
            Err(InvokeError::Function(_)) if Instant::now() + wait < end => {
                tokio::time::sleep(wait).await;
            }
            answer => return answer,
        }
    }
    lambda.invoke_by(end, &function.logical_id, payload.clone()).await
}
