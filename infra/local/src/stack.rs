//! The stack that is run: the template of this repository, under its usual name.

/// The template.
pub(crate) const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");

/// The stack's name.
pub(crate) const STACK_NAME: &str = "pingback";
