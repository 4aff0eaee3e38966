//! The one account that everything on this machine belongs to.

/// The region everything is in.
pub const REGION: &str = "us-east-1";
/// The account everything belongs to.
pub const ACCOUNT_ID: &str = "000000000000";
/// The partition in every ARN.
pub const PARTITION: &str = "aws";
/// The end of every AWS host name.
pub const URL_SUFFIX: &str = "amazonaws.com";
