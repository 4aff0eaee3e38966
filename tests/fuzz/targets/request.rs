//! send-message's request: the path's id, the idempotency key and the body, one line each.

#![no_main]

use domain::problem::MAX_LISTED_ERRORS;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use platform::query::Query;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let path = str::from_utf8(line()).ok();
    let key = HeaderValue::from_bytes(line()).ok();
    let body = line();

    match send_message::request::parse(path, key.as_ref(), Query::default(), body) {
        Ok(request) => {
            let channels = domain::Channel::ALL;
            let files = request.body.attachments.len();
            for channel in channels {
                let _ = channel.check_content(&request.body.content, files);
            }
        }
        Err(invalid) => {
            let errors = invalid.explain();
            assert!((1..=3 * MAX_LISTED_ERRORS + 6).contains(&errors.len()), "{}", errors.len());
        }
    }
});
