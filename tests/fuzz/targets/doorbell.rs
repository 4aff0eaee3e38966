//! The body of a queue's message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use platform::queue::{Doorbell, HelloTimer};

fuzz_target!(|text: &str| {
    let _ = HelloTimer::parse(text);

    let Ok(doorbell) = serde_json::from_str::<Doorbell>(text) else { return };
    let written = serde_json::to_string(&doorbell).expect("JSON");
    let again: Doorbell = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(again, doorbell);
});
