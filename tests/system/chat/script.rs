//! The widget's script, as pages of other origins load it.

use reqwest::header::{HeaderMap, HeaderValue};

use platform::widget_script::WidgetScript;
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_script_is_loaded_by_any_page_once_and_compressed() {
    let world = World::start().await;
    let script = WidgetScript::newest();
    let url = format!("{}/api/v1/chat/scripts/{}", world.ready.api, script.name);
    let http = world.http();
    let page = ("origin", "https://shop.example");
    let value = |headers: &HeaderMap, name: &str| {
        headers.get(name).map(HeaderValue::to_str).map(|value| value.expect("text").to_owned())
    };

    let plain = http.get(&url).header(page.0, page.1).send().await.expect("it is answered");
    let headers = plain.headers().clone();
    for (name, wanted) in [
        ("access-control-allow-origin", "*"),
        ("content-type", "text/javascript; charset=utf-8"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(value(&headers, name).as_deref(), Some(wanted), "{name}");
    }
    assert!(headers.get_all("vary").iter().any(|name| name == "accept-encoding"), "{headers:?}");
    assert_eq!(value(&headers, "content-encoding"), None);
    assert_eq!(plain.text().await.expect("a text"), script.text);

    let packed = http.get(&url).header(page.0, page.1).header("accept-encoding", "br, gzip");
    let packed = packed.send().await.expect("it is answered");
    assert_eq!(value(packed.headers(), "content-encoding").as_deref(), Some("br"));
    let bytes = packed.bytes().await.expect("bytes");
    let mut unpacked = String::new();
    let mut decoder = brotli::Decompressor::new(&*bytes, bytes.len());
    std::io::Read::read_to_string(&mut decoder, &mut unpacked).expect("it is Brotli");
    assert_eq!(unpacked, script.text);

    // A version that never was is none, and is not kept.
    let other = world.get("", "/api/v1/chat/scripts/chat-0.0.1.js").await;
    assert_eq!(other.problem(), (404, "file_not_found".to_owned()));
    assert_eq!(other.header("cache-control"), Some("no-store"));
}
