//! Bodies that grow: JSON and forms of every shape that has something to count.

use std::fmt::Write;

use super::{LARGEST_BODY, LARGEST_HEAD};

/// The media type of forms here.
pub(super) const FORM: &str = "multipart/form-data; boundary=b";

/// A body of one kind and one size.
pub(super) struct Body {
    pub(super) kind: &'static str,
    pub(super) content_type: String,
    pub(super) bytes: Vec<u8>,
}

impl Body {
    fn json(kind: &'static str, text: impl Into<Vec<u8>>) -> Body {
        Body { kind, content_type: "application/json".to_owned(), bytes: text.into() }
    }

    pub(super) fn form(kind: &'static str, parts: impl Into<Vec<u8>>) -> Body {
        let bytes = [parts.into(), b"--b--\r\n".to_vec()].concat();
        Body { kind, content_type: FORM.to_owned(), bytes }
    }
}

pub(super) fn part(disposition: &str, content: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
}

fn list(item: &str, count: usize) -> String {
    vec![item; count].join(",")
}

/// JSON of every shape that has something to count, `size` times.
pub(super) fn documents(size: usize) -> Vec<Body> {
    let repeated = |text: &str| text.repeat(size);
    let content = |text: &str| format!(r#"{{"content":"{text}"}}"#);
    let files = |item: &str| format!(r#"{{"content":"x","attachments":[{}]}}"#, list(item, size));
    let names: Vec<String> = (0..size).map(|name| format!("\"n{name}\":1")).collect();
    let entries = |value: &str| format!(r#"{{"entry":[{}]}}"#, list(value, size));
    let statuses = |value: &str| {
        let change = r#"{"entry":[{"changes":[{"field":"messages","value":{"statuses":["#;
        format!("{change}{}]}}}}]}}]}}", list(value, size))
    };
    let announcement =
        |size: &str| format!(r#"{{"filename":"a","content_type":"image/png","size":{size}}}"#);

    vec![
        Body::json("arrays in arrays", repeated("[") + &repeated("]")),
        Body::json("arrays without an end", repeated("[")),
        Body::json("objects in objects", repeated(r#"{"content":"#)),
        Body::json("attachments that are numbers", files("1")),
        Body::json("attachments that are empty", files("{}")),
        Body::json("attachments without a URL", files(r#"{"url":null}"#)),
        Body::json("attachments elsewhere", files(r#"{"url":"http://a/api/v1/files/b"}"#)),
        Body::json(
            "attachments in attachments",
            format!("{}{}", repeated(r#"{"attachments":["#), 1),
        ),
        Body::json(
            "a URL",
            format!(r#"{{"content":"x","attachments":[{{"url":"{}"}}]}}"#, repeated("\\t")),
        ),
        Body::json("names", format!("{{{}}}", names.join(","))),
        Body::json("a name", format!(r#"{{"{}":1}}"#, repeated("\\u0001"))),
        Body::json("the same name", format!("{{{}}}", list(r#""content":"x""#, size))),
        Body::json("quotes", content(&repeated("\\\""))),
        Body::json("control characters", content(&repeated("\\u0001"))),
        Body::json("line ends", content(&repeated("\\n"))),
        Body::json("characters of four bytes", content(&repeated("😀"))),
        Body::json("nothing to see", content(&repeated("\u{200b}"))),
        Body::json("half characters", content(&repeated("\\ud800"))),
        Body::json("no UTF-8", [b"{\"content\":\"", &vec![0xff; size][..], b"\"}"].concat()),
        Body::json("digits", announcement(&repeated("9"))),
        Body::json("a fraction", announcement(&format!("0.{}", repeated("0")))),
        Body::json("an exponent", announcement(&format!("1e{}", repeated("9")))),
        Body::json("a filename", format!(r#"{{"filename":"{}"}}"#, repeated("=?x?Q?a"))),
        Body::json("a media type", format!(r#"{{"content_type":"{}"}}"#, repeated("a/b;"))),
        Body::json("byte order marks", repeated("\u{feff}")),
        Body::json("blanks", repeated(" ")),
        Body::json("NULs", repeated("\0")),
        Body::json("entries", entries("1")),
        Body::json("entries with changes", entries(r#"{"changes":[{"field":"messages"}]}"#)),
        Body::json("statuses", statuses(r#"{"status":"read"}"#)),
        Body::json("statuses with an id", statuses(r#"{"id":"\u0001","errors":[{"code":1e9}]}"#)),
    ]
}

/// Forms of every shape that has something to count, `size` times.
fn forms(size: usize) -> Vec<Body> {
    let repeated = |text: &str| text.repeat(size);
    let file = |parameter: &str| part(&format!("name=\"file\"; {parameter}"), "x");
    let pieces: String = (0..size).fold(String::new(), |mut pieces, piece| {
        write!(pieces, "; filename*{piece}=a").expect("a text grows");
        pieces
    });
    let headers = |count: usize| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n{}\r\nx\r\n",
            "A: b\r\n".repeat(count)
        )
    };
    let of_type = |content_type: String| Body {
        kind: "a content type",
        content_type,
        bytes: file("filename=a").into_bytes(),
    };

    vec![
        Body::form("parts", part("name=n", "").repeat(size)),
        Body::form("files", file("filename=a").repeat(size)),
        Body::form("charsets", part("name=\"_charset_\"", "x").repeat(size)),
        Body::form("parts without a name", "--b\r\nA: b\r\n\r\n\r\n".repeat(size)),
        Body::form("a name of tabs", part(&format!("name=\"{}\"", repeated("\t")), "")),
        Body::form(
            "names of 8,000 tabs",
            part(&format!("name=\"{}\"", "\t".repeat(8_000)), "").repeat(size.min(520)),
        ),
        Body::form(
            "names of encoded words",
            part(&format!("name=\"{}\"", "=?x?Q?a".repeat(1_000)), "").repeat(size.min(590)),
        ),
        Body::form("a filename", file(&format!("filename=\"{}\"", repeated("n")))),
        Body::form("a filename of quotes", file(&format!("filename=\"{}\"", repeated("\\\"")))),
        Body::form("a filename of escapes", file(&format!("filename=\"{}\"", repeated("%41")))),
        Body::form("a filename of words", file(&format!("filename=\"{}\"", repeated("=?x?Q?a")))),
        Body::form("a filename in pieces", file(&format!("filename=a{pieces}"))),
        Body::form("parameters", file(&repeated("a=b;"))),
        Body::form("headers", headers(size)),
        Body::form("line ends", repeated("\r\n")),
        Body::form("no end", file("filename=a").replace("\r\nx", &repeated("\r\n--"))),
        Body::form("a file", part("name=\"file\"; filename=a", &repeated("x"))),
        Body::form("a file of boundaries", part("name=\"file\"", &repeated("\r\n--a"))),
        of_type(format!("multipart/form-data; boundary={}", "b".repeat(size.min(LARGEST_HEAD)))),
        of_type(format!("multipart/form-data;{}", "a=b;".repeat(size.min(LARGEST_HEAD / 4)))),
        of_type("multipart/form-data".to_owned()),
        of_type("multipart/form-data; boundary=\"\"".to_owned()),
    ]
}

/// Bodies whose type promises something else.
fn misnamed(size: usize) -> Vec<Body> {
    let types = ["", "text/plain", "application/x-www-form-urlencoded", "a/b; charset=\"", FORM];
    let body = |content_type: &str| Body {
        kind: "another type",
        content_type: content_type.to_owned(),
        bytes: list(r#"{"content":"x"}"#, size).into_bytes(),
    };
    types.into_iter().map(body).collect()
}

/// Returns bodies of every kind, none larger than the API takes.
pub(super) fn bodies(size: usize) -> Vec<Body> {
    let bodies = documents(size).into_iter().chain(forms(size)).chain(misnamed(size));
    bodies
        .map(|mut body| {
            body.bytes.truncate(LARGEST_BODY);
            body
        })
        .collect()
}
