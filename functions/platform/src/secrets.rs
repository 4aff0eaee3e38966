//! Secrets Manager, read seldom: a value is kept for five minutes, and fetched anew, at most every
//! ten seconds, when somebody misses something in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::credential::{SigningKey, SigningKeys};
use crate::error::InternalError;

const KEPT: Duration = Duration::from_secs(300);
const AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// Secrets, by ARN or name.
#[derive(Debug, Clone)]
pub struct Secrets {
    client: aws_sdk_secretsmanager::Client,
    kept: Arc<Mutex<Kept>>,
}

/// Each secret's text, and since when it is known.
type Kept = HashMap<String, (Instant, Arc<str>)>;

impl Secrets {
    /// Reads through `aws`.
    #[must_use]
    pub fn new(aws: &crate::aws::Aws) -> Secrets {
        let client = aws_sdk_secretsmanager::Client::new(&aws.service("SECRETS_MANAGER"));
        Secrets { client, kept: Arc::default() }
    }

    /// The secret's text.
    ///
    /// # Errors
    /// If it cannot be fetched, or is binary.
    pub async fn text(&self, id: &str) -> Result<Arc<str>, InternalError> {
        self.not_older_than(id, KEPT).await
    }

    /// The secret's text, fetched anew unless that was done just now: for whoever was told that it
    /// is out of date.
    ///
    /// # Errors
    /// If it cannot be fetched, or is binary.
    pub async fn refreshed(&self, id: &str) -> Result<Arc<str>, InternalError> {
        self.not_older_than(id, AT_MOST_EVERY).await
    }

    async fn not_older_than(&self, id: &str, age: Duration) -> Result<Arc<str>, InternalError> {
        let known = self.kept().get(id).cloned();
        if let Some((since, text)) = &known
            && since.elapsed() < age
        {
            return Ok(text.clone());
        }
        match (self.fetch(id).await, known) {
            (Ok(text), _) => {
                self.kept().insert(id.to_owned(), (Instant::now(), text.clone()));
                Ok(text)
            }
            // Better what was true five minutes ago than nothing at all.
            (Err(broken), Some((_, text))) => {
                tracing::warn!(
                    secret = id,
                    error = broken.chain(),
                    "a secret could not be read again"
                );
                Ok(text)
            }
            (Err(broken), None) => Err(broken),
        }
    }

    async fn fetch(&self, id: &str) -> Result<Arc<str>, InternalError> {
        let answer = self.client.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|error| InternalError::aws("GetSecretValue", error))?;
        Ok(answer
            .secret_string()
            .ok_or_else(|| InternalError::new(format!("the secret {id} holds no text")))?
            .into())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys that sign one kind of token, out of their secret.
#[derive(Debug, Clone)]
pub struct TokenKeys {
    secrets: Secrets,
    id: String,
}

impl TokenKeys {
    /// The keys in the secret `id`.
    #[must_use]
    pub fn new(secrets: Secrets, id: String) -> TokenKeys {
        TokenKeys { secrets, id }
    }

    /// The key that `token` names, if it is one of ours. A name never seen has the secret read
    /// again: keys rotate.
    ///
    /// # Errors
    /// If the secret cannot be read.
    pub async fn signing_key_for(&self, token: &str) -> Result<Option<SigningKey>, InternalError> {
        let Some(kid) = crate::credential::key_id(token) else { return Ok(None) };
        if let Some(key) = self.parse(&self.secrets.text(&self.id).await?)?.named(&kid) {
            return Ok(Some(key.clone()));
        }
        Ok(self.parse(&self.secrets.refreshed(&self.id).await?)?.named(&kid).cloned())
    }

    fn parse(&self, text: &str) -> Result<SigningKeys, InternalError> {
        serde_json::from_str(text)
            .map_err(|error| InternalError::unreadable(&format!("the keys in {}", self.id), &error))
    }
}
