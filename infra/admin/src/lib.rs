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
mod place;
mod plan;
mod report;
mod revoke;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use command_line::{Command, CommandLine, Create, DeadLetters};
use place::Place;
use platform::InternalError;
use report::{Progress, Report};

/// Why a command ended without doing what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something is not as it should be, and this says what to do.
    #[error("{0}")]
    Sentence(String),
    /// AWS, or what it holds.
    #[error("{}", .0.chain())]
    Broken(#[from] InternalError),
    /// Nobody said yes.
    #[error("{0}")]
    NotConfirmed(String),
}

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Failure {
        Failure::Sentence(sentence.into())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Failure::Sentence(_) | Failure::Broken(_) => 1,
            Failure::NotConfirmed(_) => 3,
        }
    }
}

/// Runs the command line. The exit code is 0: done; 1: not done, or not all of it, because of the
/// input or AWS; 2: done, and found what should not be; 3: not confirmed, nothing done.
#[must_use]
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            // What cannot be printed cannot be complained about either.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(&command_line)),
        Err(error) => Err(Failure::new(error.to_string())),
    };
    match ended {
        Ok(report) => {
            report.print(command_line.json);
            ExitCode::from(report.exit_code())
        }
        Err(failure) => {
            anstream::eprintln!("{}error:{:#} {failure}", report::BAD, report::BAD);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(line: &CommandLine) -> Result<Report, Failure> {
    let place = Place::find(line.stack.as_deref()).await?;
    let consent = Consent { given: line.yes };
    let progress = Progress::new(line.json);
    match &line.command {
        Command::FirstSteps(args) => first_steps::run(&place, args).await,
        Command::Create(Create::Business(args)) => create::business(&place, args).await,
        Command::Create(Create::Agent(args)) => create::agent(&place, args).await,
        Command::Create(Create::ApiKey(args)) => create::api_key(&place, args).await,
        Command::Create(Create::Channel(args)) => create::channel(&place, args).await,
        Command::Create(Create::Conversation(args)) => create::conversation(&place, args).await,
        Command::Plan(command_line::Plan::Show(args)) => plan::show(&place, args).await,
        Command::Plan(command_line::Plan::Change(args)) => {
            plan::change(&place, args, &consent).await
        }
        Command::Message(command_line::Message::Show(args)) => message::show(&place, args).await,
        Command::List(command_line::List::Stuck(args)) => {
            list::stuck(&place, args, &progress).await
        }
        Command::List(command_line::List::InDoubt(args)) => {
            list::in_doubt(&place, args, &progress).await
        }
        Command::List(command_line::List::Failed(args)) => {
            list::failed(&place, args, &progress).await
        }
        Command::DeadLetters(DeadLetters::Inspect(args)) => {
            dead_letters::inspect(&place, args, &progress).await
        }
        Command::DeadLetters(DeadLetters::Redrive(args)) => {
            dead_letters::redrive(&place, args, &consent, &progress).await
        }
        Command::DeadLetters(DeadLetters::Discard(args)) => {
            dead_letters::discard(&place, args, &consent, &progress).await
        }
        Command::Audit(args) => audit::run(&place, args, &progress).await,
        Command::Revoke(command_line::Revoke::ApiKey(args)) => {
            revoke::api_key(&place, args, &consent).await
        }
        Command::Revoke(command_line::Revoke::Agent(args)) => {
            revoke::agent(&place, args, &consent).await
        }
        Command::Channel(command) => channel::run(&place, command, &consent).await,
    }
}

/// Whether somebody stands by what cannot be undone.
pub(crate) struct Consent {
    given: bool,
}

impl Consent {
    /// Asks on a terminal; elsewhere `--yes` has to have been said.
    fn ask(&self, what: &str) -> Result<(), Failure> {
        if self.given {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::NotConfirmed(format!(
                "{what} Nothing was done: say --yes to have it done."
            )));
        }
        anstream::eprint!("{what} Type \"yes\" to go on: ");
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        match read {
            Ok(_) if answer.trim() == "yes" => Ok(()),
            _ => Err(Failure::NotConfirmed("Nothing was done.".into())),
        }
    }
}
