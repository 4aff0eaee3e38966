//! The control API under `/sandbox`, by which people and tests direct the outside world and ask
//! what happened there.

mod answer;
mod events;
mod index;
mod machine;
mod routes;
mod system;

pub(super) use routes::routes;
pub(super) use system::System;
