//! The way into the system for widgets.

use std::sync::Arc;

use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder};

use crate::clock::Clock;
use crate::seed::Keys;
use crate::visitor::Visitor;
use emulator::Engine;

/// The addresses that a widget connects to, and the tokens that it shows there. The sandbox plays
/// the site with the widget, which signs tokens for the visitors of its pages.
#[derive(Debug, Clone)]
pub(crate) struct WidgetEndpoint {
    /// The address that widgets connect to.
    pub(crate) websocket_url: String,
    /// Base URL of the API, for messages that do not fit through the connection.
    pub(crate) api_url: String,
    pub(super) keys: Keys,
    pub(super) clock: Arc<Clock>,
}

impl WidgetEndpoint {
    /// The endpoint of the running system.
    pub(crate) fn new(engine: &Engine, keys: Keys, clock: Arc<Clock>) -> Self {
        let websocket_url = engine.websocket_url().to_owned();
        let api_url = engine.api_url().to_owned();
        Self { websocket_url, api_url, keys, clock }
    }

    /// Returns a visitor's handshake, which carries a token that is good from now on.
    pub(super) fn handshake(
        &self,
        visitor: Visitor,
    ) -> Result<ClientRequestBuilder, tungstenite::Error> {
        let address = self.websocket_url.parse::<Uri>().map_err(tungstenite::http::Error::from)?;
        Ok(ClientRequestBuilder::new(address)
            .with_sub_protocol("pingback-chat")
            .with_sub_protocol(format!("token.{}", self.token(visitor))))
    }

    /// Returns a token that is good from now on.
    pub(crate) fn token(&self, visitor: Visitor) -> String {
        self.keys.visitor_token(visitor.business_id, visitor.conversation_id, self.clock.now())
    }
}
