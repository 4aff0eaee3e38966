//! What a business may send, and what it has sent.

use serde_json::json;

use crate::command_line::{ChangePlan, OfBusiness};
use crate::place::Place;
use crate::report::{Report, time};
use crate::{Consent, Failure};
use domain::quota::Usage;
use domain::{BusinessId, Month};
use platform::table::record::Plan;

/// The plan, and the running month.
pub(crate) async fn show(place: &Place, args: &OfBusiness) -> Result<Report, Failure> {
    let month = Month::of(place.now());
    let plan = place.plan_of(args.business).await?;
    report(place, args.business, &plan, month).await
}

/// Another plan. A limit below what the month has used stops the business at once: that is asked
/// about.
pub(crate) async fn change(
    place: &Place,
    args: &ChangePlan,
    consent: &Consent,
) -> Result<Report, Failure> {
    let now = place.now();
    let month = Month::of(now);
    let before = place.plan_of(args.business).await?;
    let usage = usage(place, args.business, month, &before).await?;
    if args.limit < usage.used {
        consent.ask(&format!(
            "{} messages are used in {month}: with a limit of {} the business can send none until {}.",
            usage.used,
            args.limit,
            time(month.resets_at())
        ))?;
    }
    let ChangePlan { business, plan, limit, shards } = args;
    let after = place.table.change_plan(*business, plan.as_deref(), *limit, *shards, now).await?;
    report(place, *business, &after, month).await
}

async fn usage(
    place: &Place,
    business: BusinessId,
    month: Month,
    plan: &Plan,
) -> Result<Usage, Failure> {
    let counters = place.table.counters(business, month).await?;
    Ok(counters.unwrap_or(Usage { limit: plan.max_messages_per_month, used: 0 }))
}

async fn report(
    place: &Place,
    business: BusinessId,
    plan: &Plan,
    month: Month,
) -> Result<Report, Failure> {
    let usage = usage(place, business, month, plan).await?;
    let Plan { name, max_messages_per_month: limit, shards, version } = plan;
    let json = json!({
        "business_id": business, "plan": name, "limit": limit, "shards": shards, "version": version,
        "month": month, "in_force": usage.limit, "used": usage.used, "remaining": usage.remaining(),
        "resets_at": month.resets_at(),
    });
    Ok(Report::of(json).fields(vec![
        ("plan", format!("{name}, version {version}")),
        ("limit", format!("{limit} messages a month on {shards} shards")),
        ("month", month.to_string()),
        ("used", format!("{} of {}", usage.used, usage.limit)),
        ("remaining", usage.remaining().to_string()),
        ("resets at", time(month.resets_at())),
    ]))
}
