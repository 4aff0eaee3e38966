//! The server's side of the chat widget's WebSocket: sends events through API Gateway's Management
//! API. The events are in `event.rs`.

mod event;

pub use event::{Event, MAX_EVENT_BYTES, NumberedMessage, Payload, PlacedMessage};

use std::time::Duration;

use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::error::SdkError;
use aws_sdk_apigatewaymanagement::operation::delete_connection::DeleteConnectionError;
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use aws_sdk_apigatewaymanagement::primitives::Blob;

use crate::aws::{Aws, never_connected, retry_after};
use crate::error::{InternalError, describe_connection};
use crate::settings::{self, SettingError};
use domain::delivery::{Failure, Reason};

/// How long API Gateway may take to reach a tab.
pub const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// The outcome of sending a widget an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostOutcome {
    /// API Gateway has it.
    Accepted,
    /// The widget is gone.
    Gone,
    /// The event was not sent, or may not have been, as the failure says.
    Failed(Failure),
}

/// Sends events to widgets.
#[derive(Debug, Clone)]
pub struct Sockets {
    client: Client,
}

impl Sockets {
    /// Reads `AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI` or else `CHAT_ENDPOINT`, the stage's
    /// address.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_env(aws: &Aws) -> Result<Sockets, SettingError> {
        let config = aws.service_once("APIGATEWAYMANAGEMENTAPI", POST_TIMEOUT);
        if config.endpoint_url().is_some() {
            return Ok(Sockets { client: Client::new(&config) });
        }

        let endpoint = settings::required("CHAT_ENDPOINT")?;
        let config = config.into_builder().endpoint_url(endpoint).build();
        Ok(Sockets { client: Client::new(&config) })
    }

    /// Sends one widget an event.
    pub async fn post(&self, connection: &str, payload: &Payload) -> PostOutcome {
        let call = self
            .client
            .post_to_connection()
            .connection_id(connection)
            .data(Blob::new(payload.bytes()));
        match call.send().await {
            Ok(_) => PostOutcome::Accepted,
            Err(error) => outcome_of_error(&error, retry_after(&error)),
        }
    }

    /// Closes a connection, so that its widget reconnects and says how far it got. One that is gone
    /// is closed.
    pub async fn close(&self, connection: &str) {
        let call = self.client.delete_connection().connection_id(connection);
        match call.send().await {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteConnectionError::is_gone_exception) => {}
            Err(error) => {
                let error = InternalError::aws("DeleteConnection", error).chain();
                tracing::warn!(error, "connection not closed; API Gateway ends it");
            }
        }
    }
}

/// Returns the outcome of a call that failed, by the errors of
/// [PostToConnection](https://docs.aws.amazon.com/apigatewaymanagementapi/latest/reference/connections-connectionid.html).
fn outcome_of_error<R: std::fmt::Debug>(
    error: &SdkError<PostToConnectionError, R>,
    retry_after: Option<Duration>,
) -> PostOutcome {
    let transient = |code| Failure::Transient {
        reason: Reason::new(code, "the chat gateway did not take it"),
        retry_after,
    };

    PostOutcome::Failed(match error {
        SdkError::ServiceError(failed) => match failed.err() {
            PostToConnectionError::GoneException(_) => return PostOutcome::Gone,
            PostToConnectionError::LimitExceededException(_) => transient("rate_limited"),
            PostToConnectionError::PayloadTooLargeException(_) => Failure::Permanent(Reason::new(
                "payload_too_large",
                "the message does not fit into one event",
            )),
            // Our mistake (permissions) or theirs (5xx): the message can be sent later.
            _ => transient("gateway_error"),
        },
        SdkError::DispatchFailure(failed)
            if failed.as_connector_error().is_some_and(never_connected) =>
        {
            let error = failed.as_connector_error().map(|error| describe_connection(error));
            tracing::warn!(error, "chat gateway not reached; the event is tried again");
            transient("unreachable")
        }
        _ => Failure::Unknown(Reason::new("no_answer", "the chat gateway did not answer")),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_apigatewaymanagement::error::ErrorMetadata;
    use aws_sdk_apigatewaymanagement::types::error::{
        GoneException, LimitExceededException, PayloadTooLargeException,
    };

    use super::*;

    type Failed = SdkError<PostToConnectionError, ()>;

    /// The wait that the gateway asks for.
    const ASKED: Option<Duration> = Some(Duration::from_secs(7));

    fn service(error: PostToConnectionError) -> PostOutcome {
        outcome_of_error(&Failed::service_error(error, ()), ASKED)
    }

    #[test]
    fn what_the_gateway_says_decides_what_becomes_of_the_message() {
        use PostToConnectionError as Error;
        let gone = GoneException::builder().build();
        assert_eq!(service(Error::GoneException(gone)), PostOutcome::Gone);
        let fast =
            service(Error::LimitExceededException(LimitExceededException::builder().build()));

        assert!(
            matches!(fast, PostOutcome::Failed(Failure::Transient { retry_after: ASKED, .. })),
            "{fast:?}"
        );

        let large =
            service(Error::PayloadTooLargeException(PayloadTooLargeException::builder().build()));
        assert!(matches!(large, PostOutcome::Failed(Failure::Permanent(_))), "{large:?}");
        let ours =
            service(Error::generic(ErrorMetadata::builder().code("ForbiddenException").build()));

        assert!(matches!(ours, PostOutcome::Failed(Failure::Transient { .. })), "{ours:?}");
    }

    #[test]
    fn no_answer_leaves_open_whether_the_widget_got_it() {
        for silent in [Failed::timeout_error("late"), Failed::response_error("garbage", ())] {
            let posted = outcome_of_error(&silent, None);
            assert!(matches!(posted, PostOutcome::Failed(Failure::Unknown(_))), "{posted:?}");
        }
    }
}
