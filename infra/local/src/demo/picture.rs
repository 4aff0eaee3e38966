//! A file that goes with a message.

/// A file with its name and type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    pub(super) filename: &'static str,
    pub(super) content_type: &'static str,
    pub(super) bytes: &'static [u8],
}
