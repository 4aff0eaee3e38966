//! Calls with a channel's access token, which may be replaced while the function runs.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};

use crate::answer::{self, Answer};
use domain::delivery::{Failure, Reason};
use platform::error::InternalError;
use platform::secrets::Secrets;

/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A client of the Cloud API.
#[derive(Debug)]
pub struct AuthorizedClient {
    client: Client,
    secrets: Secrets,
}

impl AuthorizedClient {
    /// Makes a client that reads tokens from `secrets`. It follows no redirect: one that was
    /// followed would repeat a message, without its body or at an address that is not Meta's.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(secrets: Secrets) -> reqwest::Result<AuthorizedClient> {
        let client =
            Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none()).build()?;
        Ok(AuthorizedClient { client, secrets })
    }

    /// Reads the token in the secret `secret`, so that the next call does not wait for it.
    ///
    /// # Errors
    /// If it cannot be read within `wait`. No call was made, so the message is tried again.
    pub async fn prepare(&self, secret: &str, wait: Duration) -> Result<(), Failure> {
        match tokio::time::timeout(wait, self.secrets.text(secret)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(no_token(&error)),
            Err(elapsed) => {
                Err(no_token(&InternalError::because("reading the access token", elapsed)))
            }
        }
    }

    /// Makes a call with the token in the secret `secret`, and once more if that was
    /// replaced a moment ago. Returns the answer of a call that succeeded.
    ///
    /// # Errors
    /// Why no call succeeded.
    pub async fn call(
        &self,
        secret: &str,
        request: impl Fn(&Client) -> reqwest::Result<RequestBuilder>,
    ) -> Result<Answer, Failure> {
        let send = async |token: Arc<SecretString>| {
            let request = request(&self.client)
                .map_err(|_| unmade())?
                .bearer_auth(token.expose_secret().trim());
            let answer = async { read(request.send().await?).await };
            answer.await.map_err(|error| answer::of_transport(&error))
        };

        let token = self.secrets.text(secret).await.map_err(|error| no_token(&error))?;
        let mut answer = send(Arc::clone(&token)).await?;
        if answer.rejects_token() {
            let fresh = self.secrets.refreshed(secret).await.map_err(|error| no_token(&error))?;
            // A file may be 100 MiB: it is not sent twice for one token.
            if fresh.expose_secret() != token.expose_secret() {
                answer = send(fresh).await?;
            }
        }

        match answer.failure() {
            None => Ok(answer),
            Some(failure) => Err(failure),
        }
    }
}

async fn read(response: Response) -> reqwest::Result<Answer> {
    let status = response.status().as_u16();
    let retry_after = answer::retry_after(response.headers());
    Ok(Answer { status, retry_after, body: response.bytes().await? })
}

fn unmade() -> Failure {
    Failure::Permanent(Reason::new("message_rejected", "the call to WhatsApp could not be made"))
}

fn no_token(error: &InternalError) -> Failure {
    tracing::error!(error = error.chain(), "access token not read; the message is tried again");
    Failure::Transient {
        reason: Reason::new("token_unavailable", "the channel's access token could not be read"),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests;
