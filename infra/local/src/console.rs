//! The console: the page at the root of the API, and the addresses that the terminal shows.
//! `console/` has the page, which is of plain modules without a build step.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::ready::Demo;
use crate::stack::STACK_NAME;
use crate::terminal::{BOLD, CODE, DIM, field, paint};
use emulator::Urls;
use emulator::account::REGION;
use sandbox::pages::wants_page;

const PAGE: &str = include_str!("console/index.html");
const DOCS: &str = include_str!("console/docs.html");
const OPENAPI: &str = include_str!("../../openapi.yaml");

/// The files of the pages: path, type and content.
const FILES: [(&str, &str, &str); 13] = {
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    [
        ("/console/icon.svg", "image/svg+xml", include_str!("console/icon.svg")),
        ("/console/console.css", CSS, include_str!("console/console.css")),
        ("/console/docs.css", CSS, include_str!("console/docs.css")),
        ("/console/agent.js", JS, include_str!("console/agent.js")),
        ("/console/app.js", JS, include_str!("console/app.js")),
        ("/console/breaker.js", JS, include_str!("console/breaker.js")),
        ("/console/calls.js", JS, include_str!("console/calls.js")),
        ("/console/customer.js", JS, include_str!("console/customer.js")),
        ("/console/docs.js", JS, include_str!("console/docs.js")),
        ("/console/dom.js", JS, include_str!("console/dom.js")),
        ("/console/machine.js", JS, include_str!("console/machine.js")),
        ("/console/session.js", JS, include_str!("console/session.js")),
        (
            "/console/openapi-explorer.js",
            JS,
            include_str!("console/vendor/openapi-explorer.min.js"),
        ),
    ]
};

/// The addresses that the pages call.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    api: String,
    aws: String,
    sandbox: String,
}

impl Addresses {
    /// The addresses of a system.
    pub(crate) fn new(urls: &Urls, sandbox_url: &str) -> Self {
        Self { api: urls.api.clone(), aws: urls.aws.clone(), sandbox: sandbox_url.to_owned() }
    }

    /// The addresses as the page reads them: JSON that is safe inside of a `<script>`.
    fn session(&self) -> String {
        json!({ "sandbox": self.sandbox }).to_string().replace('<', "\\u003c")
    }
}

/// Returns the addresses and a first call, with colours.
pub(crate) fn banner(urls: &Urls, sandbox_url: &str, demo: Option<&Demo>, kept: &str) -> String {
    let link = |url: &str, hint: &str| format!("{}  {}", paint(CODE, url), paint(DIM, hint));
    let mut lines = vec![
        field("Console", link(&format!("{}/", urls.api), "send, receive, watch, break")),
        field("API", link(&urls.api, &format!("described at {}/docs", urls.api))),
        field("WebSocket", paint(CODE, &urls.websocket)),
        field("Sandbox", link(&format!("{sandbox_url}/sandbox/"), "lists what it can do")),
        field("AWS", paint(CODE, &urls.aws)),
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
        field("key", &demo.api_key),
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

/// Returns the routes of the pages. Programs get the banner at the root, without colours.
pub(crate) fn routes(banner: &str, addresses: &Addresses) -> Router {
    let plain = anstream::adapter::strip_str(banner);
    let text = format!("Pingback Messages, on this machine.\n\n{plain}\n");
    let console = addresses.clone();
    let root = async move |headers: HeaderMap| {
        let answer = match wants_page(&headers) {
            true => page(PAGE, &console, "'self'"),
            false => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
        };
        ([(header::VARY, "accept")], answer).into_response()
    };

    let docs = addresses.clone();
    let openapi = contract(&addresses.api);
    let router = Router::new()
        .route("/", get(root))
        // The viewer sets styles of its own, which no policy but this one lets it.
        .route("/docs", get(async move || page(DOCS, &docs, "'self' 'unsafe-inline'")))
        .route(
            "/openapi.yaml",
            get(async move || ([(header::CONTENT_TYPE, "application/yaml")], openapi)),
        );

    FILES.into_iter().fold(router, |router, (path, kind, content)| {
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        router.route(path, get(async move || (headers, content)))
    })
}

/// Answers a page that runs its own scripts alone, calls this system alone, and is in no frame.
fn page(html: &str, addresses: &Addresses, styles: &str) -> Response {
    let Addresses { api, aws, sandbox } = addresses;
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' data:; \
         connect-src 'self' {api} {sandbox} {aws}; frame-src {sandbox}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    let mut answer = html.replace("{session}", &addresses.session()).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

/// Returns the contract with this system's address in place of the usual one.
fn contract(api_url: &str) -> String {
    OPENAPI.replacen("- url: http://127.0.0.1:3000\n", &format!("- url: {api_url}\n"), 1)
}
