//! A disk that can fail: an ext4 file system on a loop device, whose image lies on thin storage.
//! Blocks of it that hold zeros take no room there, and when the room is gone a write into them
//! fails, as on an overcommitted pool. It takes root and a kernel with loop devices.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

/// A mounted file system, gone when it is dropped.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// A disk of `disk_mib` on thin storage of `thin_mib`, both mounted in `folder`, which is made.
    ///
    /// `None`, and a line on the standard error output that no test runner holds back, when this
    /// process may not do that.
    ///
    /// # Errors
    /// It may, and cannot.
    pub fn mount(folder: &Path, thin_mib: u32, disk_mib: u32) -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return not_checked("needs root");
        }
        if !Path::new("/dev/loop-control").exists() {
            return not_checked("needs loop devices");
        }
        let disk = Self {
            folder: folder.to_owned(),
        };
        fs::create_dir_all(disk.thin())?;
        fs::create_dir_all(disk.files())?;
        let size = format!("size={thin_mib}m");
        let mounted = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "njia-test"])
            .arg(disk.thin()));
        if let Err(error) = mounted {
            let text = format!("{error:#}");
            // As in a container without CAP_SYS_ADMIN.
            return match is_denied(&text) {
                true => not_checked(&format!("cannot be mounted: {text}")),
                false => Err(error.context("a disk that fails")),
            };
        }
        let image = fs::File::create(disk.image())?;
        image.set_len(u64::from(disk_mib) << 20)?;
        // Without a journal of its own every write that fails is one of ours.
        run(Command::new("mkfs.ext4")
            .args([
                "-q",
                "-m0",
                "-O",
                "^has_journal",
                "-E",
                "lazy_itable_init=0",
            ])
            .arg(disk.image()))?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([disk.image(), disk.files()]))?;
        Ok(Some(disk))
    }

    /// Where files go.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// Takes the room on the thin storage away: what is zero on the disk takes none, and from here
    /// on a write into it fails with ENOSPC.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn exhaust(&self) -> Result<()> {
        // Stands still meanwhile: what is written between the look at a block and the hole in it
        // would be gone.
        self.freeze()?;
        let taken = run(Command::new("fallocate")
            .arg("--dig-holes")
            .arg(self.image()))
        .and_then(|()| fill(&self.thin().join("filler")));
        self.thaw()?;
        taken
    }

    /// No write and no flush on it ends from here on.
    ///
    /// # Errors
    /// It stands still already.
    pub fn freeze(&self) -> Result<()> {
        run(Command::new("fsfreeze").arg("--freeze").arg(self.files()))
    }

    /// They go on.
    ///
    /// # Errors
    /// It does not stand still.
    pub fn thaw(&self) -> Result<()> {
        run(Command::new("fsfreeze").arg("--unfreeze").arg(self.files()))
    }

    /// Gives it back.
    ///
    /// # Errors
    /// Nothing was taken.
    pub fn relieve(&self) -> Result<()> {
        Ok(fs::remove_file(self.thin().join("filler"))?)
    }

    /// Takes what is free on the disk itself.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn fill(&self) -> Result<()> {
        fill(&self.files().join("filler"))
    }

    /// Gives it back.
    ///
    /// # Errors
    /// Nothing was taken.
    pub fn clear(&self) -> Result<()> {
        Ok(fs::remove_file(self.files().join("filler"))?)
    }

    /// Pulls it out: from here on every write beyond its first MiB fails with EIO, and what was
    /// written there is gone.
    ///
    /// # Errors
    /// It cannot be pulled out.
    pub fn pull(&self) -> Result<()> {
        let output = Command::new("losetup")
            .arg("-j")
            .arg(self.image())
            .output()?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let device = told.split(':').next().context("the image has no device")?;
        let image = fs::File::options().write(true).open(self.image())?;
        image.set_len(1 << 20)?;
        run(Command::new("losetup").args(["-c", device]))
    }

    fn thin(&self) -> PathBuf {
        self.folder.join("thin")
    }

    fn image(&self) -> PathBuf {
        self.thin().join("image")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A test that fails may leave it standing still, and then it cannot be unmounted.
        self.thaw().ok();
        for place in [self.files(), self.thin()] {
            // Lazily: whoever still has files open there must not keep it for ever.
            run(Command::new("umount").arg("--lazy").arg(place)).ok();
        }
    }
}

/// Writes until nothing more can be written.
fn fill(path: &Path) -> Result<()> {
    let mut file = fs::File::create(path)?;
    for len in [1 << 20, 4096] {
        let block = vec![0xA5; len];
        while file.write_all(&block).is_ok() {}
    }
    file.sync_all().ok();
    Ok(())
}

/// Whether `mount` says that this process may not.
fn is_denied(told: &str) -> bool {
    let denials = ["permission denied", "not permitted", "must be superuser"];
    let told = told.to_lowercase();
    denials.iter().any(|denial| told.contains(denial))
}

/// On the standard error output that no test runner holds back.
fn not_checked(why: &str) -> Result<Option<Disk>> {
    let mut told = std::io::stderr().lock();
    writeln!(
        told,
        "NOT CHECKED: a disk that fails on a loop device {why}"
    )?;
    Ok(None)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_denial_leaves_a_disk_unchecked() {
        assert!(is_denied("mount: /t: permission denied."));
        assert!(is_denied("mount: /t: Operation not permitted"));
        assert!(!is_denied(
            "mount: /t: wrong fs type, bad option, bad superblock"
        ));
        assert!(!is_denied("mount: /t: mount point does not exist."));
    }
}
