//! The first call of accepting a message: one consistent `BatchGetItem` of everything a request is
//! checked against.

use chrono::{DateTime, NaiveDate, Utc};

use super::record::{Conversation, Credential, Idempotency, Plan, QuotaHead, Upload};
use super::{Table, key, take_item};
use crate::credential::{Caller, TokenClaims};
use crate::error::InternalError;
use domain::accept::RecordedAnswer;
use domain::file::UnreferencedUploads;
use domain::quota::{Shard, Usage};
use domain::{BusinessId, ConversationId, Month, Scope, UploadId};

/// The items to read beside the credential and the plan.
#[derive(Clone, Copy, Default)]
pub struct LoadRequest<'a> {
    /// The conversation that is addressed.
    pub conversation_id: Option<ConversationId>,
    /// The month to count in.
    pub month: Option<Month>,
    /// Whether the month's first shard is read as well.
    pub first_shard: bool,
    /// The key of the record of the request's idempotency key.
    pub idempotency_key: Option<&'a key::Key>,
    /// Uploads of the conversation, each once.
    pub uploads: &'a [UploadId],
    /// The day whose unreferenced uploads are counted, and those of the day before.
    pub upload_day: Option<NaiveDate>,
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
    /// The month's first shard.
    pub first_shard: Option<Shard>,
    /// The plan.
    pub plan: Option<Plan>,
    /// The recorded answer of the idempotency key.
    pub first: Option<RecordedAnswer>,
    /// The uploads that there are.
    pub uploads: Vec<Upload>,
    /// The day's unreferenced uploads.
    pub uploads_today: UnreferencedUploads,
    /// Those of the day before.
    pub uploads_yesterday: UnreferencedUploads,
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

    /// Returns the key of the credential, by which its requests are counted.
    #[must_use]
    pub fn credential_key(&self) -> key::Key {
        credential_key(&self.claims)
    }

    /// Returns the month's usage as far as it was read: exact where a plan has one shard, and
    /// estimated by the first of several. `None` without a plan, or if head and shard were read in
    /// the middle of a change.
    #[must_use]
    pub fn month_usage(&self) -> Option<Usage> {
        let Some(head) = &self.head else {
            let plan = self.plan.as_ref()?;
            return Some(Usage { limit: plan.max_messages_per_month, used: 0 });
        };
        if head.is_spent() {
            return Some(Usage { limit: head.limit, used: head.limit });
        }

        let Shard { used, cap } = self.first_shard?;
        let left = cap.saturating_sub(used).saturating_mul(head.shards.into());
        Some(Usage { limit: head.limit, used: head.limit.saturating_sub(left) })
    }

    /// Whether the stored credential has this scope.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.credential.as_ref().is_some_and(|credential| credential.scopes.contain(scope))
    }
}

impl Table {
    /// Reads the credential of `claims`, the plan, and the items that `load` names.
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
        let first_shard = load.month.filter(|_| load.first_shard);
        let first_shard = first_shard.map(|month| key::quota_shard(business_id, month, 0));
        let plan = key::plan(business_id);
        let uploads = load
            .conversation_id
            .map(|of| load.uploads.iter().map(move |id| key::upload(business_id, of, *id)));

        let uploads: Vec<key::Key> = uploads.into_iter().flatten().collect();

        let count_key = |day: NaiveDate| key::unreferenced_uploads(business_id, day);
        let today = load.upload_day.map(count_key);
        let yesterday = load.upload_day.and_then(|day| day.pred_opt()).map(count_key);

        let keys = [
            Some(&credential),
            conversation.as_ref(),
            head.as_ref(),
            first_shard.as_ref(),
            Some(&plan),
            load.idempotency_key,
            today.as_ref(),
            yesterday.as_ref(),
        ];
        let mut items = self.get_all(keys.into_iter().flatten().chain(&uploads)).await?;

        Ok(RequestContext {
            credential: take_item(&mut items, Some(&credential))?,
            conversation: take_item(&mut items, conversation.as_ref())?,
            head: take_item(&mut items, head.as_ref())?,
            first_shard: take_item(&mut items, first_shard.as_ref())?,
            plan: take_item(&mut items, Some(&plan))?,
            first: take_item::<Idempotency>(&mut items, load.idempotency_key)?
                .map(|record| record.first),
            uploads: uploads
                .iter()
                .filter_map(|key| take_item(&mut items, Some(key)).transpose())
                .collect::<Result<_, _>>()?,
            uploads_today: take_item(&mut items, today.as_ref())?.unwrap_or_default(),
            uploads_yesterday: take_item(&mut items, yesterday.as_ref())?.unwrap_or_default(),
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
