//! The tokens of visitors, and how long they last.

use domain::widget::WidgetRefusal;
use platform::clock::Clock;
use platform::credential::visitor::{TokenError, VisitorToken};
use platform::error::InternalError;
use platform::secrets::TokenKeys;
use platform::table::Connection;

/// Verifies visitors' tokens.
#[derive(Debug, Clone)]
pub(crate) struct VisitorTokens {
    pub(crate) keys: TokenKeys,
    pub(crate) clock: Clock,
}

/// The outcome of verifying a token.
pub(crate) enum TokenOutcome {
    /// It opens its conversation.
    Valid(VisitorToken),
    /// It opens nothing.
    Refused(WidgetRefusal),
}

impl VisitorTokens {
    /// Verifies a token.
    pub(crate) async fn verify(&self, token: &str) -> Result<TokenOutcome, InternalError> {
        let Some(key) = self.keys.signing_key_for(token).await? else {
            return Ok(TokenOutcome::Refused(WidgetRefusal::Unauthorized));
        };
        Ok(match key.verify_visitor(token, self.clock.now()) {
            Ok(token) => TokenOutcome::Valid(token),
            Err(TokenError::Expired) => TokenOutcome::Refused(WidgetRefusal::TokenExpired),
            Err(TokenError::Invalid) => TokenOutcome::Refused(WidgetRefusal::Unauthorized),
        })
    }

    /// True if a connection's token has not ended.
    pub(crate) async fn last(&self, connection: &Connection) -> Result<bool, InternalError> {
        connection.lasts(&self.keys, self.clock.now()).await
    }
}
