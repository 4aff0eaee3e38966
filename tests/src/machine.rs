//! A system in a process of its own, on files: one that can be killed, and whose memory and
//! descriptors are not the test's.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use local::Ready;
use uuid::Uuid;

/// The longest wait until the system is ready. It is ready when its visitors are connected, and one
/// who has come back as often as a visitor may in a minute waits for the next.
const PATIENCE: Duration = Duration::from_secs(90);

/// A system in a process of its own; it does not outlive its owner.
pub struct Machine {
    process: Process,
    /// The file with what it printed.
    output: PathBuf,
    /// Where everything is.
    pub ready: Ready,
}

impl Machine {
    /// Starts a system on the files in a directory and waits until it says that it is ready.
    /// Its temporary files are in `tmp` of that directory.
    ///
    /// # Panics
    /// If it ends, or is not ready in 90 s; what it printed is in the message.
    pub async fn start(directory: &Path) -> Machine {
        Machine::start_with(directory, &[]).await
    }

    /// Starts one with further options.
    ///
    /// # Panics
    /// As `start` does.
    pub async fn start_with(directory: &Path, options: &[&str]) -> Machine {
        let file = directory.join("ready.json");
        std::fs::remove_file(&file).ok();
        let temporary = directory.join("tmp");
        std::fs::create_dir_all(&temporary).expect("a directory");

        let output = directory.join("output.txt");
        let printed = File::create(&output).expect("a file");
        let mut command = Command::new(crate::functions_under_test());
        command
            .args(["up", "--port", "0", "--data-dir"])
            .arg(directory)
            .arg("--ready-file")
            .arg(&file)
            .args(options)
            .env("TMPDIR", temporary)
            .env_remove("AWS_ENDPOINT_URL_DYNAMODB") // it is the disk that is on trial
            .stdin(Stdio::null())
            .stdout(printed.try_clone().expect("a second handle"))
            .stderr(printed);

        if let Some(directory) = crate::own_functions() {
            command.arg("--functions").arg(directory);
        }

        let mut process = Process(command.spawn().expect("it starts"));
        let begun = Instant::now();
        loop {
            // The file appears whole or not at all.
            if let Ok(text) = std::fs::read(&file) {
                let ready = serde_json::from_slice(&text).expect("the documented shape");
                return Machine { process, output, ready };
            }

            let ended = process.0.try_wait().expect("it was started here");
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "it was not ready in {} s ({ended:?}), and printed: {}",
                begun.elapsed().as_secs(),
                std::fs::read_to_string(&output).expect("a text"),
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// If the operating system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.0.try_wait().expect("it was started here")
    }

    /// Returns what it printed.
    ///
    /// # Panics
    /// If that is not text.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).expect("a text")
    }

    /// SIGKILL, as a power cut would have it.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        self.process.0.kill().expect("it can be killed");
        self.process.0.wait().expect("it is gone");
    }
}

/// A process that is killed with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A temporary directory that is gone with the test.
pub struct Directory(PathBuf);

impl Directory {
    /// Makes one, with the suite's name in its own.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(suite: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("pingback-{suite}-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
