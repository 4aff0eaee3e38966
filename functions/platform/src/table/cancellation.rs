//! Reads DynamoDB's error of the accept transaction, position by position.
//! [`domain::accept::read`] decides what follows from it.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::CancellationReason;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::read;
use super::record::{Idempotency, Message};
use crate::error::{self, InternalError};
use domain::accept::{CancelledTransaction, Position};

/// Reads a cancelled transaction by position, or `None` if it was not cancelled but failed. Only
/// with `has_key` there is a position for an idempotency record.
pub(super) fn cancellation<R>(
    error: &SdkError<TransactWriteItemsError, R>,
    has_key: bool,
) -> Result<Option<CancelledTransaction>, InternalError> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return Ok(None);
    };

    let mut reasons = cancelled.cancellation_reasons().iter().peekable();
    Ok(Some(CancelledTransaction {
        shard: position(reasons.next())?,
        conversation: position(reasons.next())?,
        message: position::<Message>(reasons.next())?.map(drop),
        idempotency: position::<Idempotency>(reasons.next_if(|_| has_key))?
            .map(|record| record.first),
        uploads: reasons
            .map(|reason| Ok(position::<IgnoredAny>(Some(reason))?.map(drop)))
            .collect::<Result<_, InternalError>>()?,
    }))
}

fn position<T: DeserializeOwned>(
    reason: Option<&CancellationReason>,
) -> Result<Position<T>, InternalError> {
    let Some(reason) = reason else { return Ok(Position::Fine) };
    match reason.code() {
        None | Some("None") => Ok(Position::Fine),
        Some("ConditionalCheckFailed") => {
            let was = reason.item.clone().filter(|item| !item.is_empty());
            Ok(Position::Refused(was.map(read).transpose()?))
        }
        Some(code) if error::is_contention(code) => Ok(Position::Contended),
        Some(code) => {
            Err(InternalError::new(format!("accepting a message: DynamoDB cancelled for {code}")))
        }
    }
}

/// Returns the code of each position of a cancelled transaction.
fn codes<R>(error: &SdkError<TransactWriteItemsError, R>) -> impl Iterator<Item = &str> {
    let cancelled = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => Some(cancelled),
        _ => None,
    };
    let reasons = cancelled.into_iter().flat_map(|cancelled| cancelled.cancellation_reasons());
    reasons.filter_map(|reason| reason.code())
}

/// Whether a transaction was cancelled because of a condition.
pub(super) fn is_refused<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    codes(error).any(|code| code == "ConditionalCheckFailed")
}

/// Whether a transaction was not made because of contention or throttling, perhaps beside others.
pub(super) fn is_contended<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    error.code().is_some_and(error::is_contention) || codes(error).any(error::is_contention)
}

/// Whether a transaction was not made for reasons that another look may change: a condition, or
/// contention.
pub(super) fn is_passing<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(_)) => {
            codes(error).all(|code| {
                matches!(code, "None" | "ConditionalCheckFailed") || error::is_contention(code)
            })
        }
        Some(other) => other.code().is_some_and(error::is_contention),
        None => false,
    }
}

/// True if the transaction may have been made all the same: no answer arrived in time, the
/// connection broke, DynamoDB failed inside, or the transaction is still in progress.
pub(super) fn is_unknown<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            true
        }
        SdkError::ServiceError(failed) => {
            matches!(
                failed.err(),
                TransactWriteItemsError::InternalServerError(_)
                    | TransactWriteItemsError::TransactionInProgressException(_)
            ) || failed.err().code().is_none()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::types::error::{
        InternalServerError, TransactionCanceledException, TransactionInProgressException,
    };

    use super::super::{Item, number, text};
    use super::*;
    use domain::Seq;
    use domain::accept::{CurrentConversation, RecordedAnswer};
    use domain::quota::Shard;

    type Failed = SdkError<TransactWriteItemsError, ()>;

    fn said(code: &str) -> CancellationReason {
        CancellationReason::builder().code(code).build()
    }

    fn refused(was: Option<Item>) -> CancellationReason {
        CancellationReason::builder().code("ConditionalCheckFailed").set_item(was).build()
    }

    fn cancelled(reasons: impl IntoIterator<Item = CancellationReason>) -> Failed {
        let cancelled = TransactionCanceledException::builder()
            .set_cancellation_reasons(Some(Vec::from_iter(reasons)));
        let cancelled = cancelled.build();
        SdkError::service_error(
            TransactWriteItemsError::TransactionCanceledException(cancelled),
            (),
        )
    }

    fn positions(
        reasons: impl IntoIterator<Item = CancellationReason>,
    ) -> Result<CancelledTransaction, InternalError> {
        let read = cancellation(&cancelled(reasons), true);
        read.map(|cancelled| cancelled.expect("it was cancelled"))
    }

    fn record<const N: usize>(
        attributes: [(&str, aws_sdk_dynamodb::types::AttributeValue); N],
    ) -> Option<Item> {
        Some(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    const FINE: CancelledTransaction = CancelledTransaction {
        shard: Position::Fine,
        conversation: Position::Fine,
        message: Position::Fine,
        idempotency: Position::Fine,
        uploads: Vec::new(),
    };

    #[test]
    fn each_position_tells_what_its_item_was() {
        let id = "01900000-0001-7abc-848d-17ffffffffff";
        let read = positions([
            refused(record([("used", number(5)), ("cap", number(5)), ("pk", text("B#Q"))])),
            refused(record([
                ("seq", number(7)),
                ("channel", text("chat")),
                ("recipient", text("visitor")),
            ])),
            said("None"),
            refused(record([
                ("message_id", text(id)),
                ("seq", number(3)),
                ("request_hash", text("hash")),
                ("conversation", text("67e55044-10b1-426f-9247-bb680e5fe0c8")),
                ("expires_at", number(1)),
            ])),
        ]);
        let first = RecordedAnswer {
            message_id: id.parse().expect("a UUID"),
            seq: Seq(3),
            request_hash: "hash".to_owned(),
        };

        let expected = CancelledTransaction {
            shard: Position::Refused(Some(Shard { used: 5, cap: 5 })),
            conversation: Position::Refused(Some(CurrentConversation {
                seq: Seq(7),
                channel: "chat".into(),
            })),
            message: Position::Fine,
            idempotency: Position::Refused(Some(first)),
            uploads: Vec::new(),
        };

        assert_eq!(read.expect("what the platform stores"), expected);
    }

    #[test]
    fn an_item_that_is_not_there_is_none() {
        for nothing in [None, Some(Item::new())] {
            let read = positions([refused(nothing.clone()), refused(nothing), said("None")])
                .expect("nothing to read");
            assert_eq!(
                (read.shard, read.conversation),
                (Position::Refused(None), Position::Refused(None))
            );
            assert_eq!((read.message, read.idempotency), (Position::Fine, Position::Fine));
        }
    }

    #[test]
    fn uploads_come_after_the_key_if_there_is_one() {
        let is_ready = || refused(record([("state", text("ready"))]));
        let uploads = [is_ready(), said("None"), refused(None), said("TransactionConflict")];
        let plain = || [said("None"), said("None"), said("None")].into_iter();
        let expected = vec![
            Position::Refused(Some(())),
            Position::Fine,
            Position::Refused(None),
            Position::Contended,
        ];

        let with_key = plain().chain([said("None")]).chain(uploads.clone());
        let read = positions(with_key).expect("nothing to read");
        assert_eq!(read, CancelledTransaction { uploads: expected.clone(), ..FINE });

        let without_key = cancellation(&cancelled(plain().chain(uploads)), false);
        let read = without_key.expect("nothing to read").expect("it was cancelled");
        assert_eq!(read, CancelledTransaction { uploads: expected, ..FINE });
    }

    #[test]
    fn contention_is_not_a_refusal() {
        for code in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
            let read =
                positions([said("None"), said(code), said("None")]).expect("nothing to read");
            assert_eq!(read, CancelledTransaction { conversation: Position::Contended, ..FINE });
        }
    }

    #[test]
    fn what_cannot_be_read_is_broken() {
        assert!(positions([said("ItemCollectionSizeLimitExceeded")]).is_err());
        assert!(positions([refused(record([("used", text("five"))]))]).is_err());
    }

    #[test]
    fn only_a_cancellation_has_positions() {
        let failed = InternalServerError::builder().build();
        let failed: Failed =
            SdkError::service_error(TransactWriteItemsError::InternalServerError(failed), ());
        assert!(matches!(cancellation(&failed, true), Ok(None)));
        assert!(matches!(cancellation(&Failed::timeout_error("late"), true), Ok(None)));
    }

    #[test]
    fn an_answer_that_says_nothing_leaves_the_outcome_open() {
        let service = |error| Failed::service_error(error, ());
        let code = |code| {
            service(TransactWriteItemsError::generic(ErrorMetadata::builder().code(code).build()))
        };

        let internal = InternalServerError::builder().build();
        let in_progress = TransactionInProgressException::builder().build();
        let no_code = TransactWriteItemsError::generic(ErrorMetadata::builder().build());
        assert!(is_unknown(&Failed::timeout_error("late")));
        assert!(is_unknown(&Failed::response_error("garbage", ())));
        assert!(is_unknown(&service(TransactWriteItemsError::InternalServerError(internal))));
        assert!(is_unknown(&service(TransactWriteItemsError::TransactionInProgressException(
            in_progress
        ))));

        assert!(is_unknown(&service(no_code)));
        assert!(!is_unknown(&code("AccessDeniedException")));
        assert!(!is_unknown(&Failed::construction_failure("never sent")));
    }
}
