//! Secrets Manager, read seldom: a value is kept for five minutes, and read again, at most every
//! ten seconds, when a caller finds it out of date. While Secrets Manager does not answer, the
//! value that is known goes on, and is asked for no more often than that.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::aws::{Aws, LazyClient};
use crate::cache::TtlCache;
use crate::credential::{SigningKey, SigningKeys, key_id};
use crate::error::InternalError;

/// How long a change of a secret may go unnoticed.
pub const SECRET_TTL: Duration = Duration::from_secs(300);

/// The shortest time between two reads of a secret whose text is known: of one that a caller finds
/// out of date, and of one that could not be read again.
pub const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// How long one read of a secret may take, with its retries: workers wait for it in the middle of
/// an attempt, which takes 10 s at most.
pub const SECRET_TIMEOUT: Duration = Duration::from_secs(2);

/// How many secrets are kept at once.
const MAX_SECRETS: usize = 10_000;

/// Secrets, by ARN or name.
#[derive(Debug, Clone)]
pub struct Secrets {
    client: LazyClient<aws_sdk_secretsmanager::Client>,
    texts: TtlCache<String, Arc<SecretString>>,
    /// The secrets that could not be read again a moment ago.
    failures: TtlCache<String, ()>,
}

impl Secrets {
    /// Reads secrets through `aws`.
    #[must_use]
    pub fn new(aws: &Aws) -> Secrets {
        let config = aws.service_within("SECRETS_MANAGER", SECRET_TIMEOUT);
        Secrets::through(LazyClient::new(move || aws_sdk_secretsmanager::Client::new(&config)))
    }

    /// Reads secrets through `client`.
    #[must_use]
    pub fn of(client: aws_sdk_secretsmanager::Client) -> Secrets {
        Secrets::through(LazyClient::new(|| client))
    }

    fn through(client: LazyClient<aws_sdk_secretsmanager::Client>) -> Secrets {
        Secrets {
            client,
            texts: TtlCache::new(SECRET_TTL, MAX_SECRETS),
            failures: TtlCache::new(MIN_REFRESH_INTERVAL, MAX_SECRETS),
        }
    }

    /// Returns the secret's text.
    ///
    /// # Errors
    /// If it cannot be fetched, or is binary.
    pub async fn text(&self, id: &str) -> Result<Arc<SecretString>, InternalError> {
        self.text_newer_than(id, SECRET_TTL).await
    }

    /// Returns the secret's text, read again unless that was done just now. For callers that find
    /// the text they have out of date.
    ///
    /// # Errors
    /// If it cannot be fetched, or is binary.
    pub async fn refreshed(&self, id: &str) -> Result<Arc<SecretString>, InternalError> {
        self.text_newer_than(id, MIN_REFRESH_INTERVAL).await
    }

    /// Returns the secret's text, read again unless that was done just now, and never an older one.
    /// For callers that refuse for good what the text does not accept.
    ///
    /// # Errors
    /// If it cannot be fetched, or could not be a moment ago, or is binary.
    pub async fn reread(&self, id: &str) -> Result<Arc<SecretString>, InternalError> {
        self.refreshed(id).await?;
        self.texts.get_newer_than(id, MIN_REFRESH_INTERVAL).ok_or_else(|| {
            InternalError::new(format!("reading the secret {id} again, which failed just now"))
        })
    }

    /// Returns whether `accepts` takes the secret's text, or the one that has replaced it since it
    /// was read.
    ///
    /// # Errors
    /// If the secret cannot be fetched, is binary, or `accepts` cannot read it.
    pub async fn is_accepted(
        &self,
        id: &str,
        accepts: impl Fn(&str) -> Result<bool, InternalError>,
    ) -> Result<bool, InternalError> {
        let known = self.text(id).await?;
        if accepts(known.expose_secret())? {
            return Ok(true);
        }

        let fresh = self.refreshed(id).await?;
        let (fresh, known) = (fresh.expose_secret(), known.expose_secret());
        Ok(fresh != known && accepts(fresh)?)
    }

    /// Replaces the secret's text, for operators.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn put(&self, id: &str, text: &SecretString) -> Result<(), InternalError> {
        let call = self.client.put_secret_value().secret_id(id).secret_string(text.expose_secret());
        call.send().await.map_err(|error| InternalError::aws("PutSecretValue", error))?;
        Ok(())
    }

    async fn text_newer_than(
        &self,
        id: &str,
        age: Duration,
    ) -> Result<Arc<SecretString>, InternalError> {
        if let Some(text) = self.texts.get_newer_than(id, age) {
            return Ok(text);
        }

        let known = self.texts.get_stale(id);
        if let Some(text) = known.as_ref().filter(|_| self.failures.get(id).is_some()) {
            return Ok(Arc::clone(text));
        }

        match (self.fetch(id).await, known) {
            (Ok(text), _) => {
                self.texts.insert(id.to_owned(), Arc::clone(&text));
                Ok(text)
            }
            // Better what was true five minutes ago than nothing at all.
            (Err(error), Some(text)) => {
                self.failures.insert(id.to_owned(), ());
                let error = error.chain();
                tracing::warn!(secret = id, error, "secret not read again; the last text is used");
                Ok(text)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn fetch(&self, id: &str) -> Result<Arc<SecretString>, InternalError> {
        let call = self.client.get_secret_value().secret_id(id);
        let answer =
            call.send().await.map_err(|error| InternalError::aws("GetSecretValue", error))?;

        let text = answer.secret_string();
        text.map(|text| Arc::new(SecretString::from(text)))
            .ok_or_else(|| InternalError::new(format!("the secret {id} holds no text")))
    }
}

/// The keys that sign one kind of token, kept in a secret.
#[derive(Debug, Clone)]
pub struct TokenKeys {
    secrets: Secrets,
    id: String,
}

impl TokenKeys {
    /// Reads the keys from the secret `id`.
    #[must_use]
    pub fn new(secrets: Secrets, id: String) -> TokenKeys {
        TokenKeys { secrets, id }
    }

    /// Returns the key that `token` names, if it is one of ours. For an unknown name the secret is
    /// read again: keys rotate.
    ///
    /// # Errors
    /// If the secret cannot be read.
    pub async fn signing_key_for(&self, token: &str) -> Result<Option<SigningKey>, InternalError> {
        match key_id(token) {
            Some(kid) => self.named(&kid).await,
            None => Ok(None),
        }
    }

    /// Returns the key of that name, if it is live. For an unknown name the secret is read again.
    ///
    /// # Errors
    /// If the secret cannot be read.
    pub async fn named(&self, kid: &str) -> Result<Option<SigningKey>, InternalError> {
        let text = self.secrets.text(&self.id).await?;
        let known = SigningKeys::parse(&self.id, text.expose_secret())?;
        if let Some(key) = known.named(kid) {
            return Ok(Some(key.clone()));
        }
        let text = self.secrets.refreshed(&self.id).await?;
        let refreshed = SigningKeys::parse(&self.id, text.expose_secret())?;
        Ok(refreshed.named(kid).cloned())
    }
}

#[cfg(test)]
pub(crate) mod tests;
