//! Delivers through Amazon SES v2.

pub mod attachments;
pub mod email;
pub mod html;
pub mod mime;
pub mod ses;
