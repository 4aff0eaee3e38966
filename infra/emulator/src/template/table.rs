//! `AWS::DynamoDB::Table`: what `CreateTable` and `UpdateTimeToLive` need to know.

use super::error::TemplateError;
use super::properties::Properties;

/// The table as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Logical id.
    pub logical_id: String,
    /// `TableName`, if the template insists on one.
    pub name: Option<String>,
    /// Key attributes of table and indexes with their types, `S`, `N` or `B`.
    pub attributes: Vec<(String, String)>,
    /// The table's own keys.
    pub keys: KeySchema,
    /// Global secondary indexes.
    pub indexes: Vec<Index>,
    /// The attribute that holds an item's end, in seconds since 1970.
    pub time_to_live: Option<String>,
    /// The parts of a changed item that its stream carries: `NEW_AND_OLD_IMAGES`; `None` without a
    /// stream.
    pub stream: Option<String>,
}

/// Partition and sort key by attribute name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySchema {
    /// The `HASH` key.
    pub partition: String,
    /// The `RANGE` key.
    pub sort: Option<String>,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// `IndexName`.
    pub name: String,
    /// Its keys.
    pub keys: KeySchema,
    /// The attributes that it carries besides them.
    pub projection: Projection,
}

/// Attributes that an index carries besides the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projection {
    /// All attributes of the item.
    All,
    /// No other attributes.
    KeysOnly,
    /// These attributes.
    Include(Vec<String>),
}

impl Table {
    pub(super) fn read(id: &str, mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let billing = properties.literal("BillingMode")?;
        if billing.as_deref() != Some("PAY_PER_REQUEST") {
            return Err(properties
                .error("the local table is billed per request: set BillingMode: PAY_PER_REQUEST"));
        }

        let attribute = |mut definition: Properties<'_>| {
            let attribute =
                (definition.required("AttributeName")?, definition.required("AttributeType")?);
            definition.finish(&[]).map(|()| attribute)
        };

        let table = Self {
            logical_id: id.to_owned(),
            name: properties.literal("TableName")?,
            attributes: properties
                .list("AttributeDefinitions")?
                .into_iter()
                .map(attribute)
                .collect::<Result<_, _>>()?,
            keys: KeySchema::read(&mut properties)?,
            indexes: properties
                .list("GlobalSecondaryIndexes")?
                .into_iter()
                .map(Index::read)
                .collect::<Result<_, _>>()?,
            time_to_live: time_to_live(&mut properties)?,
            stream: stream(&mut properties)?,
        };

        properties.finish(&[
            "ContributorInsightsSpecification",
            "DeletionProtectionEnabled",
            "PointInTimeRecoverySpecification",
            "SSESpecification",
            "TableClass",
            "Tags",
        ])?;

        Ok(table)
    }
}

impl KeySchema {
    fn read(properties: &mut Properties<'_>) -> Result<Self, TemplateError> {
        let (mut partition, mut sort) = (None, None);
        for mut key in properties.list("KeySchema")? {
            let name = key.required("AttributeName")?;
            match key.required("KeyType")?.as_str() {
                "HASH" => partition = Some(name),
                "RANGE" => sort = Some(name),
                other => {
                    return Err(key.error(format!("KeyType {other} is neither HASH nor RANGE")));
                }
            }
            key.finish(&[])?;
        }

        let partition =
            partition.ok_or_else(|| properties.error("its KeySchema has no HASH key"))?;
        Ok(Self { partition, sort })
    }
}

impl Index {
    fn read(mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let name = properties.required("IndexName")?;
        let keys = KeySchema::read(&mut properties)?;
        let mut projection = properties
            .nested("Projection")?
            .ok_or_else(|| properties.error("an index needs a Projection"))?;

        let carried = match projection.required("ProjectionType")?.as_str() {
            "ALL" => Projection::All,
            "KEYS_ONLY" => Projection::KeysOnly,
            "INCLUDE" => Projection::Include(projection.literals("NonKeyAttributes")?),
            other => return Err(projection.error(format!("there is no ProjectionType {other}"))),
        };

        projection.finish(&[])?;
        properties.finish(&["ContributorInsightsSpecification"])?;

        Ok(Self { name, keys, projection: carried })
    }
}

fn time_to_live(properties: &mut Properties<'_>) -> Result<Option<String>, TemplateError> {
    let Some(mut specification) = properties.nested("TimeToLiveSpecification")? else {
        return Ok(None);
    };
    let attribute = specification.required("AttributeName")?;
    let enabled: bool = specification.parsed("Enabled")?.unwrap_or(false);
    specification.finish(&[])?;
    Ok(enabled.then_some(attribute))
}

fn stream(properties: &mut Properties<'_>) -> Result<Option<String>, TemplateError> {
    let Some(mut specification) = properties.nested("StreamSpecification")? else {
        return Ok(None);
    };
    let view = specification.required("StreamViewType")?;
    specification.finish(&[])?;
    Ok(Some(view))
}
