//! `AWS::S3::Bucket`: its name, its CORS rules, and the expiration of its objects.

use super::error::TemplateError;
use super::properties::Properties;

/// The bucket as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Logical id.
    pub logical_id: String,
    /// `BucketName`, or the logical id in small letters.
    pub name: String,
    /// The CORS rules; the first that matches counts.
    pub cors: Vec<CorsRule>,
    /// The expiration rules.
    pub expirations: Vec<Expiration>,
}

/// A rule of its `CorsConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsRule {
    /// Origins, `*` for all.
    pub origins: Vec<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Request headers, `*` for all.
    pub headers: Vec<String>,
    /// Response headers that pages may read.
    pub exposed: Vec<String>,
    /// Seconds for which a browser may remember the answer.
    pub max_age: Option<u32>,
}

/// A rule of its `LifecycleConfiguration` that expires objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiration {
    /// Days after an object was made.
    pub days: u32,
    /// The beginning of its key.
    pub prefix: String,
    /// The tags that it has, all of them.
    pub tags: Vec<(String, String)>,
}

impl Bucket {
    pub(super) fn read(id: &str, mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let name = properties.literal("BucketName")?.unwrap_or_else(|| id.to_lowercase());
        let mut bucket =
            Self { logical_id: id.to_owned(), name, cors: Vec::new(), expirations: Vec::new() };

        if let Some(mut cors) = properties.nested("CorsConfiguration")? {
            bucket.cors = cors
                .list("CorsRules")?
                .into_iter()
                .map(CorsRule::read)
                .collect::<Result<_, _>>()?;
            cors.finish(&[])?;
        }

        if let Some(mut lifecycle) = properties.nested("LifecycleConfiguration")? {
            for rule in lifecycle.list("Rules")? {
                bucket.expirations.extend(Expiration::read(rule)?);
            }
            lifecycle.finish(&[])?;
        }

        properties.finish(&[
            "BucketEncryption",
            "LoggingConfiguration",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "Tags",
        ])?;

        Ok(bucket)
    }
}

impl CorsRule {
    fn read(mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let rule = Self {
            origins: properties.literals("AllowedOrigins")?,
            methods: properties.literals("AllowedMethods")?,
            headers: properties.literals("AllowedHeaders")?,
            exposed: properties.literals("ExposedHeaders")?,
            max_age: properties.parsed("MaxAge")?,
        };
        properties.finish(&["Id"])?;
        Ok(rule)
    }
}

impl Expiration {
    /// Reads a rule; `None` for one that is switched off, or concerns multipart uploads, which the
    /// local S3 does not have.
    fn read(mut properties: Properties<'_>) -> Result<Option<Self>, TemplateError> {
        let enabled = properties.required("Status")? == "Enabled";
        let days: Option<u32> = properties.parsed("ExpirationInDays")?;
        let prefix = properties.literal("Prefix")?.unwrap_or_default();
        let tag = |mut filter: Properties<'_>| {
            let tag = (filter.required("Key")?, filter.required("Value")?);
            filter.finish(&[]).map(|()| tag)
        };
        let tags = properties.list("TagFilters")?.into_iter().map(tag).collect::<Result<_, _>>()?;
        properties.finish(&["AbortIncompleteMultipartUpload", "Id"])?;
        Ok(days.filter(|_| enabled).map(|days| Self { days, prefix, tags }))
    }
}
