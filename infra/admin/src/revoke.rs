//! Taking credentials away. It counts at once: every request reads its credential.

use serde_json::json;

use crate::command_line::{RevokeAgent, RevokeApiKey};
use crate::place::Place;
use crate::report::Report;
use crate::{Consent, Failure};
use platform::credential::ApiKey;

/// An API key.
pub(crate) async fn api_key(
    place: &Place,
    args: &RevokeApiKey,
    consent: &Consent,
) -> Result<Report, Failure> {
    let hash = match args.key.as_str() {
        "-" => key_of_input(args)?.hash(),
        hash => hash.to_owned(),
    };
    place.plan_of(args.business).await?;
    consent.ask(&format!("The API key {hash} will be refused from now on, for good."))?;
    if !place.table.revoke_api_key_of_hash(args.business, &hash).await? {
        return Err(Failure::new("the business has no such API key"));
    }
    Ok(Report::of(json!({"revoked": hash})).line(format!("The API key {hash} is revoked.")))
}

/// An agent, and every API key in their name. The agent goes first, and then no key can come after
/// those that are found: whoever dies in between does it again, and again finds all that are left.
pub(crate) async fn agent(
    place: &Place,
    args: &RevokeAgent,
    consent: &Consent,
) -> Result<Report, Failure> {
    let RevokeAgent { business, agent } = *args;
    place.plan_of(business).await?;
    let keys = place.table.api_keys_of(business, agent).await?.len();
    consent.ask(&format!(
        "Agent {agent} and {} in their name will be refused from now on, whatever tokens they hold.",
        count_of_keys(keys)
    ))?;
    let is_there = place.table.set_agent_active(business, agent, false).await?;
    let hashes = place.table.api_keys_of(business, agent).await?;
    if !is_there && hashes.is_empty() {
        return Err(Failure::new("the business has no such agent"));
    }
    for hash in &hashes {
        place.table.revoke_api_key_of_hash(business, hash).await?;
    }
    let rows = hashes.iter().map(|hash| [hash.clone()]).collect();
    let line =
        format!("Agent {agent} is revoked, and {} in their name.", count_of_keys(hashes.len()));
    Ok(Report::of(json!({"revoked": agent, "api_keys": hashes}))
        .line(line)
        .table(["api key id"], rows))
}

fn count_of_keys(count: usize) -> String {
    if count == 1 { "1 API key".to_owned() } else { format!("{count} API keys") }
}

fn key_of_input(args: &RevokeApiKey) -> Result<ApiKey, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::new(error.to_string()))?;
    let key = ApiKey::parse(line.trim())
        .ok_or_else(|| Failure::new("standard input: this is no API key"))?;
    if key.business == args.business {
        Ok(key)
    } else {
        Err(Failure::new("--business: the key is another business's"))
    }
}
