//! Many connections that do nothing beside some that work: what the former take, and whether the
//! latter feel it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ClientConfig;

use super::gateway::{API_KEY, GATEWAY, KEY, stage_text};
use super::kept::{Kept, showing};
use super::session::{Session, purchase};
use super::{Build, Issuers, Load, Node, Running, eventually};
use crate::certificates::Authority;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Connections that do nothing: half of them sessions, of the others a tenth behind TLS.
    pub idle: usize,
    /// Connections that work, half of them sessions.
    pub busy: usize,
}

impl Size {
    /// Out of two variables.
    ///
    /// # Errors
    /// One is no number.
    pub fn of_variables([idle, busy]: [(&str, usize); 2]) -> Result<Self> {
        let number = |(name, otherwise): (&str, usize)| match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
            Err(_) => Ok(otherwise),
        };
        Ok(Self {
            idle: number(idle)?,
            busy: number(busy)?,
        })
    }

    const fn sessions(self) -> usize {
        self.idle / 2
    }

    const fn sealed(self) -> usize {
        self.idle / 20
    }

    const fn clear(self) -> usize {
        self.idle - self.sessions() - self.sealed()
    }

    /// Of those that work, those of one kind.
    const fn half_busy(self) -> usize {
        self.busy / 2 + 1
    }

    /// Descriptors that the switch asks for: two for a session, and some for the rest.
    const fn files(self) -> usize {
        let sessions = room(self.sessions() + self.half_busy());
        let gateways = room(self.clear() + self.half_busy()) + room(self.sealed());
        2 * sessions + gateways + 512
    }
}

/// So many of one kind that each shard has room for its part, which is never exactly one: the
/// kernel deals them by a hash.
const fn room(count: usize) -> usize {
    count + count / 10 + 64
}

/// Lets this process, and a switch that it starts, have as many files open as both need.
///
/// # Errors
/// It may not; the message says how many it may have, and what to do about it.
pub fn raise_files(size: Size) -> Result<()> {
    let needed = u64::try_from(size.files())?;
    let limit = getrlimit(Resource::Nofile);
    let is_enough = |value: Option<u64>| value.is_none_or(|value| value >= needed);
    if is_enough(limit.current) {
        return Ok(());
    }
    let maximum = if is_enough(limit.maximum) {
        limit.maximum
    } else {
        Some(needed)
    };
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        bail!(
            "{needed} files have to be open for {} idle connections and {} busy ones; this process \
             may have {} and may not raise that ({error}): raise the hard limit (ulimit -Hn, \
             LimitNOFILE), have the capability CAP_SYS_RESOURCE, or ask for fewer",
            size.idle,
            size.busy,
            limit.maximum.unwrap_or(u64::MAX),
        );
    }
    Ok(())
}

/// A switch with a gateway in clear, one behind TLS, and a listener, which take that many.
#[derive(Debug)]
pub struct CrowdStage {
    /// The switch.
    pub node: Node,
    issuers: Issuers,
    folder: PathBuf,
    size: Size,
    config: Arc<ClientConfig>,
    _authority: Authority,
}

impl CrowdStage {
    /// Starts it with its files in `folder`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(folder: &Path, size: Size) -> Result<Self> {
        let authority = Authority::new()?;
        let own = authority.issue("switch", "DNS:localhost,IP:127.0.0.1")?;
        fs::set_permissions(&own.key, fs::Permissions::from_mode(0o400))?;
        let issuers = Issuers::start(folder, Duration::from_millis(5))?;
        let addresses = issuers.addresses().map(|address| address.to_string());
        let bounds = |count: usize| {
            format!(
                "connections_max = {}\nconnections_per_address_max = 0\nidle_max_s = 3_600\n",
                room(count)
            )
        };
        let of_clear = bounds(size.clear() + size.half_busy());
        let of_sealed = bounds(size.sealed());
        let sealed = GATEWAY
            .replace("\"mobile\"", "\"sealed\"")
            .replace("\"mobile-money\"", "\"sealed-money\"")
            .replace("plaintext = true\n", "");
        let tls = format!(
            "[gateway.tls]\ncertificate = \"file:{}\"\nkey = \"file:{}\"\ntrust = \"file:{}\"\n",
            own.certificate.display(),
            own.key.display(),
            authority.root().display()
        );
        let acquirers = "[[acquirer]]\nname = \"mobile-money\"\n[[acquirer]]\nname = \
                         \"sealed-money\"\n";
        let state = folder.join("state");
        let text = stage_text(&state, &addresses);
        let text = [
            &text, acquirers, GATEWAY, &of_clear, &sealed, &of_sealed, &tls,
        ]
        .concat();
        let path = folder.join("njia.toml");
        fs::write(&path, text)?;
        let sessions_max = room(size.sessions() + size.half_busy()).to_string();
        let environment = [
            ("NJIA_TEST_KEY", KEY),
            ("NJIA__LIMITS__SESSIONS_MAX", &sessions_max),
            ("NJIA__LISTENER__POS__CONNECTIONS_PER_ADDRESS_MAX", "0"),
        ];
        let node = Node::configured(Build::Product, &path, &state, &environment)?;
        let pair = authority.issue("gateway", "URI:urn:gateway:sealed")?;
        Ok(Self {
            node,
            issuers,
            folder: folder.to_owned(),
            size,
            config: showing(&authority.root(), Some(&pair))?,
            _authority: authority,
        })
    }

    /// Offers `rate` a second over all busy connections, half of it JSON.
    ///
    /// # Errors
    /// The tool cannot be started.
    pub fn offer(&self, rate: u32, (duration, warmup): (&str, &str)) -> Result<Running> {
        let key = self.folder.join("api.key");
        fs::write(&key, API_KEY)?;
        let half = self.size.half_busy();
        let gateway = format!("http://{}", self.node.gateway_named("mobile"));
        let (key, connections) = (format!("file:{}", key.display()), half.to_string());
        let more = [
            ["--gateway", &gateway],
            ["--gateway-key", &key],
            ["--gateway-connections", &connections],
            ["--gateway-share", "50%"],
            ["--gateway-repeat", "0%"],
            ["--gateway-reverse", "0%"],
        ];
        let load = Load {
            rate,
            duration: duration.to_owned(),
            warmup: warmup.to_owned(),
            timeout: "10s".to_owned(),
            seed: u64::from(std::process::id()),
            connections: u32::try_from(half)?,
            more: more.concat().into_iter().map(str::to_owned).collect(),
        };
        load.start(self.node.listener(), &self.folder.join("load"))
    }

    /// Open descriptors of the switch, and bytes of its memory.
    ///
    /// # Errors
    /// It has ended.
    pub fn taken(&self) -> Result<Taken> {
        let status = self.node.process_file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let folder = format!("/proc/{}/fd", self.node.pid());
        Ok(Taken {
            descriptors: fs::read_dir(folder)?.count(),
            kib: kib.context("a process has a resident size")?.parse()?,
        })
    }

    /// Ends it.
    ///
    /// # Errors
    /// It does not end well.
    pub fn close(self) -> Result<()> {
        self.node.settle(Duration::from_secs(60))?;
        self.node.check_sums()?;
        ensure!(self.node.terminate()?.success(), "the switch ends with 0");
        self.issuers.finish()
    }
}

/// What a switch takes of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Open files.
    pub descriptors: usize,
    /// Memory, resident.
    pub kib: u64,
}

/// Connections that do nothing.
#[derive(Debug, Default)]
pub struct Crowd {
    clear: Vec<Kept>,
    sealed: Vec<Kept>,
    sessions: Vec<Session>,
}

impl Crowd {
    /// Those of gateways in clear: each behind one request, without which it would not stay.
    ///
    /// # Errors
    /// One does not come in.
    pub fn open_clear(&mut self, stage: &CrowdStage) -> Result<usize> {
        let address = stage.node.gateway_named("mobile");
        for _ in 0..stage.size.clear() {
            self.clear.push(greeted(Kept::open(address)?)?);
        }
        Ok(self.clear.len())
    }

    /// Those behind TLS.
    ///
    /// # Errors
    /// One does not come in.
    pub fn open_sealed(&mut self, stage: &CrowdStage) -> Result<usize> {
        let address = stage.node.gateway_named("sealed");
        for _ in 0..stage.size.sealed() {
            let kept = Kept::secured(address, &stage.config)?;
            self.sealed.push(greeted(kept)?);
        }
        Ok(self.sealed.len())
    }

    /// Sessions.
    ///
    /// # Errors
    /// One does not come in.
    #[expect(clippy::cast_precision_loss, reason = "a machine has fewer sockets")]
    pub fn open_sessions(&mut self, stage: &CrowdStage) -> Result<usize> {
        for _ in 0..stage.size.sessions() {
            self.sessions.push(Session::connect(stage.node.listener())?);
        }
        let count = self.sessions.len();
        let open = || stage.node.metric("njia_sessions", &[]).unwrap_or_default();
        let is_in = eventually(PATIENCE, || open() >= count as f64);
        ensure!(is_in, "{} of {count} sessions came in", open());
        Ok(count)
    }

    /// One request on each, which its owner answers. How many there were.
    ///
    /// # Errors
    /// One is gone, or is answered otherwise than it should be.
    pub fn use_each(&mut self) -> Result<usize> {
        for kept in self.clear.iter_mut().chain(&mut self.sealed) {
            let status = kept.look()?;
            ensure!(
                status == 404,
                "an idle connection of a gateway got {status}"
            );
        }
        for (stan, session) in (1..).zip(&mut self.sessions) {
            session.send(&purchase(&format!("{stan:06}")))?;
            let code = session.receive()?.text(39);
            ensure!(code == "00", "an idle session got {code}");
        }
        Ok(self.clear.len() + self.sealed.len() + self.sessions.len())
    }
}

fn greeted(mut kept: Kept) -> Result<Kept> {
    let status = kept.heartbeat()?;
    ensure!(status == 200, "a gateway got {status}");
    Ok(kept)
}

const PATIENCE: Duration = Duration::from_secs(120);
