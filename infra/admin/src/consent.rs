//! The operator's consent to a change that cannot be undone.

use std::io::{self, IsTerminal};

use crate::failure::Failure;

/// Consent of the operator to a change that cannot be undone.
pub(crate) struct Consent {
    given: bool,
}

impl Consent {
    /// The consent that `--yes` gives beforehand, or does not.
    pub(crate) fn new(given: bool) -> Consent {
        Consent { given }
    }

    /// Asks on a terminal; elsewhere the command needs `--yes`.
    pub(crate) fn confirm(&self, consequence: &str) -> Result<(), Failure> {
        if self.given {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::NotConfirmed(format!(
                "{consequence} Nothing was done: say --yes to have it done."
            )));
        }

        anstream::eprint!("{consequence} Type \"yes\" to go on: ");
        let mut answer = String::new();
        match io::stdin().read_line(&mut answer) {
            Ok(_) if answer.trim() == "yes" => Ok(()),
            _ => Err(Failure::NotConfirmed("Nothing was done.".into())),
        }
    }
}
