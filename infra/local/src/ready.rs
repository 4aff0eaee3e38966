//! The ready file: addresses and credentials, for scripts and tests that start the system.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use sandbox::atomic_file::{name_path, write_atomically};
use sandbox::seed::PerChannel;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Ready {
    /// Process id of the system; SIGTERM stops all of it.
    pub pid: u32,
    /// Base URL of the public API, without a slash at its end.
    pub api: String,
    /// The address that the chat widget connects to.
    pub websocket: String,
    /// URL of the console.
    pub console: String,
    /// The local AWS.
    pub aws: Aws,
    /// Name of the DynamoDB table.
    pub table: String,
    /// URLs of the doorbell queues.
    pub queues: Queues,
    /// Base URL of the sandbox's control API.
    pub sandbox: String,
    /// The demo business; absent if it was not seeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demo: Option<Demo>,
}

/// Endpoint URLs of the local AWS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Aws {
    /// DynamoDB.
    pub dynamodb: String,
    /// SQS.
    pub sqs: String,
    /// S3; null as long as the template has no bucket.
    pub s3: Option<String>,
}

/// One queue per channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Queues {
    /// Live chat.
    pub chat: String,
    /// WhatsApp.
    pub whatsapp: String,
    /// E-mail.
    pub email: String,
}

/// A business for first calls, and another one without access to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Demo {
    /// The business.
    pub business_id: Uuid,
    /// An agent of the business.
    pub agent_id: Uuid,
    /// That agent's JWT.
    pub token: String,
    /// The business's API key.
    pub api_key: String,
    /// Messages it may send in a month.
    pub limit: u64,
    /// One conversation on each channel.
    pub conversations: PerChannel,
    /// The chat visitor's JWT, good for an hour; the sandbox has more of them.
    pub visitor_token: String,
    /// The other business.
    pub other: Other,
}

/// A second business, to try that one business does not see the other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Other {
    /// The business.
    pub business_id: Uuid,
    /// Its API key.
    pub api_key: String,
    /// A chat conversation of that business.
    pub conversation: Uuid,
}

/// A file that exists exactly as long as the system is up: a stop removes it, and a start removes
/// one that a killed system left behind. The system holds a lock on it, which the operating system
/// releases however the system ends; so a start knows the file of a system that runs.
#[derive(Debug)]
pub(crate) struct ReadyFile {
    path: PathBuf,
    written: Option<File>,
}

impl ReadyFile {
    /// Claims the path, and removes the file of an earlier run.
    ///
    /// # Errors
    /// The directory is missing, a system that runs has the file, it holds something else than a
    /// run's JSON, or it cannot be removed.
    pub(crate) fn claim(path: PathBuf) -> io::Result<Self> {
        let name_it = |error: io::Error| name_path(&path, &error);
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        directory.map_or(Ok(()), |directory| fs::metadata(directory).map(drop)).map_err(name_it)?;

        if is_left_behind(&path).map_err(name_it)? {
            fs::remove_file(&path).map_err(name_it)?;
        }
        Ok(Self { path, written: None })
    }

    /// Writes the file atomically, so that readers never see a part of it.
    ///
    /// # Errors
    /// The directory is missing or cannot be written, or a system that started at the same time
    /// was faster.
    pub(crate) fn write(&mut self, content: &impl Serialize) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(content)?;
        let written = is_left_behind(&self.path).and_then(|_| write_atomically(&self.path, &json));
        self.written = Some(written.map_err(|error| name_path(&self.path, &error))?);
        Ok(())
    }
}

impl Drop for ReadyFile {
    /// Removes the file, unless another has taken its place.
    fn drop(&mut self) {
        let Some(file) = &self.written else { return };
        let (Ok(own), Ok(there)) = (file.metadata(), fs::metadata(&self.path)) else { return };
        if (own.dev(), own.ino()) == (there.dev(), there.ino()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns whether there is a file, which no system has that runs.
fn is_left_behind(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };

    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let sentence = "a `cargo local` that runs has this file; stop it, or name another file";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, sentence));
        }
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }

    let content = fs::read(path)?;
    let is_of_a_run = serde_json::from_slice::<Map<String, Value>>(&content).is_ok();
    if !is_of_a_run && !content.trim_ascii().is_empty() {
        let sentence = "this file is of no earlier run and would be lost; name another one";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, sentence));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ready() -> Ready {
        let id = Uuid::from_u128;
        let conversations = PerChannel { chat: id(3), whatsapp: id(4), email: id(5) };
        let other = Other { business_id: id(6), api_key: "pbk_b".into(), conversation: id(7) };

        Ready {
            pid: 1,
            api: "http://127.0.0.1:3000".into(),
            websocket: "ws://127.0.0.1:3001".into(),
            console: "http://127.0.0.1:3000/".into(),
            aws: Aws { dynamodb: "d".into(), sqs: "s".into(), s3: None },
            table: "t".into(),
            queues: Queues { chat: "c".into(), whatsapp: "w".into(), email: "e".into() },
            sandbox: "http://127.0.0.1:3002".into(),
            demo: Some(Demo {
                business_id: id(1),
                agent_id: id(2),
                token: "jwt".into(),
                api_key: "pbk_a".into(),
                limit: 1000,
                conversations,
                visitor_token: "visitor".into(),
                other,
            }),
        }
    }

    #[test]
    fn it_has_the_documented_shape() {
        let id = |n: u8| format!("00000000-0000-0000-0000-00000000000{n}");
        assert_eq!(
            serde_json::to_value(ready()).unwrap(),
            json!({
                "pid": 1, "api": "http://127.0.0.1:3000", "websocket": "ws://127.0.0.1:3001",
                "console": "http://127.0.0.1:3000/",
                "aws": { "dynamodb": "d", "sqs": "s", "s3": null }, "table": "t",
                "queues": { "chat": "c", "whatsapp": "w", "email": "e" },
                "sandbox": "http://127.0.0.1:3002",
                "demo": { "business_id": id(1), "agent_id": id(2), "token": "jwt",
                    "api_key": "pbk_a", "limit": 1000,
                    "conversations": { "chat": id(3), "whatsapp": id(4), "email": id(5) },
                    "visitor_token": "visitor",
                    "other": { "business_id": id(6), "api_key": "pbk_b", "conversation": id(7) } },
            })
        );

        let bare = serde_json::to_value(Ready { demo: None, ..ready() }).unwrap();
        assert!(bare.get("demo").is_none());
    }

    #[test]
    fn it_is_there_as_long_as_the_system_is_up() {
        let directory = std::env::temp_dir().join(format!("ready-{}", Uuid::new_v4()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("ready.json");
        fs::write(&path, r#"{"pid": 1}"#).unwrap();

        let mut file = ReadyFile::claim(path.clone()).unwrap();
        assert!(!path.exists());

        file.write(&ready()).unwrap();
        assert_eq!(serde_json::from_slice::<Ready>(&fs::read(&path).unwrap()).unwrap(), ready());
        assert_eq!(
            fs::read_dir(&directory).unwrap().count(),
            1,
            "nothing unfinished is left beside it"
        );

        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_of_a_system_that_runs_stays_and_so_does_any_other() {
        let directory = std::env::temp_dir().join(format!("ready-{}", Uuid::new_v4()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("ready.json");

        let mut first = ReadyFile::claim(path.clone()).unwrap();
        let mut second = ReadyFile::claim(path.clone()).unwrap();
        first.write(&ready()).unwrap();
        for refused in [second.write(&ready()), ReadyFile::claim(path.clone()).map(drop)] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("ready.json") && error.contains("that runs"), "{error}");
        }
        drop(second);
        assert!(path.exists());

        fs::remove_file(&path).unwrap();
        fs::write(&path, "[package]").unwrap();
        drop(first);
        let error = ReadyFile::claim(path.clone()).unwrap_err().to_string();
        assert!(error.contains("of no earlier run"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[package]");

        fs::write(&path, "").unwrap(); // as mktemp makes it
        assert!(ReadyFile::claim(path).is_ok());
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = ReadyFile::claim("/nowhere/at/all/ready.json".into()).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all/ready.json"), "{error}");
    }
}
