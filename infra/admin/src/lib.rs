//! The operator's command line: what a person or a script does to a deployed system, or to the
//! local one, without the API. It uses the calls that the functions use, so it can break no promise
//! that they keep.

mod audit;
mod channel;
mod cloudformation;
mod command_line;
mod create;
mod dead_letters;
mod first_steps;
mod list;
mod message;
mod plan;
mod report;
mod revoke;
mod target;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use command_line::{Command, CommandLine, Create, DeadLetters, List, Message, Plan, Revoke};
use platform::InternalError;
use report::{Progress, Report};
use target::Target;

/// Why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The input or the state of the system is at fault; the sentence says what to do.
    #[error("{0}")]
    Rejected(String),
    /// AWS did not answer, or an item in it cannot be read.
    #[error("{}", .0.chain())]
    Internal(#[from] InternalError),
    /// The operator did not confirm.
    #[error("{0}")]
    NotConfirmed(String),
}

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Failure {
        Failure::Rejected(sentence.into())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Failure::Rejected(_) | Failure::Internal(_) => 1,
            Failure::NotConfirmed(_) => 3,
        }
    }
}

/// Runs the command line. The exit code is 0: done; 1: not done, or not all of it, because of the
/// input or AWS; 2: done, and found something wrong; 3: not confirmed, nothing done.
#[must_use]
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            // If standard error is closed, there is no other place to report to.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&command_line)),
        Err(error) => Err(Failure::new(error.to_string())),
    };

    match result {
        Ok(report) => {
            report.print(command_line.json);
            ExitCode::from(report.exit_code())
        }
        Err(failure) => {
            report::print_error(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(command_line: &CommandLine) -> Result<Report, Failure> {
    let target = Target::resolve(command_line.stack.as_deref()).await?;
    let consent = Consent { given: command_line.yes };
    let progress = Progress::new(command_line.json);

    match &command_line.command {
        Command::FirstSteps(args) => first_steps::run(&target, args).await,

        Command::Create(Create::Business(args)) => create::business(&target, args).await,
        Command::Create(Create::Agent(args)) => create::agent(&target, args).await,
        Command::Create(Create::ApiKey(args)) => create::api_key(&target, args).await,
        Command::Create(Create::Channel(args)) => create::channel(&target, args).await,
        Command::Create(Create::Conversation(args)) => create::conversation(&target, args).await,

        Command::Plan(Plan::Show(args)) => plan::show(&target, args).await,
        Command::Plan(Plan::Change(args)) => plan::change(&target, args, &consent).await,
        Command::Message(Message::Show(args)) => message::show(&target, args).await,

        Command::List(List::Stuck(args)) => list::stuck(&target, args, &progress).await,
        Command::List(List::InDoubt(args)) => list::in_doubt(&target, args, &progress).await,
        Command::List(List::Failed(args)) => list::failed(&target, args, &progress).await,

        Command::DeadLetters(DeadLetters::Inspect(args)) => {
            dead_letters::inspect(&target, args, &progress).await
        }
        Command::DeadLetters(DeadLetters::Redrive(args)) => {
            dead_letters::redrive(&target, args, &consent, &progress).await
        }
        Command::DeadLetters(DeadLetters::Discard(args)) => {
            dead_letters::discard(&target, args, &consent, &progress).await
        }

        Command::Audit(args) => audit::run(&target, args, &progress).await,
        Command::Revoke(Revoke::ApiKey(args)) => revoke::api_key(&target, args, &consent).await,
        Command::Revoke(Revoke::Agent(args)) => revoke::agent(&target, args, &consent).await,
        Command::Channel(command) => channel::run(&target, command, &consent).await,
    }
}

/// Consent of the operator to a change that cannot be undone.
pub(crate) struct Consent {
    given: bool,
}

impl Consent {
    /// Asks on a terminal; elsewhere the command needs `--yes`.
    fn confirm(&self, consequence: &str) -> Result<(), Failure> {
        if self.given {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::NotConfirmed(format!(
                "{consequence} Nothing was done: say --yes to have it done."
            )));
        }

        anstream::eprint!("{consequence} Type \"yes\" to go on: ");
        let mut answer = String::new();
        match std::io::stdin().read_line(&mut answer) {
            Ok(_) if answer.trim() == "yes" => Ok(()),
            _ => Err(Failure::NotConfirmed("Nothing was done.".into())),
        }
    }
}
