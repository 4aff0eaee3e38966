//! Recounting: compares, for each business and month, the number of messages with the counters.
//!
//! Sends go on meanwhile. The counters are therefore read before and after the messages are
//! counted: a message changes both in one transaction and outlives its month, so there are at least
//! as many messages as were counted before, and at most as many as are counted after. A number
//! outside of these bounds is drift, and no traffic explains it.
//!
//! Of a month whose first messages have been kept for as long as the stack keeps messages, some are
//! gone: there, only messages that were not counted are drift. That goes by the stack's parameter
//! as it is now: after it was raised or switched off, months of the shorter time show as drift.

use std::collections::BTreeMap;

use serde_json::json;

use crate::command_line::AuditArgs;
use crate::failure::Failure;
use crate::pages::read_pages;
use crate::report::{Progress, Report};
use crate::target::Target;
use domain::{BusinessId, Month};
use platform::table::{MessageFilter, OpenMonth};

/// Counts of one business's month.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    used_before: u64,
    used_after: u64,
    messages: u64,
    /// Whether messages of the month may have been deleted because their time was over.
    is_expiring: bool,
}

impl Account {
    /// Returns how many messages there are too many (above 0) or too few (below).
    fn drift(self) -> i64 {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let least = signed(self.used_before);
        let most = signed(self.used_after);
        let messages = signed(self.messages);

        let missing = if self.is_expiring { 0 } else { (least - messages).max(0) };

        (messages - most).max(0) - missing
    }
}

/// Recounts the messages of one business or of all.
pub(crate) async fn run(
    target: &Target,
    args: &AuditArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    let mut accounts: BTreeMap<(BusinessId, Month), Account> = BTreeMap::new();
    for OpenMonth { business_id, month } in read_open_months(target, args, progress).await? {
        let used = read_used(target, business_id, month).await?;
        accounts.entry((business_id, month)).or_default().used_before = used;
    }

    let retention = target.message_retention()?;
    let now = target.now().timestamp();
    for ((_, month), account) in &mut accounts {
        let first_expiry = retention.keep_until(month.begins_at());
        account.is_expiring = first_expiry.is_some_and(|at| at <= now);
    }

    let filter = MessageFilter { business_id: args.business_id, month: args.month };
    let mut cursor = None;
    loop {
        let page = target.table.operator().census(filter, cursor).await?;
        for OpenMonth { business_id, month } in page.records {
            accounts.entry((business_id, month)).or_default().messages += 1;
        }

        progress.advance(page.items_read, "items read");

        cursor = page.end;
        if cursor.is_none() {
            break;
        }
    }

    for ((business_id, month), account) in &mut accounts {
        account.used_after = read_used(target, *business_id, *month).await?;
    }

    Ok(report(&accounts))
}

async fn read_open_months(
    target: &Target,
    args: &AuditArgs,
    progress: &Progress,
) -> Result<Vec<OpenMonth>, Failure> {
    let mut open_months = match args.business_id {
        Some(business_id) => {
            target.plan_of(business_id).await?;
            target.table.operator().months_of(business_id).await?
        }
        None => {
            let table = target.table.operator();
            read_pages(progress, async |at| table.open_months(at).await).await?
        }
    };

    open_months.retain(|open| args.month.is_none_or(|only| only == open.month));
    Ok(open_months)
}

async fn read_used(target: &Target, business_id: BusinessId, month: Month) -> Result<u64, Failure> {
    Ok(target.table.operator().counters(business_id, month).await?.map_or(0, |usage| usage.used))
}

fn report(accounts: &BTreeMap<(BusinessId, Month), Account>) -> Report {
    let drifting = accounts.values().filter(|account| account.drift() != 0).count();

    let json: Vec<_> = accounts
        .iter()
        .map(|((business_id, month), account)| {
            let Account { used_before, used_after, messages, is_expiring } = account;
            json!({
                "business_id": business_id, "month": month, "message_count": messages,
                "used_before": used_before, "used": used_after, "drift": account.drift(), "expiring": is_expiring,
            })
        })
        .collect();

    let rows = accounts
        .iter()
        .map(|((business_id, month), account)| {
            [
                business_id.to_string(),
                month.to_string(),
                account.messages.to_string(),
                account.used_after.to_string(),
                account.drift().to_string(),
            ]
        })
        .collect();

    let sentence = match (accounts.len(), drifting) {
        (0, _) => "Nothing has been sent.".to_owned(),
        (all, 0) => format!("No drift in {all} months of businesses."),
        (all, some) => format!("Drift in {some} of {all} months of businesses."),
    };

    Report::new(json!({"accounts": json, "drifting": drifting}))
        .table(["business", "month", "messages", "used", "drift"], rows)
        .text(sentence)
        .found_problems(drifting > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_sent_during_the_audit_are_no_drift_and_any_other_difference_is() {
        let drift = |used_before, used_after, messages| {
            Account { used_before, used_after, messages, is_expiring: false }.drift()
        };
        let expiring = |messages| {
            Account { used_before: 5, used_after: 5, messages, is_expiring: true }.drift()
        };
        assert_eq!([expiring(0), expiring(5), expiring(6)], [0, 0, 1]);
        assert_eq!([drift(5, 5, 5), drift(5, 9, 5), drift(5, 9, 9), drift(5, 9, 7)], [0; 4]);
        assert_eq!([drift(5, 5, 4), drift(5, 9, 2)], [-1, -3]);
        assert_eq!([drift(5, 5, 6), drift(5, 9, 12), drift(0, 0, 1)], [1, 3, 1]);
    }
}
