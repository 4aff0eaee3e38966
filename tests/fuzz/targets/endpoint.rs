//! An endpoint: its URL, one line; what it answers as `Retry-After`, one line; and the body of a
//! request that makes or changes it, or has it sent events again.

#![no_main]

use chrono::{DateTime, TimeDelta};
use domain::event::EventSequence;
use domain::problem::MAX_LISTED_ERRORS;
use domain::webhook::schedule::{LONGEST_RETRY, asked_wait};
use domain::webhook::url::MAX_URL_CHARACTERS;
use domain::webhook::{EndpointUrl, Reach};
use libfuzzer_sys::fuzz_target;
use webhook_endpoints::request::{MAX_EVENT_IDS, endpoint_change, new_endpoint, redelivery};

const REACHES: [Reach; 2] = [Reach::Public, Reach::PublicOrLoopback];

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    if let Ok(text) = str::from_utf8(line()) {
        check_url(text);
    }
    if let Ok(text) = str::from_utf8(line()) {
        check_answer(text);
    }
    check_body(line());
});

/// A URL that is stored is checked once more when it is called, as it is written then.
fn check_url(text: &str) {
    for reach in REACHES {
        let Ok(url) = EndpointUrl::parse(text, reach) else { continue };
        assert!(url.as_str().chars().count() <= MAX_URL_CHARACTERS, "{}", url.as_str());
        assert!(!url.authority().is_empty() && !url.authority().contains('@'), "{}", url.as_str());
        assert_eq!(EndpointUrl::parse(url.as_str(), reach).as_ref(), Ok(&url));

        let stored = serde_json::to_string(&url).expect("a text");
        assert_eq!(serde_json::from_str::<EndpointUrl>(&stored).ok().as_ref(), Some(&url));

        if reach == Reach::Public {
            assert!(url.as_str().starts_with("https://"), "{}", url.as_str());
            assert_eq!(EndpointUrl::parse(text, Reach::PublicOrLoopback), Ok(url));
        }
    }
}

fn check_answer(text: &str) {
    let now = DateTime::from_timestamp(1_772_355_900, 0).expect("a time");
    let wait = asked_wait(Some(503), Some(text), now).unwrap_or_default();
    assert!((TimeDelta::zero()..=LONGEST_RETRY).contains(&wait), "{wait}");
    assert!(EventSequence::of_cursor(text).is_none_or(|after| after <= EventSequence::MAX));
}

fn check_body(body: &[u8]) {
    let most = MAX_LISTED_ERRORS + 5;
    for reach in REACHES {
        if let Err(errors) = new_endpoint(body, reach) {
            assert!((1..=most).contains(&errors.len()), "{}", errors.len());
        }
        if let Err(errors) = endpoint_change(body, reach) {
            assert!((1..=most).contains(&errors.len()), "{}", errors.len());
        }
    }

    match redelivery(body) {
        Ok(wanted) => {
            assert!(wanted.ids.len() <= MAX_EVENT_IDS);
            assert!(!wanted.ids.is_empty() || wanted.range.is_some(), "it asks for something");
        }
        Err(errors) => assert!((1..=most).contains(&errors.len()), "{}", errors.len()),
    }
}
