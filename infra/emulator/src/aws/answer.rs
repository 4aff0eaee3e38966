//! Answers that the proxy makes itself, in the shapes of the services.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::authorization::AccessDenied;
use super::call::{Call, Service};

/// An answer with its whole body: files are small enough here.
pub(super) type Answer = Response<Full<Bytes>>;

const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";

/// Returns an answer with another body in place of its own, without the headers that are of the
/// body as it was.
pub(super) fn with_body(mut head: Parts, body: Bytes) -> Answer {
    for name in [CONTENT_LENGTH.as_str(), "x-amz-crc32"] {
        head.headers.remove(name);
    }
    Answer::from_parts(head, Full::new(body))
}

/// Returns a service's error by its code.
pub(super) fn error(call: &Call, code: &str, message: &str) -> Answer {
    if call.service == Service::S3 {
        return s3_error(status(code), code, message);
    }

    let body = json!({ "__type": qualified(call.service, code), "message": message });
    let mut answer = json_answer(call.service, status(code), &body);
    if call.service == Service::Sqs {
        // The SDK prefers this header, with the codes of the former query protocol, over `__type`.
        let fault = if status(code).is_server_error() { "Receiver" } else { "Sender" };
        if let Ok(value) = format!("{code};{fault}").parse() {
            answer.headers_mut().insert("x-amzn-query-error", value);
        }
    }

    answer
}

/// Returns the refusal of a call that the caller's role does not allow.
pub(super) fn access_denied(call: &Call, denied: &AccessDenied) -> Answer {
    let code = match call.service {
        Service::S3 | Service::Sqs => "AccessDenied",
        Service::DynamoDb | Service::SecretsManager => "AccessDeniedException",
    };
    error(call, code, &denied.to_string())
}

/// Returns an error in S3's own form. The message must hold no markup.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
pub(super) fn s3_error(status: StatusCode, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    whole(Service::S3, status, Bytes::from(body))
}

/// Returns DynamoDB's answer when another transaction holds an item. `draw` chooses the item.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
pub(super) fn conflict(call: &Call, request: &[u8], draw: u64) -> Answer {
    if !call.operation.starts_with("Transact") {
        return error(call, "TransactionConflictException", "Transaction is ongoing for the item");
    }

    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    let items = request["TransactItems"].as_array().map_or(1, Vec::len).max(1);
    let hit = usize::try_from(draw % items as u64).unwrap_or_default();
    let code = |position| if position == hit { "TransactionConflict" } else { "None" };
    let reason = |position| match code(position) {
        "None" => json!({ "Code": "None" }),
        code => json!({ "Code": code, "Message": "Transaction is ongoing for the item" }),
    };

    let codes: Vec<_> = (0..items).map(code).collect();
    let body = json!({
        "__type": qualified(call.service, "TransactionCanceledException"),
        "CancellationReasons": (0..items).map(reason).collect::<Vec<_>>(),
        "Message": format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        ),
    });

    json_answer(call.service, StatusCode::BAD_REQUEST, &body)
}

/// Returns a success that no client can read.
pub(super) fn garbage(call: &Call) -> Answer {
    whole(call.service, StatusCode::OK, Bytes::from_static(b"<html>502 Bad Gateway</html>"))
}

/// Returns a success that repeats the request.
pub(super) fn echo(call: &Call, request: Bytes) -> Answer {
    whole(call.service, StatusCode::OK, request)
}

/// Returns the proxy's own error; no service answers so.
pub(super) fn bad_gateway(reason: &str) -> Answer {
    let body = json!({ "__type": "LocalProxyException", "message": reason });
    json_answer(Service::DynamoDb, StatusCode::BAD_GATEWAY, &body)
}

/// Returns the refusal of a request of another site's page.
pub(super) fn forbidden(reason: &str) -> Answer {
    let body = json!({ "__type": "LocalProxyException", "message": reason });
    json_answer(Service::DynamoDb, StatusCode::FORBIDDEN, &body)
}

/// Returns an XML document.
pub(super) fn xml(status: StatusCode, xml: String) -> Answer {
    whole(Service::S3, status, Bytes::from(xml))
}

/// Returns a JSON document.
pub(super) fn json_answer(service: Service, status: StatusCode, body: &Value) -> Answer {
    whole(service, status, Bytes::from(body.to_string()))
}

fn whole(service: Service, status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let content_type = match service {
        Service::DynamoDb | Service::Sqs => JSON_1_0,
        Service::S3 => "application/xml",
        Service::SecretsManager => JSON_1_1,
    };

    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    let id = uuid::Uuid::new_v4().to_string();
    answer.headers_mut().insert("x-amzn-requestid", id.parse().expect("a UUID is a header value"));

    answer
}

fn status(code: &str) -> StatusCode {
    match code {
        "InternalError" | "InternalFailure" | "InternalServerError" | "InternalServiceError" => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        "ServiceUnavailable" | "ServiceUnavailableException" | "SlowDown" => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        "AccessDenied" => StatusCode::FORBIDDEN,
        "NoSuchKey" => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Returns the code with the namespace that its service puts before it.
fn qualified(service: Service, code: &str) -> String {
    let namespace = match (service, code) {
        (Service::S3 | Service::SecretsManager, _) => return code.to_owned(),
        (_, "ThrottlingException") => "com.amazon.coral.availability",
        (_, "ValidationException") => "com.amazon.coral.validate",
        (_, "AccessDeniedException" | "UnrecognizedClientException" | "SerializationException") => {
            "com.amazon.coral.service"
        }
        (Service::DynamoDb, _) => "com.amazonaws.dynamodb.v20120810",
        (Service::Sqs, _) => "com.amazonaws.sqs",
    };
    format!("{namespace}#{code}")
}
