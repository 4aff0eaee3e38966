//! Files that are written all at once.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Returns the error with the file's name.
#[must_use]
pub fn name_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Writes a file that only its owner may read (it holds credentials), under another name first.
/// Returns the file, which is locked until it is dropped.
///
/// # Errors
/// The directory is missing or cannot be written.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let unfinished = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&unfinished).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        file.lock()?;
        Ok(file)
    });

    written
        .and_then(|file| fs::rename(&unfinished, path).map(|()| file))
        .inspect_err(|_| drop(fs::remove_file(&unfinished)))
}
