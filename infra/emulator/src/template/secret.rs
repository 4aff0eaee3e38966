//! `AWS::SecretsManager::Secret`: its name. Values are put there by whoever owns them, on one
//! machine also those that Secrets Manager would make up.

use super::TemplateError;
use super::properties::Properties;

/// A secret as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    /// Logical id.
    pub(crate) logical_id: String,
    /// `Name`, or the logical id.
    pub(crate) name: String,
}

impl Secret {
    pub(super) fn read(id: &str, mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let name = properties.literal("Name")?.unwrap_or_else(|| id.to_owned());
        properties.finish(&[
            "Description",
            "GenerateSecretString",
            "KmsKeyId",
            "ReplicaRegions",
            "Tags",
        ])?;
        Ok(Self { logical_id: id.to_owned(), name })
    }
}
