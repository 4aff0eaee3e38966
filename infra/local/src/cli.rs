//! The command line: `cargo local`, and its `demo`, `listen` and `example`.

use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anstream::{eprintln, print};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::demo;
use crate::forward::{Endpoint, Endpoints, http_url};
use crate::listen::{self, ListenOptions};
use crate::ready::{Ready, ReadyFile};
use crate::sam;
use crate::stop::Stop;
use crate::system::{Local, LocalError, Options};
use crate::terminal::{BAD, BOLD, CODE, DIM, GOOD, fail, field, paint, tell};
use emulator::{Logs, Programs};
use sandbox::atomic_file::name_path;

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
    Demo(DemoOptions),
    /// Send the demo business's events of a running system to a URL, and print what it answers
    Listen(ListenOptions),
    /// Print a program that uses the API, as it stands in infra/examples
    Example {
        /// The program's language
        language: Language,
        /// The one that is told events, and verifies them
        #[arg(long)]
        webhook: bool,
    },
}

/// The languages of infra/examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Curl,
    Python,
    Typescript,
    Rust,
}

impl Language {
    /// Returns the program that sends a message and follows it.
    fn sender(self) -> &'static str {
        match self {
            Language::Curl => include_str!("../../examples/curl/pingback.sh"),
            Language::Python => include_str!("../../examples/python/pingback.py"),
            Language::Typescript => include_str!("../../examples/typescript/pingback.ts"),
            Language::Rust => include_str!("../../examples/rust/main.rs"),
        }
    }

    /// Returns the program that is told events. curl is none that can be called.
    fn receiver(self) -> Option<&'static str> {
        match self {
            Language::Curl => None,
            Language::Python => Some(include_str!("../../examples/python/webhook.py")),
            Language::Typescript => Some(include_str!("../../examples/typescript/webhook.ts")),
            Language::Rust => Some(include_str!("../../examples/rust/webhook.rs")),
        }
    }
}

#[derive(Debug, Args)]
struct DemoOptions {
    /// Leave everything running after it, with the console open, until Ctrl-C
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    functions: Functions,
}

#[derive(Debug, Args)]
struct Up {
    /// Port of the API; WebSocket, sandbox and AWS take the next three. 0: any that are free
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
    #[arg(long, value_name = "URL", value_parser = http_url)]
    ses: Option<String>,
    /// Send the demo business's events to this URL, signed; the secret is printed
    #[arg(long, value_name = "URL", value_parser = http_url, conflicts_with = "no_demo")]
    forward_to: Option<String>,
    /// Print nothing but warnings and errors
    #[arg(long)]
    quiet: bool,
    /// Append every request and line of the functions' logs to this file, as JSON with whole ids
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
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

fn print_receiver(language: Language) -> ExitCode {
    match language.receiver() {
        Some(program) => {
            print!("{program}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("{BAD}error:{BAD:#} curl cannot be called; python, typescript and rust can");
            ExitCode::FAILURE
        }
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
            Some(Command::Demo(DemoOptions { keep, functions })) => {
                demo::run(functions.programs(), keep, &mut stop).await
            }
            Some(Command::Listen(options)) => listen::run(options, &mut stop).await,
            Some(Command::Example { language, webhook: false }) => {
                print!("{}", language.sender());
                ExitCode::SUCCESS
            }
            Some(Command::Example { language, webhook: true }) => print_receiver(language),
        }
    })
}

async fn up(options: Up, stop: &mut Stop) -> ExitCode {
    let started = Instant::now();
    let examples = options.sam_env.is_some();
    let claim = |file: Option<PathBuf>| file.map(ReadyFile::claim).transpose();
    let files = claim(options.ready_file).and_then(|ready| Ok((ready, claim(options.sam_env)?)));
    let (mut ready_file, mut sam_env) = match files {
        Ok(files) => files,
        Err(error) => return fail(&error.to_string()),
    };

    let log = match options.log.map(open_log).transpose() {
        Ok(log) => log,
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
        logs: Logs::terminal(options.quiet, log),
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
    let tell = |text: String| {
        if !options.quiet {
            tell(text)
        }
    };
    tell(format!(
        "\n  {}  {}\n",
        paint(BOLD, "Pingback Messages is up"),
        paint(DIM, format_args!("in {took} ms"))
    ));

    tell(format!("{}\n", local.banner()));
    if local.late_customers() > 0 {
        eprintln!(
            "  {} no chat customer is connected: see the log of chat-socket below.\n",
            paint(BAD, "warning:")
        );
    }

    if let Some(url) = options.forward_to {
        match forward(&local.ready(), &url).await {
            Ok(endpoint) => {
                let secret = endpoint.secret();
                tell(field("Events", format_args!("go to {}", paint(CODE, &url))).to_string());
                tell(format!("{}\n", field("", format_args!("signed by {secret}"))));
            }
            Err(error) => {
                local.stop().await;
                return fail(&format!("--forward-to: {error}."));
            }
        }
    }

    tell(format!("  {} stops everything.\n", paint(BOLD, "Ctrl-C")));

    let mut write_files = || {
        sam_env.as_mut().map_or(Ok(()), |file| file.write(&sam::variables(local.engine())))?;
        ready_file.as_mut().map_or(Ok(()), |file| file.write(&local.ready()))
    };
    if let Err(error) = write_files() {
        local.stop().await;
        return fail(&error.to_string());
    }

    stop.asked().await;
    drop((ready_file, sam_env));
    tell(format!("\n  {}", paint(DIM, "Stopping…")));
    tokio::select! {
        () = local.stop() => {
            tell(format!("  {} Everything is stopped.", paint(GOOD, "✓")));
        }
        () = stop.asked() => {} // a second Ctrl-C stops at once
    }

    ExitCode::SUCCESS
}

/// Has the demo business's events sent to a URL.
async fn forward(ready: &Ready, url: &str) -> Result<Endpoint, String> {
    Endpoints::of_demo(ready)?.make(url, "cargo local --forward-to").await
}

/// Opens the file that gets the logs.
fn open_log(path: PathBuf) -> std::io::Result<File> {
    File::options().create(true).append(true).open(&path).map_err(|error| name_path(&path, &error))
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
            format!(". Stop that program, or choose other ports: add {}", other_port(*port))
        }
        LocalError::Port { port, .. } => {
            format!(". Choose other ports: add {}", other_port(*port))
        }
        LocalError::PortTooHigh(port) => format!(": add {}", other_port(*port)),
        LocalError::ForeignAddress(_) => {
            format!(". Name one that it has, or leave {} out", paint(CODE, "--address"))
        }
        LocalError::InUse(_) => ". Stop that one, or choose another directory".into(),
        _ => String::new(),
    };

    format!("{error}{advice}.")
}

/// Returns the option for ports that are far from one that cannot be had.
fn other_port(port: u16) -> String {
    let other = if (1_024..60_000).contains(&port) { port / 100 * 100 + 100 } else { 3100 };
    paint(CODE, format_args!("--port {other}"))
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
        let Some(Command::Demo(demo)) = demo.command else { panic!("{demo:?}") };
        assert!(!demo.keep && demo.functions.functions.is_none());
        let words = ["cargo local", "demo", "--keep", "--functions", "target/debug"];
        let own = CommandLine::try_parse_from(words).unwrap();
        let Some(Command::Demo(own)) = own.command else { panic!("{own:?}") };
        assert!(own.keep && own.functions.functions.is_some());

        let quiet = ["cargo local", "--quiet", "--log", "l", "--ses", "http://127.0.0.1:5000"];
        let quiet = CommandLine::try_parse_from(quiet).unwrap().up;
        assert!(quiet.quiet && quiet.log.is_some() && quiet.ses.is_some());

        let forwarded = ["cargo local", "--forward-to", "http://127.0.0.1:5000/hooks"];
        let forwarded = CommandLine::try_parse_from(forwarded).unwrap().up;
        assert_eq!(forwarded.forward_to.as_deref(), Some("http://127.0.0.1:5000/hooks"));
        let nowhere = ["cargo local", "--no-demo", "--forward-to", "http://127.0.0.1:5000/"];
        assert!(CommandLine::try_parse_from(nowhere).is_err());

        let url = "http://127.0.0.1:5000/hooks";
        let listen = CommandLine::try_parse_from(["cargo local", "listen", url]).unwrap();
        let Some(Command::Listen(listen)) = listen.command else { panic!("{listen:?}") };
        assert!(listen.url == url && listen.port == 3000 && listen.ready_file.is_none());
        assert!(CommandLine::try_parse_from(["cargo local", "listen", "nonsense"]).is_err());

        for (word, language) in [("curl", Language::Curl), ("typescript", Language::Typescript)] {
            let example = CommandLine::try_parse_from(["cargo local", "example", word]).unwrap();
            let asked = Some(Command::Example { language, webhook: false });
            assert_eq!(format!("{:?}", example.command), format!("{asked:?}"));
        }
    }

    #[test]
    fn a_busy_port_is_named_with_a_way_out() {
        let plain = |error| anstream::adapter::strip_str(&sentence(&error)).to_string();
        let taken = plain(LocalError::PortTaken { port: 3001, what: "WebSocket" });
        assert!(taken.contains("port 3001") && taken.contains("--port 3100"), "{taken}");

        let denied = std::io::ErrorKind::PermissionDenied.into();
        let denied = plain(LocalError::Port { port: 81, what: "WebSocket", error: denied });
        assert!(denied.contains("port 81") && denied.contains("--port 3100"), "{denied}");
    }

    #[test]
    fn an_address_of_another_machine_is_no_matter_of_ports() {
        let address = "192.0.2.1".parse().unwrap();
        let sentence = sentence(&LocalError::ForeignAddress(address));
        let sentence = anstream::adapter::strip_str(&sentence).to_string();
        assert!(sentence.contains("192.0.2.1") && !sentence.contains("port"), "{sentence}");
    }

    #[test]
    fn a_service_has_an_address_with_a_host() {
        for wrong in ["nonsense", "localhost:5000", "ftp://a.example", "http://", "/v2", ""] {
            let parsed = CommandLine::try_parse_from(["cargo local", "--ses", wrong]);
            assert!(parsed.is_err(), "{wrong}");
        }
        assert!(http_url("https://email.example/v2").is_ok());
    }
}
