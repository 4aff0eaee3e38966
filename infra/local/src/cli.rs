//! The command line: `cargo local`, `cargo local demo`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anstream::{eprintln, println};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::demo;
use crate::ready::ReadyFile;
use crate::sam;
use crate::system::{Local, LocalError, Options};
use crate::terminal::{BAD, BOLD, CODE, DIM, GOOD, paint};
use emulator::{Logs, Programs};

/// Pingback Messages on this machine: API, functions, database and queues, with customers who
/// answer.
///
/// The system that template.yaml deploys to AWS runs here as it is, on loopback, with nothing to
/// install. A sandbox plays WhatsApp, e-mail and the chat widget; it records what customers get and
/// fails on demand.
#[derive(Debug, Parser)]
#[command(
    name = "cargo local",
    bin_name = "cargo local",
    version,
    args_conflicts_with_subcommands = true
)]
#[command(
    after_help = "Start with `cargo local demo`: it shows a message arrive on every channel, \
                        in a few seconds."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: Up,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything and leave it running (this is what `cargo local` alone does)
    Up(Up),
    /// Start everything, send one message on each channel, show each arrive, and stop
    Demo(Functions),
}

#[derive(Debug, Args)]
struct Up {
    /// Port of the API; the WebSocket and the sandbox take the next two. 0: any that are free
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    port: u16,
    /// Keep everything in this directory, across restarts and crashes; without it, in memory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write all addresses and credentials to this file (JSON), once everything is up
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Listen on this address of this machine, such as that of Docker's bridge, for containers
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", value_parser = address)]
    address: IpAddr,
    /// Write the functions' variables to this file, for `sam local … --env-vars`, and make the
    /// business that the events in functions/*/events refer to
    #[arg(long, value_name = "FILE")]
    sam_env: Option<PathBuf>,
    /// Start empty, without the demo business
    #[arg(long)]
    no_demo: bool,
    /// Send mail through this SES v2 instead of the sandbox's; the sandbox then gets none
    #[arg(long, value_name = "URL")]
    ses: Option<String>,
    #[command(flatten)]
    functions: Functions,
}

#[derive(Debug, Args)]
struct Functions {
    /// Run each function's own binary out of this directory, target/debug or .aws-sam/build,
    /// instead of this program
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
}

impl Functions {
    fn programs(self) -> Programs {
        self.functions.map_or_else(Programs::default, Programs::Own)
    }
}

/// Runs the command line.
pub(crate) fn run() -> ExitCode {
    let command_line = CommandLine::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };

    runtime.block_on(async {
        let mut stop = match Stop::listen() {
            Ok(stop) => stop,
            Err(error) => return fail(&error.to_string()),
        };
        match command_line.command {
            None => up(command_line.up, &mut stop).await,
            Some(Command::Up(options)) => up(options, &mut stop).await,
            Some(Command::Demo(functions)) => tokio::select! {
                code = demo::run(functions.programs()) => code,
                () = stop.asked() => ExitCode::from(130), // as a shell reports Ctrl-C
            },
        }
    })
}

async fn up(options: Up, stop: &mut Stop) -> ExitCode {
    let started = Instant::now();
    let examples = options.sam_env.is_some();
    let claim = |file: Option<PathBuf>| file.map(ReadyFile::claim).transpose();
    let files = claim(options.ready_file).and_then(|ready| Ok((ready, claim(options.sam_env)?)));
    let (ready_file, sam_env) = match files {
        Ok(files) => files,
        Err(error) => return fail(&error.to_string()),
    };

    let starting = Local::start(Options {
        port: options.port,
        data_dir: options.data_dir,
        address: options.address,
        demo: !options.no_demo,
        examples,
        ses: options.ses,
        programs: options.functions.programs(),
        logs: Logs::terminal(),
        ..Options::default()
    });

    let local = tokio::select! {
        started = starting => started,
        () = stop.asked() => return ExitCode::SUCCESS, // everything started ends with this process
    };

    let local = match local {
        Ok(local) => local,
        Err(error) => return fail(&sentence(&error)),
    };

    let took = started.elapsed().as_millis();
    println!(
        "\n  {}  {}\n",
        paint(BOLD, "Pingback Messages is up"),
        paint(DIM, format_args!("in {took} ms"))
    );

    println!("{}\n", local.page());
    if local.late_customers() > 0 {
        println!(
            "  {} no chat customer is connected: see the log of chat-socket below.\n",
            paint(BAD, "warning:")
        );
    }

    println!("  {} stops everything.\n", paint(BOLD, "Ctrl-C"));

    let write_sam_env =
        || sam_env.as_ref().map_or(Ok(()), |file| file.write(&sam::variables(local.engine())));
    let write_ready = || ready_file.as_ref().map_or(Ok(()), |file| file.write(&local.ready()));
    if let Err(error) = write_sam_env().and_then(|()| write_ready()) {
        local.stop().await;
        return fail(&error.to_string());
    }

    stop.asked().await;
    println!("\n  {}", paint(DIM, "Stopping…"));
    drop((ready_file, sam_env));
    tokio::select! {
        () = local.stop() => println!("  {} Everything is stopped.", paint(GOOD, "✓")),
        () = stop.asked() => {} // a second Ctrl-C stops at once
    }

    ExitCode::SUCCESS
}

/// Parses an address that others can call.
fn address(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => {
            Err("name one of this machine's addresses: functions and clients call it".into())
        }
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// Returns an error's sentence, with a way out where there is one.
fn sentence(error: &LocalError) -> String {
    let advice = match error {
        LocalError::PortTaken { port, .. } => {
            let other = if *port < 60_000 { *port / 100 * 100 + 100 } else { 3100 };
            format!(
                ". Stop that program, or choose other ports: {}",
                paint(CODE, format_args!("cargo local --port {other}"))
            )
        }
        LocalError::Port { .. } => {
            format!(". Choose other ports: {}", paint(CODE, "cargo local --port 3000"))
        }
        LocalError::InUse(_) => ". Stop that one, or choose another directory".into(),
        _ => String::new(),
    };

    format!("{error}{advice}.")
}

fn fail(sentence: &str) -> ExitCode {
    eprintln!("{} {sentence}", paint(BAD, "error:"));
    ExitCode::FAILURE
}

/// Ctrl-C and SIGTERM.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_documented_command_lines_are_understood() {
        CommandLine::command().debug_assert();

        let bare = CommandLine::try_parse_from(["cargo local"]).unwrap();
        assert!(bare.command.is_none() && bare.up.port == 3000 && !bare.up.no_demo);

        let flags = ["--port", "0", "--data-dir", "d", "--ready-file", "r", "--no-demo"];
        let short = CommandLine::try_parse_from(["cargo local"].iter().chain(&flags)).unwrap();
        assert!(short.up.port == 0 && short.up.no_demo);
        assert!(
            short.up.address.is_loopback()
                && CommandLine::try_parse_from(["cargo local", "--address", "0.0.0.0"]).is_err()
        );

        let long = CommandLine::try_parse_from(["cargo local", "up"].iter().chain(&flags)).unwrap();
        assert!(matches!(long.command, Some(Command::Up(Up { port: 0, no_demo: true, .. }))));

        let demo = CommandLine::try_parse_from(["cargo local", "demo"]).unwrap();
        assert!(matches!(demo.command, Some(Command::Demo(Functions { functions: None }))));
        let own =
            CommandLine::try_parse_from(["cargo local", "demo", "--functions", "target/debug"])
                .unwrap();

        assert!(matches!(own.command, Some(Command::Demo(Functions { functions: Some(_) }))));
    }

    #[test]
    fn a_busy_port_is_named_with_a_way_out() {
        let sentence = sentence(&LocalError::PortTaken { port: 3001, what: "WebSocket" });
        let sentence = anstream::adapter::strip_str(&sentence).to_string();
        assert!(
            sentence.contains("port 3001") && sentence.contains("cargo local --port 3100"),
            "{sentence}"
        );
    }
}
