//! Stands between applier and server and cuts the connection around a COMMIT.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// What happens to the COMMITs, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Goes through.
    Pass,
    /// Reaches the server; its answer does not come back.
    LoseAnswer,
    /// Does not reach the server.
    LoseCommit,
    /// Reaches the server; from then on the connection carries nothing, and nobody is told.
    SwallowAnswer,
    /// From then on the connection carries nothing, and nobody is told.
    SwallowCommit,
}

/// A listening socket in a folder of its own.
pub struct Proxy {
    folder: tempfile::TempDir,
    pub cut: Arc<AtomicU64>,
}

const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

impl Proxy {
    /// Forwards to `server`; the n-th COMMIT over all connections meets `fates[n % len]`.
    pub fn start(server: PathBuf, fates: Vec<Fate>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let cut = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&cut);
        let fates: Arc<[Fate]> = fates.into();
        let turn = Arc::new(AtomicU64::new(0));
        tokio::spawn(async move {
            while let Ok((applier, _)) = listener.accept().await {
                let Ok(server) = UnixStream::connect(&server).await else {
                    continue;
                };
                let link = Link {
                    fates: Arc::clone(&fates),
                    turn: Arc::clone(&turn),
                    cut: Arc::clone(&counted),
                };
                tokio::spawn(async move {
                    // Whichever side ends first ends the other.
                    drop(link.run(applier, server).await);
                });
            }
        });
        Self { folder, cut }
    }

    pub fn url(&self, user: &str) -> String {
        let folder = self.folder.path().display();
        format!("postgresql:///postgres?host={folder}&user={user}")
    }
}

struct Link {
    fates: Arc<[Fate]>,
    turn: Arc<AtomicU64>,
    cut: Arc<AtomicU64>,
}

impl Link {
    async fn run(self, applier: UnixStream, server: UnixStream) -> io::Result<()> {
        let (mut from_applier, mut to_applier) = applier.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let swallows = AtomicBool::new(false);
        let back = async {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let len = from_server.read(&mut buffer).await?;
                if len == 0 {
                    return Ok(());
                }
                if !swallows.load(Ordering::Relaxed) {
                    to_applier.write_all(&buffer[..len]).await?;
                }
            }
        };
        let forth = async {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let len = from_applier.read(&mut buffer).await?;
                if len == 0 {
                    return Ok(());
                }
                let seen = &buffer[..len];
                match self.fate(seen) {
                    Fate::Pass => to_server.write_all(seen).await?,
                    Fate::LoseAnswer => {
                        to_server.write_all(seen).await?;
                        return Err(io::Error::other("answer lost"));
                    }
                    Fate::LoseCommit => return Err(io::Error::other("commit lost")),
                    Fate::SwallowAnswer => {
                        swallows.store(true, Ordering::Relaxed);
                        to_server.write_all(seen).await?;
                        return std::future::pending().await;
                    }
                    Fate::SwallowCommit => {
                        swallows.store(true, Ordering::Relaxed);
                        return std::future::pending().await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            end = forth => end,
            end = back => end,
        }
    }

    /// The applier sends COMMIT alone, when everything before it was answered.
    fn fate(&self, seen: &[u8]) -> Fate {
        if seen != COMMIT {
            return Fate::Pass;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let turn = usize::try_from(turn).unwrap() % self.fates.len();
        let fate = self.fates[turn];
        if fate != Fate::Pass {
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
        fate
    }
}
