//! Taking credentials away. It counts at once: every request reads its credential.

use crate::command_line::{RevokeAgent, RevokeApiKey};
use crate::place::Place;
use crate::report::Report;
use crate::{Consent, Failure};
use platform::credential::ApiKey;
use serde_json::json;

/// An API key.
pub(crate) async fn api_key(place: &Place, args: &RevokeApiKey, consent: &Consent) -> Result<Report, Failure> {
    let hash = match args.key.as_str() {
        "-" => key_of_input(args)?.hash(),
        hash => hash.to_owned(),
    };
    consent.ask(&format!("The API key {hash} will be refused from now on, for good."))?;
    if !place.table.revoke_api_key_of_hash(args.business, &hash).await? {
        return Err(Failure::new("the business has no such API key"));
    }
    Ok(Report::of(json!({"revoked": hash})).line(format!("The API key {hash} is revoked.")))
}

/// An agent.
pub(crate) async fn agent(place: &Place, args: &RevokeAgent, consent: &Consent) -> Result<Report, Failure> {
    consent.ask(&format!("Agent {} will be refused from now on, whatever tokens they hold.", args.agent))?;
    if !place.table.set_agent_active(args.business, args.agent, false).await? {
        return Err(Failure::new("the business has no such agent"));
    }
    Ok(Report::of(json!({"revoked": args.agent})).line(format!("Agent {} is revoked.", args.agent)))
}

fn key_of_input(args: &RevokeApiKey) -> Result<ApiKey, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::new(error.to_string()))?;
    let key = ApiKey::parse(line.trim()).ok_or_else(|| Failure::new("standard input: this is no API key"))?;
    if key.business == args.business { Ok(key) } else { Err(Failure::new("--business: the key is another business's")) }
}
