//! pgbouncer in front of a cluster of one test: transaction mode, reachable by a Unix socket in a
//! folder of its own, gone when it is dropped. It keeps few connections, so that its callers share
//! them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::postgres::{Account, Cluster, USER, lines_of, wait_until_ready, watchdog};

/// A running or stopped pgbouncer.
#[derive(Debug)]
pub struct Pooler {
    folder: TempDir,
    program: PathBuf,
    account: Option<Account>,
    running: Option<Running>,
}

/// A process and the one who ends it when this one is killed.
#[derive(Debug)]
struct Running {
    pooler: Child,
    watchdog: Child,
}

/// Names the socket alone: nothing listens on a network.
const PORT: u16 = 6432;
const READY: &str = "process up: ";

impl Pooler {
    /// In front of `cluster`, with `connections` to it at most, started.
    ///
    /// # Errors
    /// pgbouncer is not installed, or does not start; the text says what to do.
    pub fn start(cluster: &Cluster, connections: u16) -> Result<Self> {
        let program = program()?;
        let account = Account::to_use()?;
        let folder = tempfile::Builder::new().prefix("njia-pgb-").tempdir()?;
        let server = cluster.folder().display();
        let sockets = folder.path().display();
        let users = folder.path().join("users.txt");
        fs::write(&users, format!("\"{USER}\" \"\"\n"))?;
        let config = format!(
            "[databases]\npostgres = host={server} dbname=postgres\n\
             [pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {sockets}\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {connections}\n",
            users.display()
        );
        fs::write(folder.path().join("pgbouncer.ini"), config)?;
        if let Some(account) = account {
            chown(folder.path(), Some(account.user), Some(account.group))?;
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        }
        let mut pooler = Self {
            folder,
            program,
            account,
            running: None,
        };
        pooler.resume()?;
        Ok(pooler)
    }

    /// Starts the stopped pgbouncer.
    ///
    /// # Errors
    /// It runs, or does not come up; the text holds its log.
    pub fn resume(&mut self) -> Result<()> {
        if self.running.is_some() {
            bail!("pgbouncer runs already");
        }
        // A killed one leaves its socket, and the next one does not start over it.
        drop(fs::remove_file(self.socket()));
        let mut command = Command::new(&self.program);
        command
            .arg(self.folder.path().join("pgbouncer.ini"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        let mut pooler = command.spawn()?;
        let lines = lines_of(&mut pooler)?;
        let mut log = String::new();
        if !wait_until_ready(&lines, READY, &mut log)? {
            pooler.wait()?;
            bail!("pgbouncer does not start:\n{log}");
        }
        let watchdog = watchdog(&pooler)?;
        self.running = Some(Running { pooler, watchdog });
        Ok(())
    }

    /// Kills it: every connection through it breaks, whatever it carries.
    ///
    /// # Errors
    /// It does not run, or cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        let running = self.running.take().context("pgbouncer does not run")?;
        let Running {
            mut pooler,
            mut watchdog,
        } = running;
        watchdog.kill()?;
        watchdog.wait()?;
        pooler.kill()?;
        pooler.wait()?;
        Ok(())
    }

    /// A connection string for [`USER`].
    #[must_use]
    pub fn url(&self) -> String {
        let folder = self.folder.path().display();
        format!("postgresql:///postgres?host={folder}&port={PORT}&user={USER}")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{PORT}"))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if self.running.is_some()
            && let Err(error) = self.kill()
        {
            eprintln!("a pgbouncer may be left over: {error}");
        }
    }
}

/// Debian's place, which is not on everybody's path, else that of the path.
fn program() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let debian = Path::new("/usr/sbin").to_owned();
    std::iter::once(debian)
        .chain(path)
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.is_file())
        .context("no pgbouncer on this machine: apt-get install pgbouncer")
}
