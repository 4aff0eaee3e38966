//! `cargo local demo`: a message and a picture on each channel, from the agent's call to the
//! customer and to the business's own endpoint, and one message over the limit. Everything that it
//! shows is an answer of the public API or of the sandbox.

mod api;
mod journey;
mod picture;
mod receiver;
mod step;

use std::process::ExitCode;
use std::time::Instant;

use anstream::{eprintln, println};
use serde_json::json;

use crate::ready::{Demo, Ready};
use crate::stop::Stop;
use crate::system::{Local, Options};
use crate::terminal::{BAD, BOLD, CODE, DIM, GOOD, field, paint};
use api::Api;
use emulator::{Logs, Programs};
use journey::Journey;
use picture::Picture;
use receiver::Receiver;
use sandbox::seed::PerChannel;
use step::{DemoError, milliseconds, text, within};

/// The picture that goes with every second message.
const PICTURE: Picture = Picture {
    filename: "parcel.png",
    content_type: "image/png",
    bytes: include_bytes!("parcel.png"),
};
/// Messages that the small business may send in a month.
const SMALL_LIMIT: u64 = 2;

/// Runs the demo; the exit code says whether every message arrived. With `keep`, the system runs
/// on until it is asked to stop.
pub(crate) async fn run(programs: Programs, keep: bool, stop: &mut Stop) -> ExitCode {
    let logs = Logs::captured();
    let shown = tokio::select! {
        shown = run_and_show(&logs, programs, keep) => shown,
        () = stop.asked() => return ExitCode::from(130), // as a shell reports Ctrl-C
    };

    match shown {
        Ok(kept) => {
            if let Some(local) = kept {
                stop.asked().await;
                local.stop().await;
            }
            ExitCode::SUCCESS
        }
        Err(DemoError(sentence)) => {
            let lines: Vec<_> = logs.lines().into_iter().filter(|line| !line.is_record()).collect();
            if !lines.is_empty() {
                eprintln!("\n  {}", paint(DIM, "The functions' logs:"));
                lines.iter().for_each(|line| eprintln!("  {line}"));
            }
            eprintln!("\n{} {sentence}", paint(BAD, "error:"));
            ExitCode::FAILURE
        }
    }
}

/// Shows the demo, and returns the system if it is to be kept.
async fn run_and_show(
    logs: &Logs,
    programs: Programs,
    keep: bool,
) -> Result<Option<Local>, DemoError> {
    let started = Instant::now();
    let starting = Local::start(Options { logs: logs.clone(), programs, ..Options::default() });
    let local = within(starting, "the system did not start").await?;
    let local = local.map_err(|error| DemoError(format!("the system did not start: {error}.")))?;
    let ready = local.ready();
    println!("\n  {}", paint(BOLD, "Pingback Messages: from the agent's call to the customer"));
    println!(
        "  {}\n",
        paint(
            DIM,
            format_args!(
                "everything of template.yaml runs at {}, after {} ms",
                ready.api,
                milliseconds(started)
            )
        )
    );

    let outcome = send_everything(&ready).await;
    let kept = match keep && outcome.is_ok() {
        true => Some(local),
        false => {
            local.stop().await;
            None
        }
    };
    let messages = outcome?;
    let took = format!("{:.1} s", started.elapsed().as_secs_f64());
    let done = paint(GOOD, "✓");
    println!("  {done} {messages} messages arrived and were told of, one was refused, in {took}.");
    let next = match &kept {
        Some(_) => format!(
            "{} {}  {}",
            paint(DIM, "Look at it:"),
            paint(CODE, &ready.console),
            paint(DIM, "Ctrl-C stops it.")
        ),
        None => format!("{} {}", paint(DIM, "Try it yourself:"), paint(CODE, "cargo local")),
    };
    println!("  {next}\n");

    Ok(kept)
}

async fn send_everything(ready: &Ready) -> Result<usize, DemoError> {
    let demo =
        ready.demo.as_ref().ok_or_else(|| DemoError("the demo business was not seeded.".into()))?;
    let api = Api::new(ready);
    let journeys = journeys(demo);
    let receiver = Receiver::register(ready, demo.business_id).await?;

    for journey in &journeys {
        journey.send_and_follow(&api, &demo.token, &receiver).await?;
        println!();
    }

    let usage = api.get("/api/v1/usage", &demo.token).await?;
    let used = &usage["used"];
    let limit = &usage["limit"];
    if used.as_u64() != Some(journeys.len() as u64) {
        return Err(DemoError(format!(
            "{} messages were sent, but the API counts {used}.",
            journeys.len()
        )));
    }

    println!(
        "{}\n",
        field("counted", format_args!("{used} of {limit} messages in {}", text(&usage["month"])))
    );

    exceed_limit(&api).await?;
    Ok(journeys.len())
}

fn journeys(demo: &Demo) -> [Journey; 6] {
    let &PerChannel { chat, whatsapp, email } = &demo.conversations;
    let journey = |channel, title, conversation, content, picture| Journey {
        channel,
        title,
        conversation,
        content,
        picture,
    };

    let picture = Some(PICTURE);

    [
        journey(
            "chat",
            "Live chat",
            chat,
            "Hi Anna, I found your order. Shall I send it again?",
            None,
        ),
        journey("chat", "Live chat, with a picture", chat, "This is what we packed:", picture),
        journey("whatsapp", "WhatsApp", whatsapp, "Your parcel is on its way 📦", None),
        journey("whatsapp", "WhatsApp, with a picture", whatsapp, "It looks like this:", picture),
        journey(
            "email",
            "E-mail",
            email,
            "Dear Anna,\n\nthe invoice you asked for is in your account.",
            None,
        ),
        journey(
            "email",
            "E-mail, with a picture",
            email,
            "And this is how your parcel left us.",
            picture,
        ),
    ]
}

/// Sends one message more than a small plan allows, and shows the refusal.
async fn exceed_limit(api: &Api) -> Result<(), DemoError> {
    println!(
        "  {}  {}",
        paint(BOLD, "The plan's limit"),
        paint(DIM, format_args!("a business that may send {SMALL_LIMIT} messages a month"))
    );

    let business =
        api.post_to_sandbox("/sandbox/businesses", &json!({ "limit": SMALL_LIMIT })).await?;
    let (key, conversation) =
        (text(&business["api_key"]), text(&business["conversations"]["chat"]));

    for number in 1..=SMALL_LIMIT {
        let (status, _) = api.send(conversation, key, &format!("Message {number}"), &[]).await?;
        if status != 201 {
            return Err(DemoError(format!(
                "message {number} of {SMALL_LIMIT} was answered {status}, not 201."
            )));
        }
        println!("{}", field(&format!("message {number}"), paint(GOOD, "201 accepted")));
    }

    let (status, problem) = api.send(conversation, key, "One too many", &[]).await?;
    if status != 403 || problem["code"] != "quota_exceeded" {
        return Err(DemoError(format!(
            "the message over the limit was answered {status} {problem}, not 403."
        )));
    }

    let number = SMALL_LIMIT + 1;
    println!(
        "{}",
        field(
            &format!("message {number}"),
            paint(BAD, format_args!("403 {}", text(&problem["code"])))
        )
    );

    let (limit, used, resets_at) =
        (&problem["limit"], &problem["used"], text(&problem["resets_at"]));
    println!("{}\n", field("", format_args!("limit {limit}, used {used}, resets at {resets_at}")));

    Ok(())
}
