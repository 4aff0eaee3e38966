//! Names of businesses, read once each.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::failure::Failure;
use crate::target::Target;
use domain::BusinessId;

/// The names that a report needs.
#[derive(Debug, Default)]
pub(crate) struct BusinessNames(BTreeMap<BusinessId, Option<String>>);

impl BusinessNames {
    /// Reads the names of these businesses.
    pub(crate) async fn read(
        target: &Target,
        business_ids: impl IntoIterator<Item = BusinessId>,
    ) -> Result<BusinessNames, Failure> {
        let mut names = BTreeMap::new();
        for business_id in business_ids {
            if let Entry::Vacant(unknown) = names.entry(business_id) {
                unknown.insert(target.table.operator().business_name(business_id).await?);
            }
        }

        Ok(BusinessNames(names))
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
