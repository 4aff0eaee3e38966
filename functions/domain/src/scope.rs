//! Scopes: what an API key may do. An agent's token may do all of it.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

/// One thing that a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Send messages, and upload files for them.
    Send,
    /// Read messages, events and the month's usage.
    Read,
    /// Manage the endpoints that events are sent to.
    Webhooks,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Scope; 3] = [Scope::Send, Scope::Read, Scope::Webhooks];
}

impl Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Send => "send",
            Scope::Read => "read",
            Scope::Webhooks => "webhooks",
        })
    }
}

/// The scopes of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Whether a request that needs `scope` is allowed.
    #[must_use]
    pub fn contain(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn are_all(&self) -> bool {
        self.0.len() == Scope::ALL.len()
    }
}

impl Default for Scopes {
    /// All of them: a key that was made before there were scopes may do what it always could.
    fn default() -> Scopes {
        Scope::ALL.into_iter().collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Scopes {
        Scopes(scopes.into_iter().collect())
    }
}

impl Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(Scope::to_string).collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_what_was_given_and_all_without_any_word() {
        let read: Scopes = [Scope::Read].into_iter().collect();
        assert!(read.contain(Scope::Read) && !read.contain(Scope::Send) && !read.are_all());
        assert_eq!(serde_json::to_string(&read).expect("a list"), r#"["read"]"#);
        assert!(Scopes::default().are_all());
        assert_eq!(Scopes::default().to_string(), "send read webhooks");
    }
}
