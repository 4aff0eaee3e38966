//! Arguments of `keys`.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Show the names of the keys; never the keys
    Show(KeysArgs),
    /// Add a key to sign with; tokens of the one before stay good
    Add(KeysArgs),
    /// Retire the key that no longer signs, once its last token has ended
    Retire(KeysArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    /// The things that the keys sign
    pub(crate) tokens: TokenKind,
}

/// The things that a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenKind {
    /// Agents' tokens, which PingBack's login signs
    Agents,
    /// Chat visitors' tokens, which the site with the widget signs
    Visitors,
    /// References that come back with receipts, which the delivery functions sign
    Receipts,
}

impl TokenKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            TokenKind::Agents => "agents",
            TokenKind::Visitors => "visitors",
            TokenKind::Receipts => "receipts",
        }
    }

    /// Returns the secret's logical id in the template.
    pub(crate) fn secret(self) -> &'static str {
        match self {
            TokenKind::Agents => "AgentKeys",
            TokenKind::Visitors => "VisitorKeys",
            TokenKind::Receipts => "ReceiptKeys",
        }
    }

    /// Returns the variable by which functions find the secret.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            TokenKind::Agents => "AGENT_KEYS_SECRET",
            TokenKind::Visitors => "VISITOR_KEYS_SECRET",
            TokenKind::Receipts => "RECEIPT_KEYS_SECRET",
        }
    }

    /// Names what these keys have signed.
    pub(crate) fn signed_with(self, kids: &str) -> String {
        match self {
            TokenKind::Agents | TokenKind::Visitors => {
                format!("Tokens that the key {kids} has signed")
            }
            TokenKind::Receipts => format!("Receipts that the key {kids} has signed"),
        }
    }

    /// Says what the functions do with it once its key is retired.
    pub(crate) fn end_without_key(self) -> &'static str {
        match self {
            TokenKind::Agents | TokenKind::Visitors => "are refused",
            TokenKind::Receipts => "are ignored",
        }
    }

    /// Returns the services that sign these tokens.
    pub(crate) fn signers(self) -> &'static str {
        match self {
            TokenKind::Agents => "PingBack's login",
            TokenKind::Visitors => "the sites with the widget",
            TokenKind::Receipts => "deliver-whatsapp and deliver-email",
        }
    }

    /// Returns the sentence that says when the last token of an old key ends.
    pub(crate) fn last_end(self) -> &'static str {
        match self {
            TokenKind::Agents => {
                "The last one ends when the login says, at most 90 days after it changed to the \
                 new key."
            }
            TokenKind::Visitors => {
                "The last one ends an hour after the sites changed to the new key."
            }
            TokenKind::Receipts => {
                "WhatsApp keeps a message for 30 days for a customer who is away; the last \
                 receipts come then."
            }
        }
    }
}
