//! The relay between real sockets: STANs are swapped on the way out and put back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::frame::{self, HEADER_LEN, STAN_LEN};
use super::{Options, Relay};

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).ok()?;
    let mut body = vec![0; usize::from(u16::from_be_bytes(header))];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

fn write_frame(stream: &mut TcpStream, body: &[u8]) {
    let header = u16::try_from(body.len())
        .expect("samples are short")
        .to_be_bytes();
    let framed = [&header, body].concat();
    stream.write_all(&framed).expect("the peer reads");
}

/// Signs on whoever connects and answers pairs of requests, the second first.
fn issuer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a relay connects");
            thread::spawn(move || answer_in_pairs(stream));
        }
    });
    address
}

fn answer_in_pairs(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("it is connected");
    let mut held: Option<Vec<u8>> = None;
    while let Some(mut body) = read_frame(&mut stream) {
        body[2] = b'1';
        if body[1] == b'8' {
            write_frame(&mut stream, &body);
        } else if let Some(first) = held.take() {
            write_frame(&mut stream, &body);
            write_frame(&mut stream, &first);
        } else {
            held = Some(body);
        }
    }
}

fn request(stan: u32) -> Vec<u8> {
    let mut body = b"0200\x30\x20\0\0\0\0\0\0".to_vec();
    body.extend(b"000000000000000100");
    body.extend(frame::digits(stan));
    body
}

fn stan_of(body: &[u8]) -> Option<u32> {
    frame::stan_at(body).and_then(|at| frame::number(&body[at]))
}

#[test]
fn answers_come_back_with_the_stan_that_was_sent() {
    let options = Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        issuers: vec![issuer()],
        links: 1,
        executors: 1,
        ready_file: None,
    };
    let relay = Relay::start(&options).expect("the relay starts");
    let mut acquirers = [0, 1].map(|_| TcpStream::connect(relay.address).expect("it listens"));

    // The same STAN from both: the relay alone can tell them apart.
    for round in 0..100 {
        let stan = 999_999 - round;
        for acquirer in &mut acquirers {
            write_frame(acquirer, &request(stan));
        }
        for acquirer in &mut acquirers {
            let answer = read_frame(acquirer).expect("each request is answered");
            assert_eq!(&answer[..4], b"0210");
            assert_eq!(stan_of(&answer), Some(stan));
            assert_eq!(answer.len(), request(stan).len());
        }
    }

    // An acquirer's own network message is answered by the relay.
    let sign_on = frame::sign_on();
    acquirers[0].write_all(&sign_on).expect("the relay reads");
    let answer = read_frame(&mut acquirers[0]).expect("it is answered");
    assert_eq!(&answer[..4], b"0810");
    assert_eq!(answer.len(), sign_on.len() - HEADER_LEN + 2);
    assert_eq!(STAN_LEN, 6);
}

#[test]
fn links_are_dealt_to_all_executors() {
    let [a, b] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = |links, executors| Options {
        listen,
        issuers: vec![a, b],
        links,
        executors,
        ready_file: None,
    };
    let issuers = |options: Options, index| {
        let links = options.links_of(index);
        links.iter().map(|link| link.issuer).collect::<Vec<_>>()
    };
    assert_eq!(issuers(options(2, 1), 0), [a, b, a, b]);
    assert_eq!(issuers(options(2, 2), 0), [a, a]);
    assert_eq!(issuers(options(2, 2), 1), [b, b]);
    assert_eq!(issuers(options(1, 4), 3), [b]);

    let stans = |index| {
        options(2, 2)
            .links_of(index)
            .into_iter()
            .map(|link| link.stans)
    };
    let mut all: Vec<_> = stans(0).chain(stans(1)).collect();
    all.sort_by_key(|stans| stans.start);
    assert!(
        all.windows(2).all(|pair| pair[0].end <= pair[1].start),
        "{all:?}"
    );
    assert!(all[0].start == 1 && all[3].end <= 1_000_000, "{all:?}");
}
