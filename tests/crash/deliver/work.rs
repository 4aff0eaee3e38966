//! The kinds of work of a delivery function.

/// The worker's task when the fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// The provider takes every message.
    Delivered,
    /// The provider asks for patience at the first.
    PutOff,
    /// The provider refused the first for a day.
    GivenUp,
    /// The provider takes nothing on the channel, whatever it is.
    Paused,
    /// The provider takes every message, and each in three parts (WhatsApp).
    InParts,
}

/// The parts of a message: a text, since a recording has no caption, and these.
pub(super) const FILES: [(&str, &str, &str); 2] = [
    ("voice.ogg", "audio/ogg", "OggS\0\u{2}\0\0\0\0\0\0\0\0"),
    ("invoice.pdf", "application/pdf", "%PDF-1.7\n"),
];

impl Work {
    pub(crate) const ALL: [Work; 5] =
        [Work::Delivered, Work::PutOff, Work::GivenUp, Work::Paused, Work::InParts];

    /// Whether there is such a thing on a channel: chat has no provider that could lock it out, and
    /// WhatsApp alone takes a message in parts.
    pub(crate) fn is_on(self, channel: &str) -> bool {
        match self {
            Work::Delivered | Work::PutOff | Work::GivenUp => true,
            Work::Paused => channel != "chat",
            Work::InParts => channel == "whatsapp",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Delivered => "delivered",
            Work::PutOff => "put off",
            Work::GivenUp => "given up",
            Work::Paused => "paused",
            Work::InParts => "in parts",
        }
    }

    /// How many parts a message has.
    pub(super) fn parts(self) -> u32 {
        match self {
            Work::Delivered | Work::PutOff | Work::GivenUp | Work::Paused => 1,
            Work::InParts => 1 + FILES.len() as u32,
        }
    }
}
