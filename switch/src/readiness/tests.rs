//! Real sockets over loopback: each piece, each end, and whoever takes a place again.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::thread::JoinHandle;

use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _, future};
use glommio::Placement;
use glommio::net::TcpListener;

use super::*;

const ROOM: usize = 16;
/// Below, at and above the room of one read, and of two.
const PIECES: [usize; 7] = [1, 7, 15, 16, 17, 32, 33];

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    let executor = persistence::journal::executor(Placement::Unbound);
    let running = executor.spawn(move || async move {
        let over = async {
            glommio::timer::sleep(Duration::from_secs(60)).await;
            panic!("it does not end");
        };
        future::or(test(), over).await;
    });
    running.unwrap().join().unwrap();
}

fn watching() -> Rc<Readiness> {
    let readiness = Readiness::new().unwrap();
    glommio::spawn_local(Rc::clone(&readiness).look()).detach();
    readiness
}

/// Says each piece when the one before was answered; the last leaves together with its end.
fn talk(address: SocketAddr) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut peer = std::net::TcpStream::connect(address).unwrap();
        for len in PIECES {
            peer.write_all(&vec![7; len]).unwrap();
            peer.read_exact(&mut [0]).unwrap();
        }
        peer.write_all(&[9]).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"end");
    })
}

async fn answer(mut watched: Watched) {
    let mut came = [0; ROOM];
    for len in PIECES {
        let mut left = len;
        while left > 0 {
            let count = watched.read(&mut came).await.unwrap();
            assert!(came[..count].iter().all(|byte| *byte == 7));
            left -= count;
        }
        watched.write_all(b"k").await.unwrap();
    }
    assert_eq!(watched.read(&mut came).await.unwrap(), 1);
    assert_eq!(watched.read(&mut came).await.unwrap(), 0);
    assert_eq!(watched.read(&mut came).await.unwrap(), 0, "it stays ended");
    watched.write_all(b"end").await.unwrap();
    watched.close().await.unwrap();
}

#[test]
fn each_of_many_is_told_of_every_piece_and_of_the_end() {
    run(async || {
        let readiness = watching();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peers: Vec<_> = (0..64).map(|_| talk(address)).collect();
        let mut answering = Vec::new();
        for _ in &peers {
            let stream = listener.accept().await.unwrap();
            let watched = Watched::new(stream, &readiness).unwrap();
            answering.push(glommio::spawn_local(answer(watched)));
        }
        for one in answering {
            one.await;
        }
        for peer in peers {
            peer.join().unwrap();
        }
        assert!(readiness.entries.borrow().is_empty());
    });
}

#[test]
fn what_came_with_its_end_before_it_was_watched_is_found_with_its_end() {
    run(async || {
        let readiness = watching();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut peer = std::net::TcpStream::connect(address).unwrap();
        peer.write_all(b"all").unwrap();
        drop(peer);
        let stream = listener.accept().await.unwrap();
        let mut watched = Watched::new(stream, &readiness).unwrap();
        let mut came = Vec::new();
        watched.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, b"all");
    });
}

#[test]
fn whoever_takes_the_place_of_one_that_has_gone_hears_its_own() {
    run(async || {
        let readiness = watching();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut gone = std::net::TcpStream::connect(address).unwrap();
        let first = listener.accept().await.unwrap();
        let first = Watched::new(first, &readiness).unwrap();
        let place = first.key;
        gone.write_all(b"never read").unwrap();
        drop(first);
        let mut peer = std::net::TcpStream::connect(address).unwrap();
        let second = listener.accept().await.unwrap();
        let mut second = Watched::new(second, &readiness).unwrap();
        assert_eq!(second.key, place);
        let mut came = [0; ROOM];
        let mut reading = std::pin::pin!(second.read(&mut came));
        let found = future::poll_once(&mut reading).await;
        assert!(found.is_none(), "nothing has come");
        peer.write_all(b"own").unwrap();
        assert_eq!(reading.await.unwrap(), 3);
        assert_eq!(&came[..3], b"own");
    });
}
