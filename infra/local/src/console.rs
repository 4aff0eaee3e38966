//! What a person reads first: where things are, the ready command, how to see what arrived. On the
//! terminal when the system is up, and at the root of the API.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::ready::{Demo, Ready};
use crate::terminal::{BOLD, CODE, DIM, field, paint};
use emulator::account::{REGION, STACK_NAME};

/// The page, with colours.
pub(crate) fn page(ready: &Ready, kept: &str) -> String {
    let mut lines = vec![
        field("API", paint(CODE, &ready.api)),
        field("WebSocket", paint(CODE, &ready.websocket)),
        field(
            "Sandbox",
            format!(
                "{}  {}",
                paint(CODE, format_args!("{}/sandbox/", ready.sandbox)),
                paint(DIM, "lists what it can do")
            ),
        ),
        field("Data", kept),
    ];
    if let Some(demo) = &ready.demo {
        lines.extend(demo_lines(ready, demo));
    }
    lines.join("\n")
}

fn demo_lines(ready: &Ready, demo: &Demo) -> Vec<String> {
    let Ready { api, sandbox, aws, .. } = ready;
    let conversations = &demo.conversations;
    let code = |line: &str| format!("    {}", paint(CODE, line));
    vec![
        String::new(),
        format!("  {}", paint(BOLD, "A demo business")),
        field(
            "id",
            format_args!(
                "{}  {}",
                demo.business_id,
                paint(DIM, format_args!("limit {} a month", demo.limit))
            ),
        ),
        field("chat", conversations.chat),
        field("whatsapp", conversations.whatsapp),
        field("email", conversations.email),
        String::new(),
        format!("  {}", paint(BOLD, "Send a message")),
        code(&format!("curl -i {api}/api/v1/conversations/{}/messages \\", conversations.chat)),
        code(&format!("  -H 'Authorization: Bearer {}' \\", demo.api_key)),
        code("  -H 'Content-Type: application/json' \\"),
        code(r#"  -d '{"content": "Hello! How can we help?", "attachments": []}'"#),
        String::new(),
        format!("  {}", paint(BOLD, "See what the customer got")),
        code(&format!("curl {sandbox}/sandbox/chat/messages")),
        String::new(),
        format!("  {}", paint(BOLD, "Operate it")),
        code(&format!(
            "export AWS_ENDPOINT_URL={} AWS_REGION={REGION} PINGBACK_STACK={STACK_NAME} \\",
            aws.dynamodb
        )),
        code("  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"),
        code("cargo admin first-steps"),
        String::new(),
        format!("  {}", paint(BOLD, "See it in the chat widget, in a browser")),
        code(&format!("{sandbox}/widget")),
    ]
}

/// The root of the API, for people. What it says is known only when everything is up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Console(Arc<OnceLock<String>>);

impl Console {
    /// The route.
    pub(crate) fn routes(&self) -> Router {
        let Self(text) = self.clone();
        Router::new().route("/", get(async move || show(text.get())))
    }

    /// Sets what it says, once; colours are taken out.
    pub(crate) fn set(&self, page: &str) {
        let _ = self.0.set(format!(
            "Pingback Messages, on this machine.\n\n{}\n",
            anstream::adapter::strip_str(page)
        ));
    }
}

fn show(text: Option<&String>) -> Response {
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    match text {
        Some(text) => (plain, text.clone()).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, plain, "still starting\n").into_response(),
    }
}
