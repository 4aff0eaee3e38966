//! Lists of what was provisioned: businesses, channels, API keys, endpoints. One business's are read
//! by a query; those of all by a scan of the whole table, whose pages are those of the census.

use serde::Deserialize;

use super::record::{ChannelRecord, Credential, Endpoint, Plan};
use super::{Cursor, Item, OperatorTable, Page, item, key, read, text};
use crate::error::InternalError;
use domain::{BusinessId, ChannelId, EndpointId};

/// One of the two items that say what a business is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusinessPart {
    /// Its plan, which every business has.
    Plan(BusinessId, Plan),
    /// Its name.
    Name(BusinessId, String),
}

/// A channel with its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundChannel {
    /// The business it belongs to.
    pub business_id: BusinessId,
    /// The channel's id.
    pub channel_id: ChannelId,
    /// The channel.
    pub record: ChannelRecord,
}

/// An API key by what is stored of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundApiKey {
    /// The business it belongs to.
    pub business_id: BusinessId,
    /// Its hash ([`crate::credential::ApiKey::hash`]).
    pub hash: String,
    /// The key's record.
    pub credential: Credential,
}

/// An endpoint with its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEndpoint {
    /// The business it belongs to.
    pub business_id: BusinessId,
    /// The endpoint's id.
    pub endpoint_id: EndpointId,
    /// The endpoint.
    pub record: Endpoint,
}

/// A business's name as it is stored.
#[derive(Debug, serde::Serialize, Deserialize)]
struct BusinessName {
    name: String,
}

impl OperatorTable<'_> {
    /// The name of a business; `None` if it was given none.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn business_name(
        self,
        business_id: BusinessId,
    ) -> Result<Option<String>, InternalError> {
        let stored: Option<BusinessName> = self.table.get(&key::business(business_id)).await?;
        Ok(stored.map(|stored| stored.name))
    }

    /// Gives a business a name, in place of the one it has.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn name_business(
        self,
        business_id: BusinessId,
        name: &str,
    ) -> Result<(), InternalError> {
        let stored = BusinessName { name: name.to_owned() };
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item(&key::business(business_id), &stored)));
        put.send().await.map(drop).map_err(|error| InternalError::aws("PutItem", error))
    }

    /// One page of the table: the plans and names of businesses in it.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn businesses(
        self,
        page: Option<Cursor>,
    ) -> Result<Page<BusinessPart>, InternalError> {
        let call = self
            .table
            .client
            .scan()
            .table_name(&self.table.name)
            .consistent_read(true)
            .filter_expression("sk IN (:plan, :business)")
            .expression_attribute_values(":plan", text(key::PLAN))
            .expression_attribute_values(":business", text(key::BUSINESS))
            .set_exclusive_start_key(page.map(|page| page.0));
        let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;

        let part = |entry: Entry| {
            Ok(if entry.sk == key::PLAN {
                BusinessPart::Plan(entry.business_id, read(entry.item)?)
            } else {
                let BusinessName { name } = read(entry.item)?;
                BusinessPart::Name(entry.business_id, name)
            })
        };
        page_of(answer.items, answer.scanned_count, answer.last_evaluated_key, part)
    }

    /// One page of the channels of one business, or of all.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn channels(
        self,
        business_id: Option<BusinessId>,
        page: Option<Cursor>,
    ) -> Result<Page<FoundChannel>, InternalError> {
        let found = |entry: Entry| {
            let channel_id = key::parse_channel(&entry.sk)
                .ok_or_else(|| InternalError::new("reading the id of a channel"))?;
            let business_id = entry.business_id;
            Ok(FoundChannel { business_id, channel_id, record: read(entry.item)? })
        };
        self.entries(business_id, key::CHANNEL_PREFIX, page, found).await
    }

    /// One page of the API keys of one business, or of all.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn api_keys(
        self,
        business_id: Option<BusinessId>,
        page: Option<Cursor>,
    ) -> Result<Page<FoundApiKey>, InternalError> {
        let found = |entry: Entry| {
            let hash = key::parse_api_key(&entry.sk)
                .ok_or_else(|| InternalError::new("reading the hash of an API key"))?
                .to_owned();
            let business_id = entry.business_id;
            Ok(FoundApiKey { business_id, hash, credential: read(entry.item)? })
        };
        self.entries(business_id, key::API_KEY_PREFIX, page, found).await
    }

    /// One page of the endpoints of one business, or of all.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn endpoints(
        self,
        business_id: Option<BusinessId>,
        page: Option<Cursor>,
    ) -> Result<Page<FoundEndpoint>, InternalError> {
        let found = |entry: Entry| {
            let endpoint_id = key::parse_endpoint(&entry.sk)
                .ok_or_else(|| InternalError::new("reading the id of an endpoint"))?;
            let business_id = entry.business_id;
            Ok(FoundEndpoint { business_id, endpoint_id, record: read(entry.item)? })
        };
        self.entries(business_id, key::ENDPOINT_PREFIX, page, found).await
    }

    /// One page of the items whose range key begins with `prefix`, in businesses' own partitions.
    async fn entries<T>(
        self,
        business_id: Option<BusinessId>,
        prefix: &str,
        page: Option<Cursor>,
        found: impl Fn(Entry) -> Result<T, InternalError>,
    ) -> Result<Page<T>, InternalError> {
        let start = page.map(|page| page.0);
        let Some(business_id) = business_id else {
            let call = self
                .table
                .client
                .scan()
                .table_name(&self.table.name)
                .consistent_read(true)
                .filter_expression("begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix))
                .set_exclusive_start_key(start);
            let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;
            return page_of(answer.items, answer.scanned_count, answer.last_evaluated_key, found);
        };

        let call = self
            .table
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(key::plan(business_id).pk))
            .expression_attribute_values(":prefix", text(prefix))
            .set_exclusive_start_key(start);
        let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
        page_of(answer.items, answer.scanned_count, answer.last_evaluated_key, found)
    }
}

/// An item of a business's own partition.
struct Entry {
    business_id: BusinessId,
    sk: String,
    item: Item,
}

fn page_of<T>(
    items: Option<Vec<Item>>,
    items_read: i32,
    end: Option<Item>,
    found: impl Fn(Entry) -> Result<T, InternalError>,
) -> Result<Page<T>, InternalError> {
    let entry = |item: Item| {
        let word = |name| item.get(name)?.as_s().ok().cloned();
        let business_id = word(key::PK).and_then(|pk| key::parse_business_partition(&pk));
        let (business_id, sk) = business_id
            .zip(word(key::SK))
            .ok_or_else(|| InternalError::new("reading the business of an item"))?;
        found(Entry { business_id, sk, item })
    };

    let records = items.unwrap_or_default().into_iter().map(entry).collect::<Result<_, _>>()?;
    let items_read = usize::try_from(items_read).unwrap_or_default();
    Ok(Page { records, items_read, end: end.map(Cursor) })
}
