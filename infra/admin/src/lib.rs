//! The operator's command line: what a person or a script does to a deployed system, or to the
//! local one, without the API. It uses the calls that the functions use, so it can break no promise
//! that they keep.

mod audit;
mod business;
mod channel;
mod cloudformation;
mod command_line;
mod completions;
mod consent;
mod create;
mod dead_letters;
mod endpoint;
mod erase;
mod events;
mod failure;
mod first_steps;
mod inventory;
mod keys;
mod list;
mod message;
mod names;
mod pages;
mod plan;
mod report;
mod revoke;
mod smoke;
mod status;
mod target;

use std::process::ExitCode;

use clap::Parser;

use command_line::{
    Business, Command, CommandLine, Create, DeadLetters, Erase, Events, List, Message, Plan, Revoke,
};
use consent::Consent;
use failure::Failure;
use report::{Progress, Report};
use target::Target;

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

    if let Command::Completions(args) = &command_line.command {
        return completions::print(args.shell);
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&command_line)),
        Err(error) => Err(Failure::new(error.to_string())),
    };

    match result {
        Ok(report) => {
            report.print(command_line.json, command_line.wide);
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
    let consent = Consent::new(command_line.yes);
    let progress = Progress::new(command_line.json);

    match &command_line.command {
        Command::FirstSteps(args) => first_steps::run(&target, args).await,

        Command::Create(Create::Business(args)) => create::business(&target, args).await,
        Command::Create(Create::Agent(args)) => create::agent(&target, args).await,
        Command::Create(Create::ApiKey(args)) => create::api_key(&target, args).await,
        Command::Create(Create::Channel(args)) => create::channel(&target, args).await,
        Command::Create(Create::Conversation(args)) => create::conversation(&target, args).await,

        Command::Business(Business::Show(args)) => business::show(&target, args, &progress).await,
        Command::Business(Business::Change(args)) => business::change(&target, args).await,

        Command::Plan(Plan::Show(args)) => plan::show(&target, args).await,
        Command::Plan(Plan::Change(args)) => plan::change(&target, args, &consent).await,
        Command::Smoke(args) => smoke::run(&target, args).await,
        Command::Keys(command) => keys::run(&target, command, &consent).await,
        Command::Status => status::run(&target, &progress).await,
        Command::Message(Message::Show(args)) => message::show(&target, args, &progress).await,

        Command::List(List::Stuck(args)) => list::stuck(&target, args, &progress).await,
        Command::List(List::InDoubt(args)) => list::in_doubt(&target, args, &progress).await,
        Command::List(List::Failed(args)) => list::failed(&target, args, &progress).await,

        Command::List(List::Businesses) => inventory::businesses(&target, &progress).await,
        Command::List(List::Channels(args)) => inventory::channels(&target, args, &progress).await,
        Command::List(List::ApiKeys(args)) => inventory::api_keys(&target, args, &progress).await,
        Command::List(List::Paused(args)) => inventory::paused(&target, args, &progress).await,
        Command::List(List::Endpoints(args)) => {
            inventory::endpoints(&target, args, &progress).await
        }

        Command::DeadLetters(DeadLetters::Inspect(args)) => {
            dead_letters::inspect(&target, args, &progress).await
        }
        Command::DeadLetters(DeadLetters::Redrive(args)) => {
            dead_letters::redrive(&target, args, &consent, &progress).await
        }
        Command::DeadLetters(DeadLetters::Discard(args)) => {
            dead_letters::discard(&target, args, &consent, &progress).await
        }

        Command::Erase(Erase::Conversation(args)) => {
            erase::conversation(&target, args, &consent, &progress).await
        }
        Command::Erase(Erase::Recipient(args)) => {
            erase::recipient(&target, args, &consent, &progress).await
        }
        Command::Audit(args) => audit::run(&target, args, &progress).await,
        Command::Revoke(Revoke::ApiKey(args)) => revoke::api_key(&target, args, &consent).await,
        Command::Revoke(Revoke::Agent(args)) => revoke::agent(&target, args, &consent).await,
        Command::Channel(command) => channel::run(&target, command, &consent).await,
        Command::Endpoint(command) => endpoint::run(&target, command, &consent).await,
        Command::Events(Events::Redeliver(args)) => {
            events::redeliver(&target, args, &consent, &progress).await
        }
        Command::Completions(_) => Err(Failure::new("completions need no system to work on")),
    }
}
