//! The only unsafe code of this crate: names the descriptor of a glommio file to calls that glommio
//! does not offer.
#![expect(
    unsafe_code,
    reason = "glommio files give their descriptor only as a number"
)]

use std::os::fd::{AsRawFd, BorrowedFd};

use glommio::io::DmaFile;
use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, flock};
use rustix::io::Errno;

/// One attempt at the exclusive lock on `file`, on the very descriptor that does the I/O: the
/// kernel keeps it until the last operation has ended, so the lock outlives the process for as long
/// as its writes may. `false`: somebody else holds it.
pub(crate) fn try_lock(file: &DmaFile) -> Result<bool, std::io::Error> {
    match flock(descriptor(file), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether `file` really does direct I/O: glommio drops the flag on tmpfs without a word.
pub(crate) fn is_direct(file: &DmaFile) -> Result<bool, std::io::Error> {
    Ok(fcntl_getfl(descriptor(file))?.contains(OFlags::DIRECT))
}

fn descriptor(file: &DmaFile) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open for as long as `file` lives, and the result borrows `file`.
    // Safe code does not do: `DmaFile` implements `AsRawFd` and not `AsFd`.
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

/// Puts another file behind the descriptor of an open one, so that a test can make the next
/// operation on it fail.
#[cfg(test)]
pub(crate) fn substitute(path: &std::path::Path, with: impl std::os::fd::AsFd) {
    use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
    let open = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let target = std::fs::read_link(entry.path()).ok()?;
            let number = entry.file_name().to_str()?.parse::<i32>().ok()?;
            (target == path).then_some(number)
        });
    let numbers: Vec<i32> = open.collect();
    assert_eq!(numbers.len(), 1, "{} is open once", path.display());
    for number in numbers {
        // SAFETY: the descriptor is open, and its ownership is given back below. Safe code does not
        // do: `dup2` wants to own what it replaces.
        let mut owned = unsafe { OwnedFd::from_raw_fd(number) };
        rustix::io::dup2(with.as_fd(), &mut owned).unwrap();
        assert_eq!(owned.into_raw_fd(), number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing::{disk_dir, on_executor};
    use glommio::io::OpenOptions;

    #[test]
    fn a_lock_is_per_open_file_and_direct_io_shows() {
        let dir = disk_dir("sys");
        let path = dir.path().join("file");
        std::fs::write(&path, [0; 4096]).unwrap();
        on_executor(async move {
            let open = async || {
                let mut options = OpenOptions::new();
                options.read(true).write(true);
                options.dma_open(&path).await.unwrap()
            };
            let (first, second) = (open().await, open().await);
            assert!(is_direct(&first).unwrap());
            assert!(try_lock(&first).unwrap());
            assert!(!try_lock(&second).unwrap());
            first.close().await.unwrap();
            assert!(try_lock(&second).unwrap());
            second.close().await.unwrap();
        });
    }
}
