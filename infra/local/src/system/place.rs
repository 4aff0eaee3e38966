//! The system's place on a machine: four ports and a directory.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::LocalError;

/// Returns the ports of API, WebSocket, sandbox and AWS.
pub(super) fn ports(first: u16) -> Result<[u16; 4], LocalError> {
    match first {
        0 => Ok([0; 4]),
        1..=65_532 => Ok([first, first + 1, first + 2, first + 3]),
        _ => Err(LocalError::PortTooHigh(first)),
    }
}

/// Locks a data directory; returns the lock and the sandbox's part of the directory.
pub(super) fn claim(path: &Path) -> Result<(File, PathBuf), LocalError> {
    let wrong = |error| LocalError::DataDirectory { path: path.into(), error };
    let directory = path.join("sandbox");
    std::fs::create_dir_all(&directory).map_err(wrong)?;
    let lock = File::create(path.join("lock")).map_err(wrong)?;
    match lock.try_lock() {
        Ok(()) => Ok((lock, directory)),
        Err(TryLockError::WouldBlock) => Err(LocalError::InUse(path.into())),
        Err(TryLockError::Error(error)) => Err(wrong(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_ports_in_a_row_or_any_four() {
        assert_eq!(ports(0).unwrap(), [0; 4]);
        assert_eq!(ports(3000).unwrap(), [3000, 3001, 3002, 3003]);
        assert_eq!(ports(65_532).unwrap(), [65_532, 65_533, 65_534, 65_535]);
        assert!(ports(65_533).unwrap_err().to_string().contains("65533"));
    }

    #[test]
    fn a_data_directory_has_one_owner() {
        let directory = std::env::temp_dir().join(format!("data-{}", uuid::Uuid::new_v4()));
        let (lock, _) = claim(&directory).unwrap();
        assert!(matches!(claim(&directory), Err(LocalError::InUse(_))));
        drop(lock);
        assert!(claim(&directory).is_ok());
    }
}
