//! The operator's half of the table: provisioning, plans, switches, API keys and the census.

use super::Table;

/// The operator's half of the table.
#[derive(Debug, Clone, Copy)]
pub struct OperatorTable<'a> {
    pub(super) table: &'a Table,
}
