//! What tests of the running journal share: a directory on a real disk and an executor.

use std::future::Future;
use std::path::Path;

use glommio::{LocalExecutorBuilder, Placement};
use tempfile::TempDir;

/// A fresh directory below the build directory: the system's own temporary directory may be in
/// memory, where direct I/O does not work.
pub(crate) fn disk_dir(name: &str) -> TempDir {
    let below = std::env::current_exe().unwrap();
    let below = below.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(&format!("journal-{name}-"))
        .tempdir_in(below)
        .unwrap()
}

/// Runs `future` on an executor of its own, on this thread.
pub(crate) fn on_executor<T>(future: impl Future<Output = T>) -> T {
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    executor.run(future)
}
