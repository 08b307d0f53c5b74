//! A PostgreSQL server of its own for one test: a fresh cluster in a temporary folder, reachable by
//! its unix socket, on the loopback interface where a test asks for it, gone when it is dropped.
//!
//! The server refuses to run as root, so under root it runs as `postgres` or `nobody`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use crate::e2e::pause;

/// A running or stopped server with its data.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    account: Option<Account>,
    server: Option<Running>,
    /// Its port on the loopback interface, where it has one.
    port: Option<u16>,
}

/// A server and the one who ends it when nobody else can.
#[derive(Debug)]
struct Running {
    server: Child,
    /// Waits for the end of a pipe that this process holds open. When the process is killed, `Drop`
    /// does not run, but the pipe ends.
    watchdog: Child,
}

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, transactions rolled back, a checkpoint is written.
    Fast,
    /// As after a power cut: the next start replays the log.
    Immediate,
    /// The postmaster alone is killed; its sessions find out by themselves.
    Kill,
}

/// A connection of a test that has no runtime of its own.
#[derive(Debug)]
pub struct Sql {
    runtime: Runtime,
    client: Client,
}

impl Sql {
    /// Connects.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub fn connect(url: &str) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            // Its end is told to whoever uses the client.
            tokio::spawn(connection);
            anyhow::Ok(client)
        })?;
        Ok(Self { runtime, client })
    }

    /// Runs statements, of which nothing is read.
    ///
    /// # Errors
    /// The server refuses one.
    pub fn run(&mut self, statements: &str) -> Result<()> {
        let run = self.client.batch_execute(statements);
        Ok(self.runtime.block_on(run)?)
    }
}

/// The superuser of every cluster.
pub const USER: &str = "njia";
const START_MAX: Duration = Duration::from_secs(60);
/// "connections", or "read-only connections" of a standby.
const READY: &str = "database system is ready to accept ";

impl Cluster {
    /// A fresh cluster, started.
    ///
    /// # Errors
    /// No server is installed, or it does not start; the text says what to do.
    pub fn start() -> Result<Self> {
        let mut cluster = Self::create()?;
        cluster.resume()?;
        Ok(cluster)
    }

    /// A fresh cluster, not started.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn create() -> Result<Self> {
        let cluster = Self::empty()?;
        cluster.initdb()?;
        Ok(cluster)
    }

    /// A server with a copy of what [`Cluster::save_as`] has put aside, started: that costs less
    /// than to make it again.
    ///
    /// # Errors
    /// The data cannot be copied, or the server does not start.
    pub fn start_from(template: &Path) -> Result<Self> {
        let mut cluster = Self::empty()?;
        cluster.copy(template, &cluster.data())?;
        cluster.resume()?;
        Ok(cluster)
    }

    /// Copies the data of the stopped server to a folder that is not there yet.
    ///
    /// # Errors
    /// The server runs, or the copy fails.
    pub fn save_as(&self, template: &Path) -> Result<()> {
        self.copy(&self.data(), template)
    }

    /// Without data.
    fn empty() -> Result<Self> {
        let programs = programs()?;
        let account = Account::to_use()?;
        // Short, because the path of a unix socket holds 107 bytes.
        let folder = tempfile::Builder::new().prefix("njia-pg-").tempdir()?;
        if let Some(account) = account {
            chown(folder.path(), Some(account.user), Some(account.group))?;
        }
        Ok(Self {
            folder,
            programs,
            account,
            server: None,
            port: None,
        })
    }

    /// A standby that streams from `primary`, started.
    ///
    /// # Errors
    /// The primary does not run, or the standby does not start.
    pub fn standby_of(primary: &Self) -> Result<Self> {
        let mut standby = Self::empty()?;
        let output = standby
            .base_backup(primary, &standby.data())
            .arg("-R")
            .output()?;
        succeeded("pg_basebackup", &output)?;
        standby.resume()?;
        Ok(standby)
    }

    /// Makes a standby a server of its own.
    ///
    /// # Errors
    /// It is none, or does not become one.
    pub fn promote(&self) -> Result<()> {
        let promoted = self
            .command("pg_ctl")
            .arg("promote")
            .arg("-D")
            .arg(self.data())
            .output()?;
        succeeded("pg_ctl promote", &promoted)
    }

    /// Starts the stopped server on its data.
    ///
    /// # Errors
    /// It does not come up in time; the text holds its log.
    pub fn resume(&mut self) -> Result<()> {
        if self.server.is_some() {
            bail!("the server runs already");
        }
        let mut log = String::new();
        // Sessions of a killed postmaster keep the shared memory until they notice: try again.
        for _ in 0..50 {
            let mut server = self.spawn()?;
            let lines = lines_of(&mut server)?;
            if wait_until_ready(&lines, READY, &mut log)? {
                drain(lines);
                let watchdog = watchdog(&server)?;
                self.server = Some(Running { server, watchdog });
                return Ok(());
            }
            server.wait()?;
            if !log.contains("shared memory block") && !log.contains("is another postmaster") {
                break;
            }
            pause(Duration::from_millis(200));
        }
        Err(anyhow!("the server does not start:\n{log}"))
    }

    /// Starts the stopped server so that it can be reached on 127.0.0.1 too; the port.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn listen(&mut self) -> Result<u16> {
        // A port that was free a moment ago may have been taken since.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            self.port = Some(port);
            match self.resume() {
                Ok(()) => return Ok(port),
                Err(error) if error.to_string().contains("could not bind") => {}
                Err(error) => return Err(error),
            }
        }
        bail!("no port is free")
    }

    /// Appends to `postgresql.conf`; from the next start or reload on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, lines: &str) -> Result<()> {
        let path = self.data().join("postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(path)?;
        Ok(writeln!(file, "{lines}")?)
    }

    /// Writes a file of the server's own into its data, which it finds by `name`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn install(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.data().join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        if let Some(account) = self.account {
            chown(&path, Some(account.user), Some(account.group))?;
        }
        Ok(())
    }

    /// Ends the server; its data stay.
    ///
    /// # Errors
    /// It does not run, or cannot be told.
    pub fn stop(&mut self, how: Stop) -> Result<()> {
        let running = self.server.take().context("the server does not run")?;
        let Running {
            mut server,
            mut watchdog,
        } = running;
        watchdog.kill()?;
        watchdog.wait()?;
        let signal = match how {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
            Stop::Kill => Signal::KILL,
        };
        let pid = Pid::from_child(&server);
        kill_process(pid, signal).context("cannot signal the server")?;
        server.wait()?;
        Ok(())
    }

    /// A base backup of the running server under a name, for [`Cluster::restore`].
    ///
    /// # Errors
    /// The server does not run, or the backup fails.
    pub fn back_up(&self, name: &str) -> Result<()> {
        let output = self
            .base_backup(self, &self.folder.path().join(name))
            .output()?;
        succeeded("pg_basebackup", &output)
    }

    fn base_backup(&self, of: &Self, to: &Path) -> Command {
        let mut command = self.command("pg_basebackup");
        command
            .args(["-X", "stream", "--checkpoint=fast", "-U", USER, "-h"])
            .arg(of.folder())
            .arg("-D")
            .arg(to);
        command
    }

    /// Copies the data of the stopped server: what a standby has that lags behind.
    ///
    /// # Errors
    /// The server runs, or the copy fails.
    pub fn save(&self, name: &str) -> Result<()> {
        self.copy(&self.data(), &self.folder.path().join(name))
    }

    /// Puts saved data in the place of the stopped server's.
    ///
    /// # Errors
    /// The server runs, or the copy fails.
    pub fn restore(&self, name: &str) -> Result<()> {
        fs::remove_dir_all(self.data())?;
        self.copy(&self.folder.path().join(name), &self.data())
    }

    /// Makes the server the owner of a folder.
    ///
    /// # Errors
    /// It cannot be given away.
    pub fn give(&self, folder: &Path) -> Result<()> {
        if let Some(account) = self.account {
            chown(folder, Some(account.user), Some(account.group))?;
        }
        Ok(())
    }

    /// Runs `script` with the server's own client, as [`USER`]; the first error ends it.
    ///
    /// # Errors
    /// psql cannot be run, or the script fails; the text holds what it said.
    pub fn psql(&self, script: &str) -> Result<()> {
        let mut psql = self
            .command("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"])
            .args(["-U", USER, "-f", "-", "-h"])
            .arg(self.folder.path())
            .args(self.port.map(|port| format!("--port={port}")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = psql.stdin.take().context("its input is piped")?;
        // A script that ends early closes its input: what it said is the reason.
        let written = input.write_all(script.as_bytes());
        drop(input);
        let output = psql.wait_with_output()?;
        if !output.status.success() {
            bail!("psql failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(written?)
    }

    /// A connection string for [`USER`].
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(USER, None)
    }

    /// A connection string for another role.
    #[must_use]
    pub fn url_of(&self, role: &str, password: Option<&str>) -> String {
        let password = password.map_or_else(String::new, |text| format!("&password={text}"));
        let folder = self.folder.path().display();
        let port = self
            .port
            .map_or_else(String::new, |port| format!("&port={port}"));
        format!("postgresql:///postgres?host={folder}{port}&user={role}{password}")
    }

    /// The folder that holds its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let port = self.port.unwrap_or(5432);
        self.folder.path().join(format!(".s.PGSQL.{port}"))
    }

    /// Demands a password of `role`, from the next start or reload on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn demand_password(&self, role: &str) -> Result<()> {
        self.admit(&format!("local all {role} scram-sha-256"))
    }

    /// Puts `rule` before all others of `pg_hba.conf`; from the next start or reload on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn admit(&self, rule: &str) -> Result<()> {
        let path = self.data().join("pg_hba.conf");
        let rest = fs::read_to_string(&path)?;
        let mut file = fs::File::create(&path)?;
        write!(file, "{rule}\n{rest}")?;
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }

    fn initdb(&self) -> Result<()> {
        let output = self
            .command("initdb")
            .args([
                "-U",
                USER,
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "-N",
                "-D",
            ])
            .arg(self.data())
            .output()?;
        succeeded("initdb", &output)
    }

    fn spawn(&self) -> Result<Child> {
        let server = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(self.where_to_listen())
            // What a killed server has written, the kernel has: only a machine that stops loses it,
            // and no test stops that.
            .args(["-c", "fsync=off", "-c", "log_destination=stderr"])
            .args(["-c", "logging_collector=off", "-c", "max_connections=40"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(server)
    }

    fn where_to_listen(&self) -> Vec<String> {
        let Some(port) = self.port else {
            return vec!["-c".to_owned(), "listen_addresses=".to_owned()];
        };
        let port = format!("port={port}");
        ["-c", "listen_addresses=127.0.0.1", "-c", &port]
            .map(str::to_owned)
            .to_vec()
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        if self.server.is_some() {
            bail!("stop the server first");
        }
        let copied = Command::new("cp")
            .args(["-a", "--sparse=always"])
            .arg(from)
            .arg(to)
            .status()?;
        if !copied.success() {
            bail!("cannot copy {} to {}", from.display(), to.display());
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.server.is_some()
            && let Err(error) = self.stop(Stop::Immediate)
        {
            eprintln!("a PostgreSQL server may be left over: {error}");
        }
    }
}

/// Whom the server runs as, under root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Account {
    pub(crate) fn to_use() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let found = ["postgres", "nobody"]
            .iter()
            .find_map(|name| users.lines().find_map(|line| Self::of_line(line, name)));
        let found = found.context("neither user postgres nor nobody exists to run a server as")?;
        Ok(Some(found))
    }

    fn of_line(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some(Self { user, group })
    }
}

fn succeeded(program: &str, output: &Output) -> Result<()> {
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed: {text}");
    }
    Ok(())
}

/// The folder that holds `initdb` and `postgres`: the newest of Debian's, else that of the path.
fn programs() -> Result<PathBuf> {
    let mut folders: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten() {
        let entry = entry?;
        let version = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(version) = version {
            folders.push((version, entry.path().join("bin")));
        }
    }
    folders.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&path);
    let debian = folders.into_iter().map(|(_, folder)| folder);
    debian
        .chain(path)
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .context("no PostgreSQL server on this machine: apt-get install postgresql")
}

pub(crate) fn watchdog(server: &Child) -> Result<Child> {
    let child = Command::new("sh")
        .args(["-c", "read -r line; kill -QUIT \"$1\"", "watchdog"])
        .arg(server.id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(child)
}

/// The server's log, line by line.
pub(crate) fn lines_of(server: &mut Child) -> Result<Receiver<String>> {
    let log = server.stderr.take().context("the log is piped")?;
    let (to, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            // Nobody listens any more: the pipe is still emptied, or the server would block on it.
            drop(to.send(line));
        }
    });
    Ok(lines)
}

/// Whether the server came up; false when it ended instead.
pub(crate) fn wait_until_ready(
    lines: &Receiver<String>,
    ready: &str,
    log: &mut String,
) -> Result<bool> {
    loop {
        match lines.recv_timeout(START_MAX) {
            Ok(line) if line.contains(ready) => return Ok(true),
            Ok(line) => {
                log.push_str(&line);
                log.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
            Err(RecvTimeoutError::Timeout) => bail!("the server does not come up:\n{log}"),
        }
    }
}

/// Keeps what the server says in a test that fails.
fn drain(lines: Receiver<String>) {
    if std::env::var_os("NJIA_PG_LOG").is_some() {
        std::thread::spawn(move || lines.iter().for_each(|line| eprintln!("postgres: {line}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_from_its_line() {
        let line = "nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin";
        let account = Account::of_line(line, "nobody").unwrap();
        assert_eq!((account.user, account.group), (65534, 65533));
        assert!(Account::of_line(line, "postgres").is_none());
    }
}
