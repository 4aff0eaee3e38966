//! Names of businesses, read once each.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::failure::Failure;
use crate::target::Target;
use domain::BusinessId;

/// How many names are read side by side.
const READS_AT_ONCE: usize = 16;

/// The names that a report needs.
#[derive(Debug, Default)]
pub(crate) struct BusinessNames(BTreeMap<BusinessId, Option<String>>);

impl BusinessNames {
    /// Reads the names of these businesses.
    pub(crate) async fn read(
        target: &Target,
        business_ids: impl IntoIterator<Item = BusinessId>,
    ) -> Result<BusinessNames, Failure> {
        let business_ids: BTreeSet<BusinessId> = business_ids.into_iter().collect();
        let reads = business_ids.into_iter().map(async |business_id| {
            let name = target.table.operator().business_name(business_id).await;
            name.map(|name| (business_id, name))
        });

        let names = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        Ok(BusinessNames(names.try_collect().await?))
    }

    /// Returns a business's name, if it has one.
    pub(crate) fn name(&self, business_id: BusinessId) -> Option<&str> {
        self.0.get(&business_id)?.as_deref()
    }

    /// Returns a business's name for a table, which is empty if it has none.
    pub(crate) fn cell(&self, business_id: BusinessId) -> String {
        self.name(business_id).unwrap_or_default().to_owned()
    }
}
