use lambda_http::http::HeaderValue;

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

fn part_of(disposition: &str, content_type: &str, bytes: &[u8]) -> Vec<u8> {
    let head =
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n{content_type}\r\n");
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

async fn sent(parts: &[Vec<u8>]) -> Result<UploadRequest, Refusal> {
    let body = [parts.concat(), b"--b--\r\n".to_vec()].concat();
    let content_type = HeaderValue::from_static("multipart/form-data; boundary=b");
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type)]);
    BodyKind::of(&headers).read(body.into()).await
}

async fn announced(body: &str) -> Result<UploadRequest, Refusal> {
    BodyKind::Announcement.read(Bytes::copy_from_slice(body.as_bytes())).await
}

fn kinds(refused: Result<UploadRequest, Refusal>) -> Vec<(String, &'static str)> {
    let Err(Refusal::Invalid(errors)) = refused else {
        panic!("a form that is wrong was taken: {refused:?}")
    };
    let loc = |error: &FieldError| serde_json::to_string(&error.loc).expect("plain data");
    errors.iter().map(|error| (loc(error), error.kind)).collect()
}

#[tokio::test]
async fn a_form_brings_one_file() {
    let file = part_of(r#"name="file"; filename="a/cat.png""#, "Content-Type: image/png\r\n", PNG);
    let Ok(UploadRequest::Stored { filename, content_type, bytes }) = sent(&[file]).await else {
        panic!("a right form")
    };

    assert_eq!(
        (filename.as_str(), content_type.as_str(), &bytes[..]),
        ("cat.png", "image/png", PNG)
    );

    let spelled = part_of(
        r#"filename*=utf-8''Zo%C3%AB.png; name=file; filename="=?utf-8?B?Wm/Dqy5wbmc=?=""#,
        "Content-Type: image/x-png\r\n",
        PNG,
    );
    let Ok(UploadRequest::Stored { filename, content_type, .. }) = sent(&[spelled]).await else {
        panic!("a right form")
    };

    assert_eq!((filename.as_str(), content_type.as_str()), ("Zoë.png", "image/png"));

    let bare = part_of(r#"name="file""#, "", PNG);
    let Ok(UploadRequest::Stored { filename, content_type, .. }) = sent(&[bare]).await else {
        panic!("a right form")
    };

    assert_eq!((filename.as_str(), content_type.as_str()), ("file", "image/png"));
}

/// The charset's part may stand before the file or behind it.
#[tokio::test]
async fn a_form_may_name_the_charset_of_its_texts() {
    let in_charset = async |charset: &str, name: &[u8], charset_is_first: bool| {
        let head =
            [b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"", name].concat();
        let file = [head.as_slice(), b"\"\r\n\r\nhello\r\n"].concat();
        let mut parts = vec![file, part_of(r#"name="_charset_""#, "", charset.as_bytes())];
        if charset_is_first {
            parts.reverse();
        }
        match sent(&parts).await {
            Ok(UploadRequest::Stored { filename, .. }) => filename.as_str().to_owned(),
            refused => panic!("{charset}: {refused:?}"),
        }
    };

    for (charset, bytes, name) in [
        ("UTF-8", "Zoë.txt".as_bytes(), "Zoë.txt"),
        ("iso-8859-1", b"Zo\xeb.txt", "Zoë.txt"),
        ("windows-1251", b"\xf1\xf7\xb8\xf2.txt", "счёт.txt"),
        ("koi8-r", b"\xd3\xde\xa3\xd4.txt", "счёт.txt"),
        ("euc-jp", b"\xc0\xc1\xb5\xe1.txt", "請求.txt"),
        ("gb18030", b"\xb7\xa2\xc6\xb1.txt", "发票.txt"),
        // One that is not known, or that the name is not in.
        ("klingon", "Zoë.txt".as_bytes(), "Zoë.txt"),
        ("utf-8", b"Zo\xeb.txt", "Zoë.txt"),
        ("", "Zoë.txt".as_bytes(), "Zoë.txt"),
    ] {
        assert_eq!(in_charset(charset, bytes, false).await, name, "{charset}");
        assert_eq!(in_charset(charset, bytes, true).await, name, "{charset} first");
    }

    let file = part_of(r#"name="file"; filename="a""#, "", b"hello");
    let charset = || part_of(r#"name="_charset_""#, "", b"utf-8");
    let twice = sent(&[file, charset(), charset()]).await;
    assert_eq!(kinds(twice), [(r#"["body","_charset_"]"#.into(), "extra_forbidden")]);
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_said() {
    let file = || part_of(r#"name="file"; filename="a""#, "Content-Type: text/plain\r\n", b"hello");
    assert_eq!(kinds(sent(&[]).await), [(r#"["body","file"]"#.into(), "missing")]);
    assert_eq!(kinds(sent(&[file(), file()]).await), [(r#"["body","file"]"#.into(), "too_long")]);

    let other = part_of(r#"name="note""#, "", b"x");
    assert_eq!(
        kinds(sent(&[file(), other]).await),
        [(r#"["body","note"]"#.into(), "extra_forbidden")]
    );

    let empty = part_of(r#"name="file"; filename="a""#, "", b"");
    assert_eq!(kinds(sent(&[empty]).await), [(r#"["body","file"]"#.into(), "too_short")]);
    let lie = part_of(r#"name="file"; filename="a""#, "Content-Type: image/png\r\n", b"MZ\x90\0");

    assert_eq!(kinds(sent(&[lie]).await), [(r#"["body","file"]"#.into(), "content_type_mismatch")]);

    let cut = part_of(r#"name="file"; filename="a""#, "", b"hello")[..60].to_vec();
    let content_type = HeaderValue::from_static("multipart/form-data; boundary=b");
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type)]);
    let cut = BodyKind::of(&headers).read(cut.into()).await;

    assert_eq!(kinds(cut), [(r#"["body"]"#.into(), "form_invalid")]);
}

/// A part behind the last error that is listed is not even looked at.
#[tokio::test]
async fn a_form_is_read_as_far_as_its_errors_are_listed() {
    let other = part_of(r#"name="note""#, "", b"x");
    let cut = b"--b\r\nno header".to_vec();

    let listed = [vec![other.clone(); MAX_LISTED_ERRORS], vec![cut.clone()]].concat();
    assert_eq!(kinds(sent(&listed).await), [(r#"["body"]"#.into(), "form_invalid")]);

    let more = [vec![other; MAX_LISTED_ERRORS + 1], vec![cut]].concat();
    assert_eq!(kinds(sent(&more).await).len(), MAX_LISTED_ERRORS + 1);
}

#[tokio::test]
async fn a_part_has_a_header_of_a_length() {
    let of_length = |bytes: usize| {
        let others = r#"form-data; name="file"; filename="""#.len();
        let name = "n".repeat(bytes - others);
        part_of(&format!(r#"name="file"; filename="{name}""#), "", b"hello")
    };

    let longest = sent(&[of_length(MAX_DISPOSITION_BYTES)]).await;
    assert!(matches!(longest, Ok(UploadRequest::Stored { .. })), "{longest:?}");
    let refused = sent(&[of_length(MAX_DISPOSITION_BYTES + 1)]).await;
    assert_eq!(kinds(refused), [(r#"["body"]"#.into(), "form_invalid")]);
}

#[test]
fn what_is_wrong_with_a_form_is_said_for_people() {
    let field_name = Some("a \"b\"".to_owned());
    let cut = multer::Error::IncompleteFieldData { field_name };
    assert_eq!(in_words(&cut), "a part has no end");
    assert_eq!(in_words(&multer::Error::IncompleteStream), "it has no end");
}

#[tokio::test]
async fn a_file_of_exactly_the_limit_belongs_into_a_form() {
    let text = |size: u64| vec![b'x'; usize::try_from(size).expect("a size")];
    let file =
        |size| part_of(r#"name="file"; filename="a""#, "Content-Type: text/plain\r\n", &text(size));
    assert!(matches!(sent(&[file(4_194_304)]).await, Ok(UploadRequest::Stored { .. })));
    let refused = sent(&[file(4_194_305)]).await;
    assert_eq!(refused, Err(Refusal::BodyTooLarge { most: 4_194_304 }));
}

#[tokio::test]
async fn an_announcement_says_what_comes() {
    let wanted =
        announced(r#"{"filename":"a.mp4","content_type":"Video/MP4","size":104857600}"#).await;
    let Ok(UploadRequest::Announced { filename, content_type, size }) = wanted else {
        panic!("a right body")
    };
    assert_eq!(
        (filename.as_str(), content_type.as_str(), size),
        ("a.mp4", "video/mp4", 104_857_600)
    );
}

/// A byte order mark is no error ([RFC 8259 §8.1](https://www.rfc-editor.org/rfc/rfc8259#section-8.1)).
#[tokio::test]
async fn an_announcement_may_begin_with_a_byte_order_mark() {
    let body = r#"{"filename":"a.txt","content_type":"text/plain; charset=Shift_JIS","size":1}"#;
    let announced = announced(&format!("\u{feff}{body}")).await;
    let Ok(UploadRequest::Announced { content_type, .. }) = announced else {
        panic!("a right body: {announced:?}")
    };
    assert_eq!(content_type.as_str(), "text/plain; charset=shift_jis");
}

/// A form's file is confirmed when it comes, an announced one when a message references it.
#[tokio::test]
async fn a_form_and_an_announcement_agree_on_a_type() {
    for (declared, bytes) in [
        ("image/jpg", PNG),
        ("application/vnd.ms-excel", b"name;price"),
        ("text/plain; charset=iso-8859-1", b"BMW X5, gr\xfcn"),
        ("application/octet-stream", b"hello"),
        ("image/png", b"MZ\x90\0"),
        ("audio/opus", b"hello"),
    ] {
        let head = format!("Content-Type: {declared}\r\n");
        let form = sent(&[part_of(r#"name="file"; filename="a""#, &head, bytes)]).await;
        let stored = match form {
            Ok(UploadRequest::Stored { content_type, .. }) => Some(content_type),
            _ => None,
        };

        let body = serde_json::json!({"filename": "a", "content_type": declared, "size": 9});
        let Ok(UploadRequest::Announced { content_type, .. }) = announced(&body.to_string()).await
        else {
            panic!("a right body")
        };
        assert_eq!(content_type.confirmed(bytes).ok(), stored, "{declared}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_an_announcement_is_said_at_once() {
    let kind_of = async |body: &str| {
        kinds(announced(body).await).into_iter().map(|(_, kind)| kind).collect::<Vec<_>>()
    };

    assert_eq!(kind_of("{}").await, ["missing", "missing", "missing"]);
    assert_eq!(
        kind_of(r#"{"filename":" ","content_type":"png","size":0,"public":true}"#).await,
        ["string_too_short", "string_pattern_mismatch", "greater_than_equal", "extra_forbidden"]
    );

    assert_eq!(
        kind_of(r#"{"filename":1,"content_type":null,"size":104857601}"#).await,
        ["string_type", "string_type", "less_than_equal"]
    );

    for (size, kind) in [
        ("-1", "greater_than_equal"),
        ("-1e30", "greater_than_equal"),
        ("0.0", "greater_than_equal"),
        ("1e30", "less_than_equal"),
        ("18446744073709551616", "less_than_equal"),
        ("1.5", "int_type"),
        ("7.0", "int_type"),
        ("\"7\"", "int_type"),
    ] {
        let body = format!(r#"{{"filename":"a","content_type":"a/b","size":{size}}}"#);
        assert_eq!(kind_of(&body).await, [kind], "{size}");
    }

    assert_eq!(kind_of("[]").await, ["dict_type"]);
    assert_eq!(kind_of("").await, ["json_invalid"]);
}
