//! The stack as CloudFormation tells operators of it.

use std::collections::BTreeMap;

use super::options::Urls;
use super::reference::{value, with_local_hosts};
use crate::aws::{PhysicalIds, StackDescription};
use crate::template::Stack;

/// Returns the template's outputs that have a value on this machine, and the physical ids of what
/// was made.
pub(super) fn describe(stack: &Stack, made: &PhysicalIds, urls: &Urls) -> StackDescription {
    let outputs = stack.outputs.iter().filter_map(|(name, text)| {
        let value = text.fill(|reference| value(reference, stack, made, urls)).ok()?;
        Some((name.clone(), with_local_hosts(&value, urls)))
    });

    let mut resources: BTreeMap<String, String> = made.queue_urls.clone();
    resources.extend(made.secret_arns.clone());
    resources
        .extend(stack.table.iter().map(|table| (table.logical_id.clone(), made.table.clone())));

    resources
        .extend(stack.bucket.iter().map(|bucket| (bucket.logical_id.clone(), made.bucket.clone())));

    StackDescription { name: stack.name.clone(), outputs: outputs.collect(), resources }
}
