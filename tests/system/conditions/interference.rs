//! Interference with a call to DynamoDB: another write comes first, or the answer is lost.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// Runs something before calls of one operation.
pub(super) struct Meanwhile<H> {
    operation: &'static str,
    times: AtomicU32,
    happens: H,
}

impl<H> Meanwhile<H> {
    /// `happens` gets the number of earlier calls of `operation`.
    pub(super) fn new(operation: &'static str, happens: H) -> Meanwhile<H> {
        Meanwhile { operation, times: AtomicU32::new(0), happens }
    }
}

impl<H> fmt::Debug for Meanwhile<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meanwhile").field("operation", &self.operation).finish_non_exhaustive()
    }
}

impl<F: Future<Output = ()>, H: Fn(u32) -> F + Send + Sync> Intercept for Meanwhile<H> {
    fn name(&self) -> &'static str {
        "Meanwhile"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if is_call_of(context.request(), self.operation) {
            let time = self.times.fetch_add(1, Ordering::Relaxed);
            block_in_place(|| Handle::current().block_on((self.happens)(time)));
        }
        Ok(())
    }
}

/// Replaces one answer by a failure inside AWS, after which the SDK repeats the call.
#[derive(Debug)]
pub(super) struct LostAnswer {
    after: u32,
    times: AtomicU32,
}

impl LostAnswer {
    /// Replaces the answer that comes after `others` other ones.
    pub(super) fn after(others: u32) -> LostAnswer {
        LostAnswer { after: others, times: AtomicU32::new(0) }
    }
}

impl Intercept for LostAnswer {
    fn name(&self) -> &'static str {
        "LostAnswer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.times.fetch_add(1, Ordering::Relaxed) == self.after {
            *context.response_mut().status_mut() = 500.try_into()?;
        }
        Ok(())
    }
}

fn is_call_of(request: &HttpRequest, operation: &str) -> bool {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next() == Some(operation)
}
