//! Plans: the limit of a business, and its use of the month.

use serde_json::json;

use crate::command_line::{BusinessArgs, ChangePlan};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::report::{Report, time};
use crate::target::Target;
use domain::quota::Usage;
use domain::request_limit::DEFAULT_REQUESTS_PER_MINUTE;
use domain::{BusinessId, Month};
use platform::table::PlanChange;
use platform::table::record::Plan;

/// Shows the plan, and what is used of the running month.
pub(crate) async fn show(target: &Target, args: &BusinessArgs) -> Result<Report, Failure> {
    let month = Month::of(target.now());
    let plan = target.plan_of(args.business_id).await?;
    report(target, args.business_id, &plan, month).await
}

/// Changes the plan. A limit below what the month has used stops the business at once, so the
/// operator has to confirm it.
pub(crate) async fn change(
    target: &Target,
    args: &ChangePlan,
    consent: &Consent,
) -> Result<Report, Failure> {
    let now = target.now();
    let month = Month::of(now);
    let current_plan = target.plan_of(args.business_id).await?;
    let usage = read_usage(target, args.business_id, month, &current_plan).await?;

    if args.limit < usage.used {
        consent.confirm(&format!(
            "{} messages are used in {month}: with a limit of {} the business can send none until \
             {}.",
            usage.used,
            args.limit,
            time(month.resets_at())
        ))?;
    }

    let ChangePlan { business_id, plan, limit, shards, requests_per_minute } = args;
    let change = PlanChange {
        limit: *limit,
        name: plan.as_deref(),
        shards: *shards,
        requests_per_minute: *requests_per_minute,
    };
    let new_plan = target.table.operator().change_plan(*business_id, change, now).await?;
    report(target, *business_id, &new_plan, month).await
}

/// Returns the use of a month; one that is not open yet has all of the plan left.
pub(crate) async fn read_usage(
    target: &Target,
    business_id: BusinessId,
    month: Month,
    plan: &Plan,
) -> Result<Usage, Failure> {
    let counters = target.table.operator().counters(business_id, month).await?;
    Ok(counters.unwrap_or(Usage { limit: plan.max_messages_per_month, used: 0 }))
}

/// Returns the requests a minute that are in force.
pub(crate) fn or_default(requests_per_minute: Option<u32>) -> u32 {
    requests_per_minute.unwrap_or(DEFAULT_REQUESTS_PER_MINUTE)
}

/// Tells the requests a minute that are in force.
pub(crate) fn requests_a_minute(requests_per_minute: Option<u32>) -> String {
    format!("{} a minute, of each credential to each operation", or_default(requests_per_minute))
}

async fn report(
    target: &Target,
    business_id: BusinessId,
    plan: &Plan,
    month: Month,
) -> Result<Report, Failure> {
    let usage = read_usage(target, business_id, month, plan).await?;
    let Plan { name, max_messages_per_month: limit, shards, requests_per_minute, version } = plan;

    let json = json!({
        "business_id": business_id, "plan": name, "limit": limit, "shards": shards,
        "requests_per_minute": or_default(*requests_per_minute),
        "version": version, "month": month, "in_force": usage.limit, "used": usage.used,
        "remaining": usage.remaining(), "resets_at": month.resets_at(),
    });

    Ok(Report::new(json).fields(vec![
        ("plan", format!("{name}, version {version}")),
        ("limit", format!("{limit} messages a month on {shards} shards")),
        ("requests", requests_a_minute(*requests_per_minute)),
        ("month", month.to_string()),
        ("used", format!("{} of {}", usage.used, usage.limit)),
        ("remaining", usage.remaining().to_string()),
        ("resets at", time(month.resets_at())),
    ]))
}
