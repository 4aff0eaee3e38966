//! Delivers through Amazon SES v2.

pub mod enclosures;
pub mod html;
pub mod letter;
pub mod mime;
pub mod ses;
