//! The runbooks of OPERATIONS.md: each alarm's block is pasted into a shell as it stands, while the
//! fault that rings the alarm is on, and shows the operator what the page says it shows.
//!
//! `cargo admin` is the real program. `aws` is a stand-in: of `aws logs tail` the lines are those
//! that the functions have written, by CloudWatch's rules for patterns; metrics and settings of
//! functions are what the local system has counted and read in its template ([`figures`]); what a
//! deployed account alone could answer stays empty.

mod figures;
mod filter_pattern;
mod scenes;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::environment;
use filter_pattern::FilterPattern;
use tests::World;

/// A part of the output that a step of a runbook has to have.
pub(crate) struct Evidence {
    /// The step's number in the block.
    pub(crate) step: u8,
    /// A part of what it prints.
    pub(crate) text: String,
}

/// Makes the evidence of a step.
pub(crate) fn shows(step: u8, text: impl ToString) -> Evidence {
    Evidence { step, text: text.to_string() }
}

/// Stands in for AWS's command line. It answers a resource's name with its logical id, the tail of
/// a log with a line that says which lines were asked for, and looks other answers up in `FIGURES`.
const AWS: &str = r#"#!/usr/bin/env bash
command="$1 $2"
group=$3
while [ $# -gt 0 ]; do
  case "$1" in
    --logical-resource-id | --function-name) id=$2 ;;
    --filter-pattern) pattern=$2 ;;
    --metric-name) metric=$2 ;;
    Name=*,Value=*) dimension=" ${1##*Value=}" ;;
  esac
  shift
done
figure() { awk -F '\t' -v key="$1" '$1 == key { sub(/^[^\t]*\t/, ""); print }' "$FIGURES"; }
case "$command" in
  "cloudformation describe-stack-resource") echo "$id" ;;
  "logs tail") printf 'LOGS\t%s\t%s\n' "$group" "$pattern" ;;
  "cloudwatch get-metric-statistics") figure "$metric$dimension" ;;
  "lambda get-function-"*) figure "$command $id" ;;
  *) figure "$command" ;;
esac
"#;

/// Runs the operator's program in place of `cargo admin`.
const CARGO: &str = r#"#!/usr/bin/env bash
[ "$1" = admin ] || exit 64
shift
exec "$ADMIN" "$@"
"#;

/// Walks through the runbook of an alarm of this channel.
pub(crate) async fn walk(world: &World, anchor: &str, channel: &str, evidence: &[Evidence]) {
    let page = page();
    let steps = steps(&page, anchor);
    let programs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runbooks").join(anchor);
    std::fs::create_dir_all(&programs).expect("a folder");
    write_program(&programs.join("aws"), AWS);
    write_program(&programs.join("cargo"), CARGO);

    std::fs::write(programs.join("figures"), figures::table(world)).expect("it is written");

    let mut shown = BTreeMap::new();
    for (number, commands) in &steps {
        let script = format!("{}\n{commands}", preamble(&page, channel));
        shown.insert(*number, paste(world, &programs, &script).await);
    }

    for Evidence { step, text } in evidence {
        let output = shown.get(step).unwrap_or_else(|| panic!("{anchor} has no step {step}"));
        assert!(output.contains(text), "{anchor}, step {step}: no {text} in\n{output}");
    }
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/OPERATIONS.md");
    std::fs::read_to_string(path).expect("the page")
}

fn alarms(page: &str) -> &str {
    page.split("\n## ").find(|part| part.starts_with("Alarms\n")).expect("a part about alarms")
}

fn block(part: &str) -> &str {
    let (_, rest) = part.split_once("```bash\n").expect("a block");
    rest.split_once("\n```").expect("its end").0
}

/// Returns what is pasted once, for this channel and the local stack.
fn preamble(page: &str, channel: &str) -> String {
    const STACK: &str = "PINGBACK_STACK=pingback-messages";
    const CHANNEL: &str = "channel=email";
    let block = block(alarms(page));
    assert!(block.contains(STACK) && block.contains(CHANNEL), "{block}");
    block.replace(STACK, "PINGBACK_STACK=pingback").replace(CHANNEL, &format!("channel={channel}"))
}

/// Returns the headings of the runbooks.
fn anchors(page: &str) -> Vec<&str> {
    let parts = alarms(page).split("\n### ").skip(1);
    parts.map(|part| part.lines().next().expect("a heading")).collect()
}

/// Returns the commands of each step of a runbook.
fn steps(page: &str, anchor: &str) -> BTreeMap<u8, String> {
    let mut parts = alarms(page).split("\n### ");
    let part = parts.find(|part| part.starts_with(&format!("{anchor}\n")));
    let mut steps: BTreeMap<u8, String> = BTreeMap::new();
    let mut number = 0;
    for line in block(part.expect("a runbook of that name")).lines() {
        match line.strip_prefix("# ").and_then(|rest| rest.split_once(". ")) {
            Some((digits, _)) => number = digits.parse().expect("a number"),
            None => *steps.entry(number).or_default() += &format!("{line}\n"),
        }
    }
    steps
}

fn write_program(path: &Path, text: &str) {
    std::fs::write(path, text).expect("it is written");
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, runs).expect("it may run");
}

/// Runs the commands in a shell, and returns what an operator reads.
async fn paste(world: &World, programs: &Path, script: &str) -> String {
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a path"));
    let mut shell = Command::new("bash");
    shell
        .args(["-c", script])
        .env_clear()
        .envs(environment(world).await)
        .env("ADMIN", env!("CARGO_BIN_EXE_admin-under-test"))
        .env("FIGURES", programs.join("figures"))
        .env("PATH", path)
        .stdin(Stdio::null());
    let output = shell.output().await.expect("bash runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{script}\n{errors}");

    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| with_log_lines(world, line) + "\n").collect()
}

/// Puts the lines of a function's log where the stand-in was asked for them.
fn with_log_lines(world: &World, line: &str) -> String {
    let mut parts = line.split('\t');
    let (Some("LOGS"), Some(group), Some(pattern)) = (parts.next(), parts.next(), parts.next())
    else {
        return line.to_owned();
    };
    let Some(function) = group.strip_prefix("/aws/lambda/pingback/") else {
        return String::new(); // API Gateway's own.
    };

    let pattern = FilterPattern::parse(pattern);
    let lines = world.logged().into_iter().filter(|line| line.function == function);
    lines.map(|line| line.text).filter(|text| pattern.matches(text)).collect::<Vec<_>>().join("\n")
}
