//! Simulated issuers over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;

use iso8583::{Mti, Writer};

use super::*;
use crate::issuer::Effect;
use crate::issuer::book::EffectKind;

const WIRE: Wire = Wire::PLAIN;

fn config(name: &str, ledger: Option<PathBuf>) -> IssuerConfig {
    IssuerConfig {
        name: name.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        speaks: Speaks::Iso {
            wire: WIRE,
            sign_on: false,
        },
        behaviour: Behaviour::faithful(Duration::from_millis(2)),
        faults: Vec::new(),
        ledger,
        tls: None,
        seed: 42,
    }
}

fn frame(stan: u32) -> Vec<u8> {
    let mut out = Vec::new();
    crate::message::framed(WIRE, &mut out, |room| {
        let mut writer = Writer::new(WIRE.dialect, Mti::FINANCIAL_REQUEST, room);
        writer.put(2, b"4111111111111111")?;
        writer.put(3, b"000000")?;
        writer.put(4, b"000000012300")?;
        writer.put(7, b"0115101500")?;
        writer.put(11, format!("{stan:06}").as_bytes())?;
        writer.put(37, format!("{stan:012}").as_bytes())?;
        writer.put(41, b"KE000007")?;
        writer.put(49, b"404")?;
        Ok(writer.finish()?)
    })
    .unwrap();
    out
}

fn connect(host: &IssuerHost, place: usize) -> TcpStream {
    let socket = TcpStream::connect(host.address(place)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    socket
}

fn read_frame(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut header = [0; 2];
    socket.read_exact(&mut header)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(header))];
    socket.read_exact(&mut message)?;
    Ok(message)
}

#[test]
fn every_request_is_answered_and_every_effect_is_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.ledger");
    let configs = vec![config("bank", Some(path.clone())), config("momo", None)];
    let host = IssuerHost::start(configs, Clock::start()).unwrap();
    let mut socket = connect(&host, 0);
    // Split in the middle of frames, and many at once.
    let bytes: Vec<u8> = (1..=50).flat_map(frame).collect();
    for piece in bytes.chunks(777) {
        socket.write_all(piece).unwrap();
    }
    for _ in 1..=50 {
        assert_eq!(&read_frame(&mut socket).unwrap()[..4], b"0210");
    }
    let stats = host.finish().unwrap();
    assert_eq!(stats[0].0, "bank");
    assert_eq!(stats[0].1.approved, 50);
    assert_eq!(stats[1].1.requests, 0);
    let mut effects = Vec::new();
    Ledger::read_all(&path, |effect: Effect| effects.push(effect)).unwrap();
    assert_eq!(effects.len(), 50);
    assert!(effects.iter().all(|one| one.kind == EffectKind::Approve));
}

#[test]
fn connections_are_closed_on_demand_and_refused_while_asked() {
    let host = IssuerHost::start(vec![config("bank", None)], Clock::start()).unwrap();
    let control = host.control(0);
    let mut socket = connect(&host, 0);
    socket.write_all(&frame(1)).unwrap();
    read_frame(&mut socket).unwrap();
    control.refuse_connections(true);
    control.disconnect();
    assert!(read_frame(&mut socket).is_err(), "the connection is closed");
    let mut refused = connect(&host, 0);
    assert!(read_frame(&mut refused).is_err(), "a new one too");
    control.refuse_connections(false);
    let mut again = connect(&host, 0);
    again.write_all(&frame(2)).unwrap();
    read_frame(&mut again).unwrap();
    assert_eq!(host.finish().unwrap()[0].1.requests, 2);
}

#[test]
fn a_frame_that_lies_about_its_length_closes_its_connection_only() {
    let host = IssuerHost::start(vec![config("bank", None)], Clock::start()).unwrap();
    let mut liar = connect(&host, 0);
    let mut honest = connect(&host, 0);
    liar.write_all(&[0xFF, 0xFF, 0x30]).unwrap();
    assert!(read_frame(&mut liar).is_err());
    honest.write_all(&frame(1)).unwrap();
    read_frame(&mut honest).unwrap();
    host.finish().unwrap();
}
