//! `AWS::SecretsManager::Secret`: its name. The embedder puts the values, also those that Secrets
//! Manager would generate.

use super::error::TemplateError;
use super::properties::Properties;

/// A secret as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Logical id.
    pub logical_id: String,
    /// `Name`, or the logical id.
    pub name: String,
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
