//! An issuer by hand: the test itself reads what the switch sends on each link, and says what comes
//! back and when.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domain::ResponseCode;
use domain::request::Answer;
use iso8583::{Dialect, Writer, translate};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::eventually;
use super::session::{Received, Session, message};

/// Where the switch connects to.
#[derive(Debug)]
pub struct Desk {
    listener: TcpListener,
}

impl Desk {
    /// Listens on a free port.
    ///
    /// # Errors
    /// No address could be bound.
    pub fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        // Who does not read is felt soon.
        set_socket_recv_buffer_size(&listener, 64 * 1024)?;
        Ok(Self { listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The socket does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// The next link that connects.
    ///
    /// # Errors
    /// None does within 60 s.
    pub fn link(&self) -> Result<Session> {
        let mut found = None;
        eventually(Duration::from_secs(60), || {
            found = self.listener.accept().ok();
            found.is_some()
        });
        let (stream, _) = found.context("no link connects")?;
        stream.set_nonblocking(false)?;
        Session::over(stream)
    }

    /// Whoever has connected and was not seen to is gone.
    ///
    /// # Errors
    /// The socket does not say.
    pub fn forget(&self) -> Result<()> {
        loop {
            match self.listener.accept() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next link that connects, signed on.
    ///
    /// # Errors
    /// None does within 60 s, or it says something else first.
    pub fn signed_on(&self) -> Result<Session> {
        let mut link = self.link()?;
        let sign_on = link.receive()?;
        ensure!(sign_on.mti() == "0800" && sign_on.text(70) == "001");
        link.send(&accepted(&sign_on))?;
        Ok(link)
    }
}

/// The answer 00 to a network message.
///
/// # Panics
/// It is none.
#[must_use]
pub fn accepted(request: &Received) -> Vec<u8> {
    let mut out = vec![0; 512];
    let message = request.message();
    let len = translate::write_network_answer(message.dialect(), message, &mut out);
    out.truncate(len.expect("a network message has an answer"));
    out
}

/// The answer to a request or a reversal.
///
/// # Panics
/// It has none.
#[must_use]
pub fn answered(request: &Received, code: &str) -> Vec<u8> {
    let mut out = vec![0; 2048];
    let message = request.message();
    let answer = Answer::of(ResponseCode::new(code.as_bytes()).expect("two characters"));
    let len = translate::write_answer(message.dialect(), message, &answer, &mut out);
    out.truncate(len.expect("it has an answer"));
    out
}

/// The same message without one field.
///
/// # Panics
/// It is no message.
#[must_use]
pub fn without(message: &[u8], field: u8) -> Vec<u8> {
    let dialect = Dialect::ISO87_ASCII;
    let mut index = iso8583::FieldIndex::new();
    dialect.parse(message, &mut index).expect("it is a message");
    let view = iso8583::MessageRef::new(message, &index);
    let mut out = vec![0; 2048];
    let mut writer = Writer::new(dialect, view.mti(), &mut out);
    for number in view.present().iter().filter(|number| *number != field) {
        writer.copy(number, view).expect("it fits");
    }
    let len = writer.finish().expect("there is room");
    out.truncate(len);
    out
}

/// The same message with another value in one field.
///
/// # Panics
/// It is no message, or the value does not fit.
#[must_use]
pub fn with_field(message: &[u8], field: u8, value: &str) -> Vec<u8> {
    let dialect = Dialect::ISO87_ASCII;
    let mut index = iso8583::FieldIndex::new();
    dialect.parse(message, &mut index).expect("it is a message");
    let view = iso8583::MessageRef::new(message, &index);
    let mut out = vec![0; 2048];
    let mut writer = Writer::new(dialect, view.mti(), &mut out);
    for number in view.present().with(field) {
        if number == field {
            writer.put(number, value.as_bytes()).expect("it fits");
        } else {
            writer.copy(number, view).expect("it fits");
        }
    }
    let len = writer.finish().expect("there is room");
    out.truncate(len);
    out
}

/// Asks the switch something on a link or a session; DE39 of its answer, which echoes what it must.
///
/// # Panics
/// It does not answer so.
#[track_caller]
pub fn said(connection: &mut Session, code: &str, more: &[(u8, &str)]) -> String {
    let mut fields = vec![(7, "0601120000"), (11, "000042"), (70, code)];
    fields.extend(more);
    fields.sort_unstable();
    connection.send(&message(*b"0800", &fields)).unwrap();
    let answer = connection.receive().unwrap();
    let echoed = (
        answer.mti(),
        answer.text(7),
        answer.text(11),
        answer.text(70),
    );
    let expected = ("0810", "0601120000", "000042", code);
    assert_eq!(echoed, expected_of(expected));
    answer.text(39)
}

fn expected_of(text: (&str, &str, &str, &str)) -> (String, String, String, String) {
    (
        text.0.to_owned(),
        text.1.to_owned(),
        text.2.to_owned(),
        text.3.to_owned(),
    )
}
