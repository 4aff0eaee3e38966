//! Pages: the results of queries and scans that may have more than one answer holds.

use super::Item;

/// One page of a query or a scan.
#[derive(Debug)]
pub struct Page<T> {
    /// The records found on it.
    pub records: Vec<T>,
    /// How many items DynamoDB read for it, including those that its filter dropped.
    pub items_read: usize,
    /// The end of the page, after which the next one begins; `None` after the last one.
    pub end: Option<Cursor>,
}

/// The end of a page.
#[derive(Debug, Clone)]
pub struct Cursor(pub(super) Item);
