//! Recounting: for each business and month, as many messages as the counters say.
//!
//! Sends go on meanwhile. The counters are therefore read before and after the messages are
//! counted: a message changes both in one transaction and is never deleted, so there are at least
//! as many messages as were counted before, and at most as many as are counted after. Whatever lies
//! outside of that is drift, and no traffic explains it.

use std::collections::BTreeMap;

use serde_json::json;

use crate::Failure;
use crate::command_line::Audit;
use crate::place::Place;
use crate::report::{Progress, Report};
use domain::{BusinessId, Month};
use platform::table::MessageFilter;

/// One business's month.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    before: u64,
    after: u64,
    messages: u64,
}

impl Account {
    /// How many messages too many (above 0) or too few (below) there are.
    fn drift(self) -> i64 {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (least, most, counted) =
            (signed(self.before), signed(self.after), signed(self.messages));
        (counted - most).max(0) - (least - counted).max(0)
    }
}

/// Recounts.
pub(crate) async fn run(
    place: &Place,
    args: &Audit,
    progress: &Progress,
) -> Result<Report, Failure> {
    let mut accounts: BTreeMap<(BusinessId, Month), Account> = BTreeMap::new();
    for (business, month) in open_months(place, args, progress).await? {
        accounts.entry((business, month)).or_default().before =
            used(place, business, month).await?;
    }
    let sought = MessageFilter { business: args.business, month: args.month, status: None };
    let mut page = None;
    loop {
        let (messages, read, next) = place.table.census(sought, page).await?;
        for message in messages {
            accounts.entry((message.business, message.month)).or_default().messages += 1;
        }
        progress.more(read, "items read");
        page = next;
        if page.is_none() {
            break;
        }
    }
    for ((business, month), account) in &mut accounts {
        account.after = used(place, *business, *month).await?;
    }
    Ok(report(&accounts))
}

async fn open_months(
    place: &Place,
    args: &Audit,
    progress: &Progress,
) -> Result<Vec<(BusinessId, Month)>, Failure> {
    let mut all = match args.business {
        Some(business) => {
            place.plan_of(business).await?;
            place.table.months_of(business).await?
        }
        None => {
            let (mut all, mut page) = (Vec::new(), None);
            loop {
                let (months, read, next) = place.table.open_months(page).await?;
                all.extend(months);
                progress.more(read, "items read");
                page = next;
                if page.is_none() {
                    break all;
                }
            }
        }
    };
    all.retain(|(_, month)| args.month.is_none_or(|only| only == *month));
    Ok(all)
}

async fn used(place: &Place, business: BusinessId, month: Month) -> Result<u64, Failure> {
    Ok(place.table.counters(business, month).await?.map_or(0, |usage| usage.used))
}

fn report(accounts: &BTreeMap<(BusinessId, Month), Account>) -> Report {
    let drifting = accounts.values().filter(|account| account.drift() != 0).count();
    let json = accounts.iter().map(|((business, month), account)| {
        let Account { before, after, messages } = account;
        json!({
            "business_id": business, "month": month, "messages": messages, "used_before": before, "used": after,
            "drift": account.drift(),
        })
    });
    let rows = accounts.iter().map(|((business, month), account)| {
        let numbers =
            [account.messages.to_string(), account.after.to_string(), account.drift().to_string()];
        let [messages, used, drift] = numbers;
        [business.to_string(), month.to_string(), messages, used, drift]
    });
    let sentence = match (accounts.len(), drifting) {
        (0, _) => "Nothing has been sent.".to_owned(),
        (all, 0) => format!("No drift in {all} months of businesses."),
        (all, some) => format!("Drift in {some} of {all} months of businesses."),
    };
    Report::of(json!({"accounts": json.collect::<Vec<_>>(), "drifting": drifting}))
        .table(["business", "month", "messages", "used", "drift"], rows.collect())
        .line(sentence)
        .alarming(drifting > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_meanwhile_is_no_drift_and_everything_else_is() {
        let drift = |before, after, messages| Account { before, after, messages }.drift();
        assert_eq!([drift(5, 5, 5), drift(5, 9, 5), drift(5, 9, 9), drift(5, 9, 7)], [0; 4]);
        assert_eq!([drift(5, 5, 4), drift(5, 9, 2)], [-1, -3]);
        assert_eq!([drift(5, 5, 6), drift(5, 9, 12), drift(0, 0, 1)], [1, 3, 1]);
    }
}
