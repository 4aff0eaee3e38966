//! Processes as `/proc` shows them. Where there is no `/proc`, everything is 0.

use std::fs;

/// The resources that a process holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Resident memory, in MiB.
    pub(crate) memory: f64,
    /// Open descriptors.
    pub(crate) descriptors: f64,
}

/// Returns the resources that a process holds; none if it is gone.
pub(crate) fn usage(pid: u32) -> Usage {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);

    Usage { memory: kilobytes.unwrap_or(0.0) / 1024.0, descriptors: descriptors as f64 }
}

/// Returns the processes that a process started: the functions'.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent(*id) == Some(pid)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything but is in parentheses; then state and parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// SIGKILL. The process may be gone already.
pub(crate) async fn kill(pid: u32) {
    let kill = format!("kill -9 {pid}");
    let mut command = tokio::process::Command::new("sh");
    let _ = command.args(["-c", &kill]).stderr(std::process::Stdio::null()).status().await;
}
