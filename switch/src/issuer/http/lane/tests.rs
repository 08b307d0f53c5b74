//! A link with real connections: what is written on which of them, and what the loop is told. The
//! test is the loop and the issuer; all run on one executor, so it decides what happens when.

use std::net::SocketAddr;
use std::time::Duration;

use domain::ids::{IssuerId, LinkId};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::net::{TcpListener, TcpStream};
use glommio::sync::Semaphore;

use super::super::connector::tests::{plan, written};
use super::super::plan::Plan;
use super::*;
use crate::clock::Clock;
use crate::config::{Config, Environment};
use crate::control::shared::Shared;
use crate::frame::FramePool;
use crate::inbox::Inbox;
use crate::issuer::ConnectBudget;
use crate::metrics::Metrics;
use crate::tls::{Lanes, TlsInForce, TlsSet};

/// A link that is up, with one connection, which waits.
pub(super) struct Scene {
    inbox: Inbox,
    pub(super) listener: TcpListener,
    pub(super) clock: Clock,
    conn: Rc<Conn>,
    /// All connects go through it, one after the other.
    budget: Rc<ConnectBudget>,
    pub(super) first: TcpStream,
}

impl Scene {
    pub(super) async fn open(change: impl FnOnce(&mut Plan)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let clock = Clock::start();
        let inbox = Inbox::new(16);
        let budget = Rc::new(ConnectBudget::new(1));
        let setup = setup(listener.local_addr().unwrap(), &inbox, &budget, clock);
        let mut plan = Plan {
            connections_max: 8,
            idle_max: Duration::from_secs(600),
            answer_max: Duration::from_secs(600),
            ..plan()
        };
        change(&mut plan);
        let issuer = Rc::new(HttpIssuer::new(plan.into()));
        glommio::spawn_local(keep_asking(setup, issuer)).detach();
        let first = listener.accept().await.unwrap();
        let conn = connected(&inbox).await;
        Self {
            inbox,
            listener,
            clock,
            conn,
            budget,
            first,
        }
    }

    /// The loop writes an 0200 that is to have left by then.
    pub(super) fn submit(&self, stan: &str, by: Instant) {
        self.send(&written(*b"0200", &[(11, stan.as_bytes())]), by);
    }

    /// The loop writes the reversal of such a one.
    fn reverse(&self, stan: &str) {
        let original = format!("0200{stan}11202138340000010000100000000000");
        let more: [(u8, &[u8]); 2] = [(7, b"1120214000"), (90, original.as_bytes())];
        self.send(&written(*b"0420", &more), Instant::FAR_FUTURE);
    }

    pub(super) fn send(&self, message: &[u8], by: Instant) {
        let len = u16::try_from(message.len()).unwrap().to_be_bytes();
        let framed = [&len[..], message].concat();
        self.conn.push_by(&framed, by).unwrap();
        assert!(self.conn.flush(self.clock.now()).unwrap());
    }

    /// What the loop is told next: of which message, and what.
    pub(super) async fn told(&self) -> (String, Received) {
        match next(&self.inbox).await {
            Event::LinkFrame {
                frame, received, ..
            } => {
                let stan: [u8; 6] = frame.message().array(11).unwrap();
                (String::from_utf8_lossy(&stan).into_owned(), received)
            }
            event => panic!("{event:?}"),
        }
    }

    pub(super) async fn tells(&self, stan: &str, received: Received) {
        assert_eq!(self.told().await, (stan.to_owned(), received));
    }

    /// No connect ends until what this gives is dropped.
    async fn hold_connects(&self) -> Held {
        let (taken, end) = (Rc::new(Semaphore::new(0)), Rc::new(Semaphore::new(0)));
        let (budget, of_task) = (
            Rc::clone(&self.budget),
            (Rc::clone(&taken), Rc::clone(&end)),
        );
        glommio::spawn_local(async move {
            let (taken, end) = of_task;
            let hold = async {
                taken.signal(1);
                end.acquire(1).await.unwrap();
            };
            budget.attempt(hold).await;
        })
        .detach();
        taken.acquire(1).await.unwrap();
        Held(end)
    }
}

struct Held(Rc<Semaphore>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.signal(1);
    }
}

async fn next(inbox: &Inbox) -> Event {
    loop {
        inbox.ready().await;
        if let Some(event) = inbox.pop() {
            return event;
        }
    }
}

async fn connected(inbox: &Inbox) -> Rc<Conn> {
    match next(inbox).await {
        Event::LinkConnected { conn, .. } => conn,
        event => panic!("{event:?}"),
    }
}

pub(super) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).unwrap()
}

/// The issuer reads one request: the STAN that its id ends in, and what it asks for.
pub(super) async fn read(stream: &mut TcpStream) -> (String, String) {
    let head = read_head(stream).await;
    let value = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name)).unwrap()
    };
    let mut body = vec![0; value("Content-Length: ").parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let id = value("Idempotency-Key: ");
    let kind = if head.contains("/void/") {
        "reverse"
    } else {
        "submit"
    };
    (id[id.len() - 6..].to_owned(), kind.to_owned())
}

pub(super) async fn reads(stream: &mut TcpStream, stan: &str, kind: &str) {
    assert_eq!(read(stream).await, (stan.to_owned(), kind.to_owned()));
}

/// The issuer approves what has this STAN.
pub(super) async fn approve(stream: &mut TcpStream, stan: &str) {
    let amount = r#"{"value":152300,"currency":"KES"}"#;
    let body = format!(r#"{{"status":"OK","id":"20261120213834{stan}","amount":{amount}}}"#);
    let len = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn setup(
    address: SocketAddr,
    inbox: &Inbox,
    budget: &Rc<ConnectBudget>,
    clock: Clock,
) -> ConnectionSetup {
    let text = include_str!("../../../../../njia.example.toml");
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let keys = ["TOKEN", "PAN", "HASH"].map(|name| format!("NJIA__KEYS__{name}_KEY"));
    let mut pairs: Vec<(&str, &str)> = keys.iter().map(|name| (&**name, "env:KEY")).collect();
    pairs.push(("KEY", key));
    let config = Config::parse("njia.toml", text, &Environment::of(&pairs)).unwrap();
    let metrics = Metrics::new();
    let shared = Shared::new(1, config.issuers.len(), clock);
    shared.put_tls(&TlsSet::load(&config).unwrap().into());
    let issuer = config.issuers.into_iter().next().unwrap();
    let handshakes = Lanes::new(&config.limits, clock, &metrics).links;
    ConnectionSetup {
        audit: crate::control::audit::AuditQueue::new(),
        link: LinkId(0),
        issuer_id: IssuerId(0),
        issuer: "bank".to_owned(),
        tls: Rc::new(TlsInForce::new(shared.shards.first().unwrap().clone())),
        handshakes,
        addresses: vec![address],
        connect_timeout: Duration::from_secs(60),
        backoff_max: Duration::from_millis(10),
        dialect: iso8583::Dialect::ISO87_ASCII,
        wire: crate::config::Wire {
            framing: Framing::Be16,
            ..issuer.wire
        },
        frame_deadline: Duration::from_secs(60),
        out_len_max: 65_536,
        seed: 1,
        attempts: Cell::new(0),
        budget: Rc::clone(budget),
        open_for: Rc::default(),
        inbox: inbox.clone(),
        pool: FramePool::new(16),
        clock,
        gate: Rc::default(),
        metrics,
    }
}

/// Runs a test; one that waits for what does not come fails.
pub(super) fn on_executor<F: Future<Output = ()> + 'static>(
    test: impl FnOnce() -> F + Send + 'static,
) {
    let executor = persistence::journal::executor(glommio::Placement::Unbound);
    let bounded = || async {
        let is_done = async {
            test().await;
            true
        };
        let is_late = async {
            sleep(Duration::from_secs(60)).await;
            false
        };
        future::or(is_done, is_late).await
    };
    assert!(
        executor.spawn(bounded).unwrap().join().unwrap(),
        "it waits for ever"
    );
}

#[test]
fn a_submit_is_asked_and_answered() {
    on_executor(|| async {
        let mut scene = Scene::open(|_| {}).await;
        for stan in ["000001", "000002"] {
            scene.submit(stan, Instant::FAR_FUTURE);
            reads(&mut scene.first, stan, "submit").await;
            approve(&mut scene.first, stan).await;
            scene.tells(stan, Received::Message).await;
        }
    });
}

//= docs/rules.md#M-13
/// Its connection comes when its reversal may have been answered.
#[test]
fn what_waits_beyond_its_deadline_never_leaves() {
    on_executor(|| async {
        let mut scene = Scene::open(|_| {}).await;
        scene.submit("000001", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000001", "submit").await;
        let held = scene.hold_connects().await;
        let soon = scene.clock.now().after(Duration::from_millis(50));
        scene.submit("000002", soon);
        scene.tells("000002", Received::Unsent).await;
        drop(held);
        let mut second = scene.listener.accept().await.unwrap();
        approve(&mut scene.first, "000001").await;
        scene.tells("000001", Received::Message).await;
        // One goes over each of both, and nothing was written on them before.
        scene.submit("000003", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000003", "submit").await;
        scene.submit("000004", Instant::FAR_FUTURE);
        reads(&mut second, "000004", "submit").await;
    });
}

/// Of a card that was read, nothing but its number is there while its exchange runs.
#[test]
fn what_no_issuer_is_told_is_not_kept() {
    on_executor(|| async {
        let scene = Scene::open(|_| {}).await;
        let track = b"5061001234567890=28122011234";
        let more: [(u8, &[u8]); 2] = [(35, track), (52, b"PINBLOCK")];
        // It is too late for it, so that the message itself comes back.
        scene.send(&written(*b"0200", &more), Instant::ZERO);
        let Event::LinkFrame {
            frame, received, ..
        } = next(&scene.inbox).await
        else {
            panic!("it is told what became of it");
        };
        assert_eq!(received, Received::Unsent);
        let zeros =
            |number, len| assert_eq!(frame.message().field(number), Some(&vec![0; len][..]));
        zeros(35, track.len());
        zeros(52, 8);
        assert_eq!(frame.message().array(11), Some(*b"000421"));
    });
}

//= docs/rules.md#M-13
/// A connection waits for it, and it is too late already.
#[test]
fn what_comes_behind_its_deadline_never_leaves() {
    on_executor(|| async {
        let mut scene = Scene::open(|_| {}).await;
        scene.submit("000001", scene.clock.now());
        scene.tells("000001", Received::Unsent).await;
        scene.submit("000002", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000002", "submit").await;
    });
}

//= docs/rules.md#M-13
/// The reversal has a connection that became free, while its submit waits for its own.
#[test]
fn what_its_reversal_overtakes_never_leaves() {
    on_executor(|| async {
        let mut scene = Scene::open(|_| {}).await;
        scene.submit("000001", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000001", "submit").await;
        let held = scene.hold_connects().await;
        scene.submit("000002", Instant::FAR_FUTURE);
        approve(&mut scene.first, "000001").await;
        scene.tells("000001", Received::Message).await;
        scene.reverse("000002");
        reads(&mut scene.first, "000002", "reverse").await;
        drop(held);
        let mut second = scene.listener.accept().await.unwrap();
        scene.tells("000002", Received::Unsent).await;
        scene.submit("000003", Instant::FAR_FUTURE);
        reads(&mut second, "000003", "submit").await;
    });
}

//= docs/rules.md#M-13
/// Two of one id would be one payment to the issuer.
#[test]
fn an_id_in_flight_is_not_submitted_again() {
    on_executor(|| async {
        let mut scene = Scene::open(|_| {}).await;
        scene.submit("000001", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000001", "submit").await;
        scene.submit("000001", Instant::FAR_FUTURE);
        scene.tells("000001", Received::Unsent).await;
        approve(&mut scene.first, "000001").await;
        scene.tells("000001", Received::Message).await;
    });
}

/// What nobody waits for any more goes to nobody, least of all to who asks next.
#[test]
fn a_late_answer_on_a_connection_given_up_answers_nothing() {
    on_executor(|| async {
        let mut scene = Scene::open(|plan| plan.answer_max = Duration::from_secs(3)).await;
        scene.submit("000001", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000001", "submit").await;
        scene.tells("000001", Received::Unusable).await;
        scene.submit("000002", Instant::FAR_FUTURE);
        let mut second = scene.listener.accept().await.unwrap();
        reads(&mut second, "000002", "submit").await;
        approve(&mut scene.first, "000001").await;
        approve(&mut second, "000002").await;
        scene.tells("000002", Received::Message).await;
    });
}

#[test]
fn what_was_closed_while_it_waited_is_not_written_to() {
    on_executor(|| async {
        let scene = Scene::open(|_| {}).await;
        scene
            .first
            .shutdown(std::net::Shutdown::Both)
            .await
            .unwrap();
        scene.submit("000001", Instant::FAR_FUTURE);
        let mut second = scene.listener.accept().await.unwrap();
        reads(&mut second, "000001", "submit").await;
        approve(&mut second, "000001").await;
        scene.tells("000001", Received::Message).await;
    });
}

/// An exchange goes on when its link is lost, and its connection counts for the link that follows.
#[test]
fn a_lost_link_keeps_its_exchanges_and_their_count() {
    on_executor(|| async {
        let mut scene = Scene::open(|plan| plan.connections_max = 2).await;
        scene.submit("000001", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000001", "submit").await;
        scene.conn.close();
        assert!(matches!(next(&scene.inbox).await, Event::LinkLost { .. }));
        let mut second = scene.listener.accept().await.unwrap();
        scene.conn = connected(&scene.inbox).await;
        scene.submit("000002", Instant::FAR_FUTURE);
        reads(&mut second, "000002", "submit").await;
        scene.submit("000003", Instant::FAR_FUTURE);
        scene.tells("000003", Received::Unsent).await;
        approve(&mut scene.first, "000001").await;
        scene.tells("000001", Received::Message).await;
        scene.submit("000004", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000004", "submit").await;
    });
}

/// All its connections were in use when it was lost; none of them is made anew.
#[test]
fn a_link_is_up_again_by_a_connection_that_stands() {
    on_executor(|| async {
        let mut scene = Scene::open(|plan| plan.connections_max = 1).await;
        scene.submit("000001", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000001", "submit").await;
        scene.conn.close();
        assert!(matches!(next(&scene.inbox).await, Event::LinkLost { .. }));
        approve(&mut scene.first, "000001").await;
        scene.tells("000001", Received::Message).await;
        scene.conn = connected(&scene.inbox).await;
        scene.submit("000002", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000002", "submit").await;
    });
}
