//! Revoking credentials. It takes effect at once: every request reads its credential.

use serde_json::json;

use crate::command_line::{RevokeAgent, RevokeApiKey};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::report::Report;
use crate::target::Target;
use platform::credential::ApiKey;

/// Revokes an API key.
pub(crate) async fn api_key(
    target: &Target,
    args: &RevokeApiKey,
    consent: &Consent,
) -> Result<Report, Failure> {
    let hash = match args.api_key_id.as_str() {
        "-" => read_key_from_input(args)?.hash(),
        hash => hash.to_owned(),
    };
    target.plan_of(args.business_id).await?;
    consent.confirm(&format!("The API key {hash} will be refused from now on, for good."))?;

    if !target.table.operator().revoke_api_key_of_hash(args.business_id, &hash).await? {
        return Err(Failure::new("the business has no such API key"));
    }

    Ok(Report::new(json!({"api_key_id": hash, "revoked": true}))
        .text(format!("The API key {hash} is revoked.")))
}

/// Revokes an agent, and every API key in their name. The agent goes first, and from then on no key
/// can be created in their name: if the command is interrupted, the next run finds every key that
/// is left.
pub(crate) async fn agent(
    target: &Target,
    args: &RevokeAgent,
    consent: &Consent,
) -> Result<Report, Failure> {
    let RevokeAgent { business_id, agent_id } = *args;
    target.plan_of(business_id).await?;
    let key_count = target.table.operator().api_keys_of(business_id, agent_id).await?.len();
    consent.confirm(&format!(
        "Agent {agent_id} and {} in their name will be refused from now on, whatever tokens they \
         hold.",
        count_keys(key_count)
    ))?;

    let agent_exists =
        target.table.operator().set_agent_active(business_id, agent_id, false).await?;

    let hashes = target.table.operator().api_keys_of(business_id, agent_id).await?;
    if !agent_exists && hashes.is_empty() {
        return Err(Failure::new("the business has no such agent"));
    }

    for hash in &hashes {
        target.table.operator().revoke_api_key_of_hash(business_id, hash).await?;
    }

    let rows = hashes.iter().map(|hash| [hash.clone()]).collect();
    let keys = count_keys(hashes.len());
    Ok(Report::new(json!({"agent_id": agent_id, "revoked": true, "api_key_ids": hashes}))
        .text(format!("Agent {agent_id} is revoked, and {keys} in their name."))
        .table(["api key id"], rows))
}

fn count_keys(count: usize) -> String {
    if count == 1 { "1 API key".to_owned() } else { format!("{count} API keys") }
}

fn read_key_from_input(args: &RevokeApiKey) -> Result<ApiKey, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::new(error.to_string()))?;

    let key = ApiKey::parse(line.trim())
        .ok_or_else(|| Failure::new("standard input: this is no API key"))?;
    if key.business_id == args.business_id {
        Ok(key)
    } else {
        Err(Failure::new("--business: the key is another business's"))
    }
}
