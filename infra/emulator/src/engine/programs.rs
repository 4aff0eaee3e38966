//! The programs that run as functions.

use std::env::consts::EXE_SUFFIX;
use std::path::PathBuf;

use super::error::StartError;
use crate::template::Function;

/// The functions' programs.
#[derive(Debug, Clone)]
pub enum Programs {
    /// One program plays all functions; `_HANDLER` tells it which, and it ends when its standard
    /// input does.
    One(PathBuf),
    /// Each function is the binary that is deployed for it, in a directory as cargo leaves it
    /// (`target/debug/send-message`) or as SAM does (`.aws-sam/build/SendMessage/bootstrap`). Such
    /// a binary ends when it finds the Runtime API gone.
    Own(PathBuf),
}

impl Default for Programs {
    /// This very program.
    fn default() -> Self {
        Self::One(std::env::current_exe().unwrap_or_default())
    }
}

impl Programs {
    /// The program of a function.
    pub(super) fn of(&self, function: &Function) -> Result<PathBuf, StartError> {
        let directory = match self {
            Self::One(program) => return Ok(program.clone()),
            Self::Own(directory) => directory,
        };
        let cargos = directory.join(format!("{}{EXE_SUFFIX}", function.name));
        let sams = directory.join(&function.logical_id).join("bootstrap");
        let missing = || StartError::Program {
            function: function.logical_id.clone(),
            cargos: cargos.clone(),
            sams: sams.clone(),
        };
        [&cargos, &sams].into_iter().find(|path| path.is_file()).cloned().ok_or_else(missing)
    }
}
