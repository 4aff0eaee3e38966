//! Lists that DynamoDB returns page by page.

use crate::failure::Failure;
use crate::report::Progress;
use platform::InternalError;
use platform::table::{Cursor, Page};

/// Reads every page, from the first one on, and counts the items that DynamoDB reads for them.
pub(crate) async fn read_pages<T>(
    progress: &Progress,
    read: impl AsyncFn(Option<Cursor>) -> Result<Page<T>, InternalError>,
) -> Result<Vec<T>, Failure> {
    let mut records = Vec::new();
    let mut cursor = None;
    loop {
        let page = read(cursor).await?;
        progress.advance(page.items_read, "items read");
        records.extend(page.records);

        cursor = page.end;
        if cursor.is_none() {
            return Ok(records);
        }
    }
}
