//! An append-only list that outlives a kill: JSON lines, on disk before the caller goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, RwLock, mpsc};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::atomic_file::name_path;

/// Entries in the order of appending; in a file, or in memory alone.
#[derive(Debug)]
pub(crate) struct Journal<T> {
    entries: Arc<RwLock<Vec<T>>>,
    /// The thread that owns the file; none for a list in memory.
    writer: Option<mpsc::Sender<Append<T>>>,
}

#[derive(Debug)]
struct Append<T> {
    entry: T,
    done: oneshot::Sender<io::Result<()>>,
}

impl<T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Journal<T> {
    /// Returns a list that is gone with the process.
    pub(crate) fn in_memory() -> Self {
        Self { entries: Arc::default(), writer: None }
    }

    /// Opens the list in `path`, which is made if it is missing. A last line without its newline
    /// was being written when the process died; its caller never went on, so it is cut off.
    ///
    /// # Errors
    /// The file cannot be read or written, or a whole line of it is not an entry (the sentence says
    /// which).
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let name_it = |error: io::Error| name_path(path, &error);
        let mut text = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(name_it)?,
        };

        text.truncate(
            text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1),
        );
        let entries = parse(&text).map_err(name_it)?;
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(name_it)?;
        file.set_len(text.len() as u64).and_then(|()| file.sync_all()).map_err(name_it)?;

        let entries = Arc::new(RwLock::new(entries));
        let (writer, appends) = mpsc::channel();
        let written = entries.clone();
        let length = text.len() as u64;
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || write(file, length, &appends, &written))?;

        Ok(Self { entries, writer: Some(writer) })
    }

    /// Opens the file of that name if there is a directory, else a list in memory.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub(crate) fn in_directory(directory: Option<&Path>, name: &str) -> io::Result<Self> {
        directory
            .map_or_else(|| Ok(Self::in_memory()), |directory| Self::open(&directory.join(name)))
    }

    /// Adds an entry; when this returns it is on disk, and only then does it show in
    /// [`Journal::entries`].
    ///
    /// # Errors
    /// The file could not be written.
    pub(crate) async fn append(&self, entry: T) -> io::Result<()> {
        let Some(writer) = &self.writer else {
            self.entries.write().expect("nothing panics while it holds this lock").push(entry);
            return Ok(());
        };
        let (done, written) = oneshot::channel();
        let gone = || io::Error::other("the journal's writer is gone");
        writer.send(Append { entry, done }).map_err(|_| gone())?;
        written.await.map_err(|_| gone())?
    }

    /// Returns all entries, oldest first.
    pub(crate) fn entries(&self) -> Vec<T> {
        self.entries.read().expect("nothing panics while it holds this lock").clone()
    }
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> io::Result<Vec<T>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entry = |(number, line)| {
        serde_json::from_slice(line)
            .map_err(|error| io::Error::other(format!("line {}: {error}", number + 1)))
    };
    lines.enumerate().map(entry).collect()
}

/// Writes all entries that came during the last write with one sync, so that many callers do not
/// wait for one another.
fn write<T: Clone + Serialize>(
    mut file: File,
    mut length: u64,
    appends: &mpsc::Receiver<Append<T>>,
    written: &RwLock<Vec<T>>,
) {
    while let Ok(first) = appends.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(appends.try_iter()).collect();
        let stored = lines(&batch).and_then(|lines| {
            file.write_all(&lines)?;
            file.sync_data()?;
            Ok(lines.len() as u64)
        });
        match stored {
            Ok(grown) => {
                length += grown;
                let mut entries = written.write().expect("nothing panics while it holds this lock");
                let mut waiting = Vec::with_capacity(batch.len());
                for append in batch {
                    entries.push(append.entry);
                    waiting.push(append.done);
                }
                waiting.into_iter().for_each(|done| drop(done.send(Ok(()))));
            }
            Err(error) => {
                // Half a line would spoil the next one. If even this fails, the next start cuts it
                // off.
                let _ = file.set_len(length);
                for append in batch {
                    let _ = append.done.send(Err(io::Error::new(error.kind(), error.to_string())));
                }
            }
        }
    }
}

fn lines<T: Serialize>(batch: &[Append<T>]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for append in batch {
        serde_json::to_writer(&mut lines, &append.entry)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("journal-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&directory).unwrap();
        directory.join(name)
    }

    #[tokio::test]
    async fn what_was_appended_is_there_after_a_restart() {
        let path = scratch("entries.jsonl");
        let journal = Journal::open(&path).unwrap();
        futures_util::future::join_all((0..100).map(|n: u32| journal.append(n))).await;
        drop(journal);
        let mut entries = Journal::<u32>::open(&path).unwrap().entries();
        entries.sort_unstable();
        assert_eq!(entries, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_torn_last_line_is_dropped_and_the_next_one_is_whole() {
        let path = scratch("torn.jsonl");
        std::fs::write(&path, "1\n2\n[3, \"to").unwrap();
        let journal = Journal::<u32>::open(&path).unwrap();
        assert_eq!(journal.entries(), [1, 2]);
        journal.append(4).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2\n4\n");
    }

    #[test]
    fn a_spoilt_line_is_named() {
        let path = scratch("spoilt.jsonl");
        std::fs::write(&path, "1\nx\n3\n").unwrap();
        let error = Journal::<u32>::open(&path).unwrap_err().to_string();
        assert!(error.contains("spoilt.jsonl: line 2:"), "{error}");
    }

    #[tokio::test]
    async fn without_a_directory_it_is_in_memory() {
        let journal = Journal::in_directory(None, "unused").unwrap();
        journal.append(7).await.unwrap();
        assert_eq!(journal.entries(), [7]);
    }
}
