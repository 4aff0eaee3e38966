//! Why a template is refused.

/// Why the template cannot be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct TemplateError {
    /// The path of keys to it: `Resources.ChatQueue.Properties.RedrivePolicy`.
    pub place: String,
    /// The problem, and the way out where there is one.
    pub problem: String,
}

impl TemplateError {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}
