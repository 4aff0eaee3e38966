//! The first call of accepting a message: one consistent `BatchGetItem` of everything a request is
//! checked against.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use super::record::{Conversation, Credential, Idempotency, Plan, QuotaHead, Upload};
use super::{Item, Table, key, read};
use crate::credential::{Caller, TokenClaims};
use crate::error::InternalError;
use domain::accept::RecordedAnswer;
use domain::{BusinessId, ConversationId, Month, UploadId};

/// The items to read beside the credential.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadRequest<'a> {
    /// The conversation that is addressed.
    pub conversation_id: Option<ConversationId>,
    /// The month to count in: its head and the plan.
    pub month: Option<Month>,
    /// The request's idempotency key.
    pub idempotency_key: Option<&'a str>,
    /// Uploads of the conversation, each once.
    pub uploads: &'a [UploadId],
}

/// The items that a request is checked against.
#[derive(Debug)]
pub struct RequestContext {
    claims: TokenClaims,
    credential: Option<Credential>,
    /// The conversation, if it is the business's own.
    pub conversation: Option<Conversation>,
    /// The month's head, if the month is open.
    pub head: Option<QuotaHead>,
    /// The plan.
    pub plan: Option<Plan>,
    /// The recorded answer of the idempotency key.
    pub first: Option<RecordedAnswer>,
    /// The uploads that there are.
    pub uploads: Vec<Upload>,
}

impl RequestContext {
    /// Who calls, if the stored credential agrees with what the token claims.
    #[must_use]
    pub fn caller(&self, now: DateTime<Utc>) -> Option<Caller> {
        let credential = self.credential.as_ref()?;
        let valid = credential.is_active && credential.valid_until.is_none_or(|until| now < until);
        let agent = match &self.claims {
            TokenClaims::Key(_) => credential.agent,
            TokenClaims::Agent { agent, .. } => Some(*agent),
        };
        valid.then_some(Caller { business_id: self.claims.business_id(), agent })
    }
}

impl Table {
    /// Reads the credential of `claims` and the items that `load` names.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn load_request_context(
        &self,
        claims: TokenClaims,
        load: LoadRequest<'_>,
    ) -> Result<RequestContext, InternalError> {
        let business_id = claims.business_id();
        let credential = credential_key(&claims);
        let conversation = load.conversation_id.map(|id| key::conversation(business_id, id));
        let head = load.month.map(|month| key::quota_head(business_id, month));
        let plan = load.month.map(|_| key::plan(business_id));
        let first = load.idempotency_key.map(|text| key::idempotency(business_id, text));
        let uploads = load
            .conversation_id
            .map(|of| load.uploads.iter().map(move |id| key::upload(business_id, of, *id)));

        let uploads: Vec<key::Key> = uploads.into_iter().flatten().collect();

        let keys = [
            Some(&credential),
            conversation.as_ref(),
            head.as_ref(),
            plan.as_ref(),
            first.as_ref(),
        ];
        let mut items = self.get_all(keys.into_iter().flatten().chain(&uploads).cloned()).await?;

        Ok(RequestContext {
            credential: take_item(&mut items, Some(&credential))?,
            conversation: take_item(&mut items, conversation.as_ref())?,
            head: take_item(&mut items, head.as_ref())?,
            plan: take_item(&mut items, plan.as_ref())?,
            first: take_item::<Idempotency>(&mut items, first.as_ref())?.map(|record| record.first),
            uploads: uploads
                .iter()
                .filter_map(|key| take_item(&mut items, Some(key)).transpose())
                .collect::<Result<_, _>>()?,
            claims,
        })
    }

    /// The business's plan.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn plan(&self, business_id: BusinessId) -> Result<Option<Plan>, InternalError> {
        self.get(&key::plan(business_id)).await
    }
}

fn credential_key(claims: &TokenClaims) -> key::Key {
    match claims {
        TokenClaims::Key(api_key) => key::api_key(api_key.business_id, &api_key.hash()),
        TokenClaims::Agent { business_id, agent } => key::agent(*business_id, *agent),
    }
}

/// Takes the item under `key` out of what a batch returned, in whatever order.
fn take_item<T: DeserializeOwned>(
    items: &mut Vec<Item>,
    key: Option<&key::Key>,
) -> Result<Option<T>, InternalError> {
    let Some(key) = key else { return Ok(None) };
    let has = |item: &Item, name: &str, value: &str| {
        item.get(name).and_then(|found| found.as_s().ok()).is_some_and(|found| found == value)
    };
    let found =
        items.iter().position(|item| has(item, key::PK, &key.pk) && has(item, key::SK, &key.sk));
    found.map(|index| read(items.swap_remove(index))).transpose()
}
