//! The first page: addresses, a call to paste, and how to see the messages that arrived. It is on
//! the terminal when the system is up, and at the root of the API.

use axum::Router;
use axum::http::header;
use axum::routing::get;

use crate::ready::Demo;
use crate::stack::STACK_NAME;
use crate::terminal::{BOLD, CODE, DIM, field, paint};
use emulator::Urls;
use emulator::account::REGION;

/// Returns the page, with colours.
pub(crate) fn page(urls: &Urls, sandbox_url: &str, demo: Option<&Demo>, kept: &str) -> String {
    let control = paint(CODE, format_args!("{sandbox_url}/sandbox/"));
    let hint = paint(DIM, "lists what it can do");
    let mut lines = vec![
        field("API", paint(CODE, &urls.api)),
        field("WebSocket", paint(CODE, &urls.websocket)),
        field("Sandbox", format_args!("{control}  {hint}")),
        field("Data", kept),
    ];

    if let Some(demo) = demo {
        lines.extend(demo_lines(urls, sandbox_url, demo));
    }

    lines.join("\n")
}

fn demo_lines(urls: &Urls, sandbox_url: &str, demo: &Demo) -> Vec<String> {
    let conversations = &demo.conversations;
    let title = |text: &str| format!("  {}", paint(BOLD, text));
    let code = |line: &str| format!("    {}", paint(CODE, line));
    let limit = paint(DIM, format_args!("limit {} a month", demo.limit));

    vec![
        String::new(),
        title("A demo business"),
        field("id", format_args!("{}  {limit}", demo.business_id)),
        field("chat", conversations.chat),
        field("whatsapp", conversations.whatsapp),
        field("email", conversations.email),
        String::new(),
        title("Send a message"),
        code(&format!(
            "export API={} CONVERSATION={} TOKEN={}",
            urls.api, conversations.chat, demo.token
        )),
        code(r#"curl -i "$API/api/v1/conversations/$CONVERSATION/messages" \"#),
        code(r#"  -H "Authorization: Bearer $TOKEN" \"#),
        code("  -H 'Content-Type: application/json' \\"),
        code(r#"  -d '{"content": "Hello! How can we help?", "attachments": []}'"#),
        String::new(),
        title("See what the customer got"),
        code(&format!("curl {sandbox_url}/sandbox/chat/messages")),
        String::new(),
        title("Operate it"),
        code(&format!(
            "export AWS_ENDPOINT_URL={} AWS_REGION={REGION} PINGBACK_STACK={STACK_NAME} \\",
            urls.aws
        )),
        code("  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"),
        code("cargo admin first-steps"),
        String::new(),
        title("See it in the chat widget, in a browser"),
        code(&format!("{sandbox_url}/widget")),
    ]
}

/// Returns the route of the page, which it serves without colours.
pub(crate) fn routes(page: &str) -> Router {
    let plain = anstream::adapter::strip_str(page);
    let text = format!("Pingback Messages, on this machine.\n\n{plain}\n");
    let answer =
        move || async move { ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text) };
    Router::new().route("/", get(answer))
}
