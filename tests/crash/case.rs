//! One case: what is hit, by what, and everything else that its seed decides.

use std::fmt;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::fault::Fault;
use crate::point::Point;
use tests::suite::setting;

/// The call that is hit, and the fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) function: &'static str,
    pub(crate) work: &'static str,
    pub(crate) point: Point,
    pub(crate) fault: Fault,
    pub(crate) seed: u64,
}

/// The choices that the seed makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choices {
    /// How many messages the conversation gets: 1 to 3.
    pub(crate) messages: u32,
    /// Which of the calls at the point is hit, counted from 0; taken modulo as many as there are.
    pub(crate) occurrence: u32,
    /// Whether the call's repeats are hit as well.
    pub(crate) stubborn: bool,
    /// Whether SQS delivers a record again that was not processed, or loses it.
    pub(crate) redelivered: bool,
    /// Whether SQS delivers a record a second time although it was processed.
    pub(crate) doubled: bool,
    /// Whether a caller sends an idempotency key.
    pub(crate) keyed: bool,
}

impl Case {
    pub(crate) fn choices(&self) -> Choices {
        // FNV-1a: the same on every machine.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let mut rng =
            StdRng::seed_from_u64(self.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, hash));
        Choices {
            messages: rng.random_range(1..=3),
            occurrence: rng.random_range(0..6),
            stubborn: rng.random(),
            redelivered: rng.random(),
            doubled: rng.random(),
            keyed: rng.random_bool(0.75),
        }
    }

    /// Whether this is the one case that `CASE` asks for; without it, all are.
    pub(crate) fn is_asked_for(&self) -> bool {
        std::env::var("CASE").map_or(true, |case| case == self.to_string())
    }

    /// Tells how to run this case again.
    pub(crate) fn again(&self) -> String {
        format!("{self}\n  again: CASE=\"{self}\" cargo test --test crash")
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { function, work, point, fault, seed } = self;
        write!(f, "{function}, {work}, {}, {}, {seed}", point.name, fault.name())
    }
}

/// The seeds to run: `SEEDS` of them, or one; the one that `CASE` names.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let named = std::env::var("CASE").ok().and_then(|case| case.rsplit(", ").next()?.parse().ok());
    named.map_or_else(|| 0..setting("SEEDS", 1), |seed: u64| seed..seed + 1)
}
