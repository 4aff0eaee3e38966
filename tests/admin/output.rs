//! The output of every command: JSON that calls one thing by one name, tables that fit a terminal,
//! help, and words about a system that does not run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::dead_letters::give_up_messages;
use crate::{admin_with, environment, text};
use tests::World;

/// Commands whose output is a script for a shell.
const WITHOUT_JSON: [&str; 1] = ["completions"];

/// A walk over all commands.
struct Walk {
    environment: Vec<(&'static str, String)>,
    walked: BTreeSet<String>,
    /// The name that each id was called by.
    names: BTreeMap<String, String>,
    /// The type that each name's values had.
    types: BTreeMap<String, &'static str>,
}

impl Walk {
    /// Runs a command that finds nothing wrong, and notes how its JSON names things.
    async fn run(&mut self, command: &str, args: &[&str]) -> Value {
        self.run_to(0, command, args).await
    }

    /// Runs a command that ends with this code, and notes how its JSON names things.
    async fn run_to(&mut self, code: i32, command: &str, args: &[&str]) -> Value {
        let words: Vec<&str> = command.split(' ').chain(args.iter().copied()).collect();
        self.walked.insert(command.to_owned());

        let json = admin_with(&self.environment, &[&words[..], &["--json"]].concat()).await;
        assert_eq!(json.code, code, "{words:?}: {} {}", json.stdout, json.stderr);
        let json = json.json();
        self.note(command, "", &json);
        json
    }

    /// Runs a command that ends with this code, in a terminal of 80 columns and in a wide one as
    /// well.
    async fn read(&mut self, code: i32, command: &str, args: &[&str]) -> Value {
        let words: Vec<&str> = command.split(' ').chain(args.iter().copied()).collect();
        let mut narrow = self.environment.clone();
        narrow.push(("COLUMNS", "80".to_owned()));
        let table = admin_with(&narrow, &words).await;
        for line in table.stdout.lines() {
            assert!(line.chars().count() <= 80, "{words:?}: {}", table.stdout);
        }

        let wide = admin_with(&narrow, &[&words[..], &["--wide"]].concat()).await;
        assert!(!wide.stdout.contains('…'), "{words:?}: {}", wide.stdout);
        self.run_to(code, command, args).await
    }

    fn note(&mut self, command: &str, name: &str, value: &Value) {
        let kind = match value {
            Value::Null => return,
            Value::Bool(_) => "a truth",
            Value::Number(_) => "a number",
            Value::String(id) => {
                let is_hash = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
                if is_hash || id.parse::<uuid::Uuid>().is_ok() {
                    let name = name.strip_suffix('s').unwrap_or(name);
                    assert!(name.ends_with("_id"), "{command}: {name} is an id");
                    let known = self.names.entry(id.clone()).or_insert_with(|| name.to_owned());
                    assert_eq!(known, name, "{command}: one thing has two names");
                }
                "a text"
            }
            Value::Array(all) => {
                all.iter().for_each(|one| self.note(command, name, one));
                return;
            }
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| self.note(command, name, value));
                "an object"
            }
        };

        if !name.is_empty() {
            let known = *self.types.entry(name.to_owned()).or_insert(kind);
            assert_eq!(known, kind, "{command}: {name} means two things");
        }
    }
}

/// Returns the words below "Commands:" in a command's help.
async fn subcommands(words: &[&str]) -> Vec<String> {
    let help = admin_with(&[], &[words, &["--help"]].concat()).await;
    let Some((_, commands)) = help.stdout.split_once("Commands:\n") else { return Vec::new() };
    let lines = commands.lines().take_while(|line| line.starts_with("  "));
    let names = lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    names.filter(|name| name != "help").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_calls_one_thing_by_one_name_and_fits_a_terminal() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let ids = give_up_messages(&world, &business, &["one", "two"]).await;
    let environment = environment(&world).await;
    let mut walk = Walk {
        environment,
        walked: BTreeSet::new(),
        names: BTreeMap::new(),
        types: BTreeMap::new(),
    };
    let given_up = ["--business", &business.business_id.to_string()];
    let conversation_id = business.conversation_id("email").to_string();
    let whatsapp = business.conversation_id("whatsapp").to_string();

    walk.read(2, "status", &[]).await;
    walk.read(2, "dead-letters inspect", &[]).await;
    walk.read(2, "list failed", &[]).await;
    walk.read(0, "list in-doubt", &given_up).await;
    walk.read(0, "list stuck", &[]).await;
    walk.read(0, "message show", &[&conversation_id, &ids[0].to_string()]).await;
    walk.read(0, "audit", &given_up).await;
    walk.run("business change", &[given_up[0], given_up[1], "--name", "A Shop of Some Name"]).await;
    walk.read(2, "dead-letters inspect", &[]).await;
    walk.run("dead-letters redrive", &["--resend", "--conversation", &conversation_id, "--yes"])
        .await;
    walk.run("dead-letters discard", &["--yes"]).await;

    let made = walk.run("first-steps", &["--name", "Another Shop"]).await;
    let of = ["--business", text(&made, "business_id")];
    walk.run("create business", &["--name", "A Third"]).await;
    let agent = walk.run("create agent", &of).await;
    let agent_id = text(&agent, "agent_id");
    walk.run("create api-key", &[of[0], of[1], "--agent", agent_id, "--days", "7"]).await;
    let from = "Support of the Shop <support@shop.example.com>";
    let channel =
        walk.run("create channel", &[of[0], of[1], "--channel", "email", "--from", from]).await;
    let channel_id = text(&channel, "channel_id");
    let recipient = ["--channel-id", channel_id, "--recipient", "anna@example.com"];
    walk.run("create conversation", &[&of[..], &recipient].concat()).await;

    walk.run("channel pause", &[of[0], of[1], channel_id]).await;
    walk.read(2, "status", &[]).await;
    for list in ["list businesses", "list channels", "list api-keys"] {
        walk.read(0, list, &[]).await;
    }
    walk.read(2, "list paused", &[]).await;
    let path = format!("{}/api/v1/webhook_endpoints", world.ready.api);
    let receiver = format!("{}/receivers/of-a-walk", world.ready.sandbox);
    let asked = world.http().post(path).bearer_auth(text(&made, "api_key"));
    let endpoint = world.ask(asked.json(&serde_json::json!({ "url": receiver }))).await.json();
    world.ledger().secrets.push(text(&endpoint, "secret").to_owned());
    let its = [of[0], of[1], text(&endpoint, "id")];
    walk.read(0, "list endpoints", &[]).await;
    walk.read(0, "endpoint show", &its).await;
    walk.run("endpoint disable", &[&its[..], &["--yes"]].concat()).await;
    walk.run("endpoint enable", &its).await;
    walk.run("events redeliver", &[&its[..], &["--since", "1h", "--yes"]].concat()).await;
    walk.read(0, "business show", &of).await;
    walk.read(0, "plan show", &of).await;
    walk.run("plan change", &[of[0], of[1], "--limit", "7"]).await;
    walk.read(0, "channel show", &[of[0], of[1], channel_id]).await;
    walk.run("channel change", &[of[0], of[1], channel_id, "--in-doubt", "hold"]).await;
    walk.run("channel resume", &[of[0], of[1], channel_id]).await;
    walk.run("channel deactivate", &[of[0], of[1], channel_id, "--yes"]).await;
    walk.run("channel activate", &[of[0], of[1], channel_id]).await;
    walk.run("erase conversation", &[given_up[0], given_up[1], &whatsapp, "--yes"]).await;
    let customer = ["erase recipient", "anna@example.com"];
    walk.run(customer[0], &[of[0], of[1], customer[1], "--yes"]).await;
    walk.read(0, "keys show", &["agents"]).await;
    walk.run("keys add", &["agents"]).await;
    walk.run("keys retire", &["agents", "--yes"]).await;
    walk.read(0, "smoke", &[]).await;
    let api_key_id = text(&made, "api_key_id");
    walk.run("revoke api-key", &[of[0], of[1], api_key_id, "--yes"]).await;
    walk.run("revoke agent", &[of[0], of[1], agent_id, "--yes"]).await;

    for command in subcommands(&[]).await {
        let below = subcommands(&[&command]).await;
        let leaves = if below.is_empty() {
            vec![command.clone()]
        } else {
            below.iter().map(|sub| format!("{command} {sub}")).collect()
        };
        for leaf in leaves.iter().filter(|leaf| !WITHOUT_JSON.contains(&leaf.as_str())) {
            assert!(walk.walked.contains(leaf), "no JSON of `{leaf}` was looked at");
        }
    }
    world.allow(|allowed| {
        allowed.waiting = true;
        allowed.elsewhere = true;
    });
}

#[tokio::test]
async fn a_system_that_does_not_run_is_named_with_its_address() {
    let environment = |more: [(&'static str, &str); 2]| {
        let credentials = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ];
        let all = credentials.into_iter().chain(more);
        all.map(|(name, value)| (name, value.to_owned())).collect::<Vec<_>>()
    };
    // Port 1 is reserved, and nothing listens there.
    let address = "http://127.0.0.1:1";
    for (more, args) in [
        ([("AWS_ENDPOINT_URL", address), ("PINGBACK_STACK", "pingback")], vec!["status"]),
        ([("AWS_ENDPOINT_URL_DYNAMODB", address), ("TABLE_NAME", "t")], vec!["list", "businesses"]),
        (
            [("AWS_ENDPOINT_URL", address), ("CHAT_DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:1/q")],
            vec!["dead-letters", "inspect", "--channel", "chat"],
        ),
    ] {
        let mut environment = environment(more);
        environment.push(("TABLE_NAME", "t".to_owned()));
        let result = admin_with(&environment, &args).await;
        let said = format!("{}{}", result.stdout, result.stderr);
        assert_eq!(result.code, 1, "{said}");
        assert!(said.contains(address) && said.contains("does `cargo local` run"), "{said}");
        assert!(said.contains(more[0].0), "{said}");
    }
}

#[tokio::test]
async fn global_options_stand_apart_in_every_help() {
    for words in [&["--help"][..], &["list", "failed", "--help"], &["channel", "pause", "-h"]] {
        let help = admin_with(&[], words).await.stdout;
        let (own, global) = help.split_once("Global options:").expect("a heading");
        for option in ["--stack", "--json", "--yes", "--wide"] {
            let line = format!("      {option}");
            assert!(global.contains(&line) && !own.contains(&line), "{option}: {help}");
        }
    }
}

#[tokio::test]
async fn bash_completes_commands_by_the_printed_script() {
    let script = admin_with(&[], &["completions", "bash"]).await;
    assert_eq!(script.code, 0, "{}", script.stderr);
    let complete = |words: &str, last: &str| {
        let count = words.split(' ').count() - 1;
        let line = format!(
            "{}\nCOMP_WORDS=({words}); COMP_CWORD={count}; _cargo_admin cargo {last:?} x; \
             echo \"${{COMPREPLY[@]}}\"",
            script.stdout
        );
        let output = std::process::Command::new("bash").args(["-c", &line]).output();
        String::from_utf8(output.expect("bash").stdout).expect("UTF-8")
    };
    assert_eq!(complete("cargo admin mess", "mess").trim(), "message");
    assert!(complete("cargo admin list pa", "pa").contains("paused"));
    assert!(complete("cargo admin list failed --sin", "--sin").contains("--since"));
    for shell in ["zsh", "fish"] {
        assert!(admin_with(&[], &["completions", shell]).await.stdout.contains("dead-letters"));
    }
}
