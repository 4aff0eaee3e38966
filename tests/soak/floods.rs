//! Floods of what is refused.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::Stage;
use crate::traffic::{connect, say};

/// How many requests a flood has, and how many of them come at once.
const REQUESTS: usize = 120;
const AT_ONCE: usize = 24;

/// The time between two floods.
const BETWEEN: Duration = Duration::from_secs(3);

/// How many connections a flood of the socket has, and how many frames come on each.
const SOCKETS: usize = 20;
const FRAMES: usize = 40;

/// One flood after the other, until the traffic is over.
pub(crate) async fn all(stage: &Stage<'_>) {
    for number in 0.. {
        stage.pause(BETWEEN).await;
        if !stage.goes_on() {
            return;
        }

        match number % 6 {
            5 => sockets(stage).await,
            kind => {
                for _ in 0..REQUESTS / AT_ONCE {
                    join_all((0..AT_ONCE).map(|_| refused(stage, kind))).await;
                }
            }
        }
    }
}

/// One request that is refused.
async fn refused(stage: &Stage<'_>, kind: u32) {
    let large = &stage.large[0];
    let id = large.conversation_id("chat");
    let world = stage.world;
    match kind {
        0 => {
            let answer = world.send("pbk_nonsense", id, "from a stranger").go().await;
            stage.count("flood: unknown key", answer.status, &[401, 429]);
        }
        1 => {
            let small = &stage.small[0];
            let text = format!("beyond the limit {}", Uuid::new_v4());
            let id = small.conversation_id("email");
            let answer = world.send(&small.api_key, id, &text).go().await;
            stage.count("flood: spent month", answer.status, &[201, 403, 429]);
        }
        2 => {
            let answer = world.send(&large.api_key, id, "").body(r#"{"content": 3}"#).go().await;
            stage.count("flood: wrong body", answer.status, &[422, 429]);
        }
        3 => {
            let answer = world.send(&large.api_key, Uuid::new_v4(), "into the blue").go().await;
            stage.count("flood: no conversation", answer.status, &[404, 429]);
        }
        _ => {
            let headers =
                [("X-Hub-Signature-256", "sha256=00"), ("Content-Type", "application/json")];
            let path = "/api/v1/webhooks/whatsapp";
            let answer = world.call(Method::POST, path, &headers, b"{}".to_vec()).await;
            stage.count("flood: unsigned webhook", answer.status, &[403, 429]);
        }
    }
}

/// Connections without a token, with a wrong one, and with a good one that asks for everything
/// again and again and does not read it; all of them are dropped in the middle.
async fn sockets(stage: &Stage<'_>) {
    let world = stage.world;
    let token = world.visitor_token(stage.large[1].conversation_id("chat")).await;
    let url = &world.ready.websocket;
    let flood = (0..SOCKETS).map(async |number| {
        let token = ["", "nonsense", &token][number % 3];
        let Ok(mut socket) = connect(url, token).await else { return };
        for _ in 0..FRAMES {
            say(&mut socket, &json!({"action": "hello", "after": 0})).await;
            say(&mut socket, &json!({"action": "resume", "after": 0})).await;
        }
    });

    join_all(flood).await;
}
