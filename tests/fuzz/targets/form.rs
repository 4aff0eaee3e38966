//! An upload: its content type, one line, and its body, a form or an announcement.

#![no_main]

use attachments::form::{BodyKind, UploadRequest};
use bytes::Bytes;
use domain::file::MAX_FILE_BYTES;
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let content_type = HeaderValue::from_bytes(lines.next().unwrap_or_default());
    let headers = HeaderMap::from_iter(content_type.ok().map(|value| (CONTENT_TYPE, value)));
    let body = Bytes::copy_from_slice(lines.next().unwrap_or_default());

    let length = body.len() as u64;
    let read = BodyKind::of(&headers).read(body).now_or_never().expect("the whole body is there");
    match read {
        Ok(UploadRequest::Stored { bytes, .. }) => {
            assert!((1..=length).contains(&(bytes.len() as u64)));
        }
        Ok(UploadRequest::Announced { size, .. }) => assert!((1..=MAX_FILE_BYTES).contains(&size)),
        Err(_) => {}
    }
});
