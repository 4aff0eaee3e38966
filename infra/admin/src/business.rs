//! A business as operators see it: its name, its plan and its channels.

use serde_json::json;

use crate::command_line::{BusinessArgs, ChangeBusiness};
use crate::failure::Failure;
use crate::inventory::{channel_json, channel_table};
use crate::names::BusinessNames;
use crate::plan::read_usage;
use crate::report::{Progress, Report, or_dash};
use crate::target::Target;
use domain::Month;

/// Shows a business.
pub(crate) async fn show(
    target: &Target,
    args: &BusinessArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    let business_id = args.business_id;
    let month = Month::of(target.now());
    let plan = target.plan_of(business_id).await?;
    let usage = read_usage(target, business_id, month, &plan).await?;
    let names = BusinessNames::read(target, [business_id]).await?;
    let channels = target.channels(Some(business_id), progress).await?;

    let json = json!({
        "business_id": business_id, "business_name": names.name(business_id), "plan": plan.name,
        "month": month, "limit": plan.max_messages_per_month, "used": usage.used,
        "channels": channel_json(&channels, &names, target.now()),
    });

    let (heading, rows) = channel_table(&channels, &BusinessNames::default(), target.now());
    Ok(Report::new(json)
        .fields(vec![
            ("business", business_id.to_string()),
            ("name", or_dash(names.name(business_id))),
            ("plan", format!("{}: {} messages a month", plan.name, plan.max_messages_per_month)),
            ("used", format!("{} of {} in {month}", usage.used, usage.limit)),
        ])
        .table(heading, rows))
}

/// Gives a business another name.
pub(crate) async fn change(target: &Target, args: &ChangeBusiness) -> Result<Report, Failure> {
    let ChangeBusiness { business_id, name } = args;
    target.plan_of(*business_id).await?;
    target.table.operator().name_business(*business_id, name).await?;

    Ok(Report::new(json!({"business_id": business_id, "business_name": name}))
        .text(format!("Business {business_id} is called {name}.")))
}
