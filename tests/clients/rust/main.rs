//! The client that openapi-generator makes for Rust, in all operations that a caller begins with.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use openapi::apis::configuration::Configuration;
use openapi::apis::files_api::{announce_file, upload_file};
use openapi::apis::messages_api::{SendMessageError, list_messages, read_message, send_message};
use openapi::models::{
    Attachment, AttachmentReference, DeliveryStatus, FieldErrorLocInner, Message, NewFile,
    NewMessage, Problem,
};

type Failure = Box<dyn Error>;
type Sent = Result<Message, openapi::apis::Error<SendMessageError>>;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn configured(token: String) -> Configuration {
    Configuration {
        base_path: setting("API"),
        bearer_access_token: Some(token),
        ..Configuration::default()
    }
}

/// Runs a step, and prints how it ended.
async fn step<T>(name: &str, run: impl Future<Output = Result<T, Failure>>) -> Option<T> {
    match run.await {
        Ok(value) => {
            println!("{name} ok");
            Some(value)
        }
        Err(error) => {
            let words: Vec<_> = error.to_string().split_whitespace().map(str::to_owned).collect();
            println!("{name} {}", words.join(" "));
            None
        }
    }
}

fn check(truth: bool, seen: impl std::fmt::Debug) -> Result<(), Failure> {
    if truth { Ok(()) } else { Err(format!("not as expected: {seen:?}").into()) }
}

/// Returns the problem that a call was refused with. The generator's enum of errors takes the first
/// status that has such a body, so the status is the answer's.
fn problem(sent: Sent, status: u16, code: &str) -> Result<Problem, Failure> {
    let Err(openapi::apis::Error::ResponseError(answer)) = sent else {
        return Err(format!("it was not refused: {sent:?}").into());
    };
    let Some(SendMessageError::Status401(problem)) = answer.entity else {
        return Err(format!("no problem: {}", answer.content).into());
    };
    check(answer.status.as_u16() == status && problem.code == code, &problem)?;
    Ok(problem)
}

async fn put(url: &str, headers: &HashMap<String, String>) -> Result<(), Failure> {
    let mut put = reqwest::Client::new().put(url).body("A text.\n");
    for (name, value) in headers {
        put = put.header(name, value);
    }
    let status = put.send().await?.status();
    check(status == 200, status)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let api = configured(setting("TOKEN"));
    let chat = setting("CONVERSATION");

    let sent = step("send", async {
        let send = || {
            send_message(&api, &chat, NewMessage::new("By a client.".into()), Some("send-1"))
        };
        let sent = send().await?;
        check(sent.content == "By a client." && send().await?.id == sent.id, &sent)?;
        Ok(sent.id.to_string())
    });
    let id = sent.await.unwrap_or_default();

    let uploaded = step("upload", async {
        let path = std::env::temp_dir().join(format!("generated-client-{}.txt", std::process::id()));
        std::fs::write(&path, "A text.\n")?;
        let uploaded = upload_file(&api, &chat, path.clone(), None).await;
        std::fs::remove_file(path)?;
        let uploaded: Attachment = uploaded?;
        check(uploaded.size == 8, &uploaded)?;
        Ok(uploaded.url)
    });
    let uploaded = uploaded.await.unwrap_or_default();

    step("announce", async {
        let new = NewFile::new("b.txt".into(), "text/plain".into(), 8);
        let announced = announce_file(&api, &chat, new).await?;
        put(&announced.upload.url, &announced.upload.headers).await?;

        let urls = [uploaded, announced.url];
        let files = urls.iter().cloned().map(AttachmentReference::new).collect();
        let new = NewMessage { attachments: Some(files), ..NewMessage::new("Two files.".into()) };
        let sent = send_message(&api, &chat, new, None).await?;
        check(sent.attachments.iter().map(|file| &file.url).eq(&urls), &sent)
    })
    .await;

    step("read", async {
        let mut delivery = read_message(&api, &chat, &id).await?.delivery;
        for _ in 0..100 {
            if delivery.status == DeliveryStatus::Delivered {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            delivery = read_message(&api, &chat, &id).await?.delivery;
        }
        let arrived = delivery.status == DeliveryStatus::Delivered;
        check(arrived && delivery.error.is_none() && delivery.delivered_at.is_some(), &delivery)
    })
    .await;

    step("list", async {
        let first = list_messages(&api, &chat, None, None, None, Some(1), None).await?;
        let after = Some(first.next.as_str());
        let then = list_messages(&api, &chat, after, None, None, Some(1), None).await?;
        check(first.messages[0].id != then.messages[0].id, &then)
    })
    .await;

    step("403", async {
        let spent = configured(setting("SPENT_TOKEN"));
        let new = NewMessage::new("One too many.".into());
        let sent = send_message(&spent, &setting("SPENT_CONVERSATION"), new, None).await;
        let refused = problem(sent, 403, "quota_exceeded")?;
        check(refused.limit == refused.used && refused.resets_at.is_some(), &refused)
    })
    .await;

    step("422", async {
        let sent = send_message(&api, &chat, NewMessage::new("\u{200b}".into()), None).await;
        let refused = problem(sent, 422, "validation_error")?;
        let place = ["body", "content"].map(|part| FieldErrorLocInner::String(part.into()));
        check(refused.errors.as_ref().is_some_and(|all| all[0].loc == place), &refused)
    })
    .await;
}
