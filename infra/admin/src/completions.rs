//! Scripts that complete commands in a shell.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::command_line::CommandLine;

/// Has bash complete `cargo admin` like the program itself, and leaves every other command of cargo
/// to the completion that was there before. Bash knows `nosort` since 4.4.
const BASH_FOR_CARGO: &str = r#"
_cargo_admin() {
    if [ "${COMP_WORDS[1]}" = admin ]; then
        COMP_WORDS=("${COMP_WORDS[@]:1}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _admin admin "$2" "$3"
    elif declare -F _cargo > /dev/null; then
        _cargo "$@"
    fi
}
if [[ ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4 || ${BASH_VERSINFO[0]} -gt 4 ]]; then
    complete -F _cargo_admin -o nosort -o bashdefault -o default cargo
else
    complete -F _cargo_admin -o bashdefault -o default cargo
fi
"#;

/// Prints the script for a shell. The program is called `admin`; zsh asks for a subcommand of cargo
/// by the name `cargo-admin`.
pub(crate) fn print(shell: Shell) -> ExitCode {
    let name = if shell == Shell::Zsh { "cargo-admin" } else { "admin" };
    let mut command = CommandLine::command().name(name).bin_name(name);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    if shell == Shell::Bash {
        script.extend_from_slice(BASH_FOR_CARGO.as_bytes());
    }

    // A reader that has gone away wants no more of it.
    let _ = std::io::stdout().write_all(&script);
    ExitCode::SUCCESS
}
