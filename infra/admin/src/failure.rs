//! Why a command ended without doing its work.

use std::collections::BTreeMap;

use platform::{InternalError, settings};

/// The services that the command line calls, as the SDKs' variables name them.
const SERVICES: [&str; 5] = ["DYNAMODB", "SQS", "S3", "SECRETS_MANAGER", "CLOUDFORMATION"];

/// The reason why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The input or the state of the system is at fault; the sentence says what to do.
    #[error("{0}")]
    Rejected(String),
    /// AWS did not answer, or an item in it cannot be read.
    #[error("{}", explain(.0))]
    Internal(#[from] InternalError),
    /// The operator did not confirm.
    #[error("{0}")]
    NotConfirmed(String),
}

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Failure {
        Failure::Rejected(sentence.into())
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Rejected(_) | Failure::Internal(_) => 1,
            Failure::NotConfirmed(_) => 3,
        }
    }
}

/// Returns the whole chain of an error, and where nothing listens if that is its cause.
pub(crate) fn explain(error: &InternalError) -> String {
    let chain = error.chain_with_aws_message();
    if !error.is_refused_connection() {
        return chain;
    }

    let addresses = endpoints();
    if addresses.is_empty() {
        return format!("{chain}. AWS cannot be reached: is AWS_REGION right, and the network up?");
    }
    let addresses: Vec<_> =
        addresses.iter().map(|(url, variable)| format!("{url} ({variable})")).collect();
    format!(
        "{chain}. Nothing listens at {}: does `cargo local` run, and did it print this address? \
         For AWS itself, unset the variable.",
        addresses.join(" or ")
    )
}

/// Returns the addresses that stand in for AWS, with the variable that names each.
fn endpoints() -> BTreeMap<String, String> {
    let variables = SERVICES.map(|service| format!("AWS_ENDPOINT_URL_{service}"));
    let variables = variables.into_iter().chain(["AWS_ENDPOINT_URL".to_owned()]);
    variables
        .filter_map(|variable| settings::optional(&variable).map(|url| (url, variable)))
        .collect()
}
