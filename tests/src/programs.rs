//! The programs that run as the functions: the one program beside the tests, or the functions' own.

use std::path::{Path, PathBuf};
use std::process::Command;

use emulator::Programs;

pub(crate) fn programs() -> Programs {
    own_functions().map_or_else(|| Programs::One(functions_under_test()), Programs::Own)
}

/// The directory of the functions' own binaries, if `FUNCTIONS` names one; from the repository's
/// root.
#[must_use]
pub fn own_functions() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    std::env::var_os("FUNCTIONS").filter(|named| !named.is_empty()).map(|named| root.join(named))
}

/// The program that plays the functions: cargo builds it beside the test programs' folder, `deps`.
///
/// # Panics
/// If it is not there: something else than cargo has built the tests.
#[must_use]
pub fn functions_under_test() -> PathBuf {
    let test = std::env::current_exe().expect("a program knows where it is");
    let folder = test.ancestors().nth(2).expect("cargo keeps tests in a folder of their own");
    let program = folder.join(format!("functions-under-test{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing: run the tests with `cargo test`", program.display());
    program
}

/// Sends a signal to a process, by the shell's own `kill`: a slim machine has no program of that
/// name.
///
/// # Panics
/// If the signal cannot be sent.
pub fn send_signal(pid: u32, signal: &str) {
    let kill = format!("kill -s {signal} {pid}");
    let sent = Command::new("sh").args(["-c", &kill]).status();
    assert!(sent.expect("a shell").success(), "{kill}");
}
