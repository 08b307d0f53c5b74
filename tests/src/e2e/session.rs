//! An acquirer by hand: one blocking connection.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use iso8583::header::{HeaderBytes, Stripped};
use iso8583::mac::{self, MacEngine};
use iso8583::{Dialect, FieldIndex, MessageRef, Mti, Writer};
use rustix::net::sockopt::set_socket_recv_buffer_size;

/// One connection to the switch.
#[derive(Debug)]
pub struct Session {
    stream: TcpStream,
    header: HeaderBytes,
}

/// A received message, owned.
#[derive(Debug)]
pub struct Received {
    bytes: Vec<u8>,
    index: FieldIndex,
}

impl Received {
    /// What was sent, in the dialect iso87-ascii.
    ///
    /// # Panics
    /// It is no message.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut index = FieldIndex::new();
        let parsed = Dialect::ISO87_ASCII.parse(bytes, &mut index);
        parsed.expect("it is a message");
        Self {
            bytes: bytes.to_vec(),
            index,
        }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> MessageRef<'_> {
        MessageRef::new(&self.bytes, &self.index)
    }

    /// A field as text; empty when absent.
    #[must_use]
    pub fn text(&self, number: u8) -> String {
        let mut scratch = [0; 999];
        let text = self.message().decode(number, &mut scratch);
        String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
    }

    /// The MTI as text.
    #[must_use]
    pub fn mti(&self) -> String {
        String::from_utf8_lossy(self.message().mti().as_bytes()).into_owned()
    }
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(listener: &str) -> Result<Self> {
        Self::over(TcpStream::connect(listener)?)
    }

    /// One that stands, whoever connected it.
    ///
    /// # Errors
    /// It is gone.
    pub fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self {
            stream,
            header: HeaderBytes::NONE,
        })
    }

    /// Lets the kernel hold little of what is sent here, so that who does not read is felt soon.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn read_little(&self) -> Result<()> {
        set_socket_recv_buffer_size(&self.stream, 64 * 1024)?;
        Ok(())
    }

    /// From here on each message is sent behind this header, and each answer must have it turned
    /// round.
    pub fn speak_behind(&mut self, header: HeaderBytes) {
        self.header = header;
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)?;
        Ok(())
    }

    /// Sends one message behind its length and the session's header.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        self.send_raw(&framed(&headed(self.header, message)))
    }

    /// Reads one message.
    ///
    /// # Errors
    /// The switch closed the connection, or sent what is no message or has another header.
    pub fn receive(&mut self) -> Result<Received> {
        self.receive_in(Dialect::ISO87_ASCII)
    }

    /// As [`Session::receive`], of a listener of another dialect.
    ///
    /// # Errors
    /// As [`Session::receive`].
    pub fn receive_in(&mut self, dialect: &'static Dialect) -> Result<Received> {
        let mut len = [0; 2];
        self.stream.read_exact(&mut len)?;
        let mut frame = vec![0; usize::from(u16::from_be_bytes(len))];
        self.stream.read_exact(&mut frame)?;
        let form = self.header.form();
        let bytes = match form.strip(&frame) {
            Ok(Stripped::Message { header, message }) if header == self.header.reply() => message,
            Ok(_) | Err(_) => bail!("the switch answers behind another header than `{form}` back"),
        };
        let bytes = bytes.to_vec();
        let mut index = FieldIndex::new();
        dialect
            .parse(&bytes, &mut index)
            .context("the switch sends messages")?;
        Ok(Received { bytes, index })
    }

    /// Whether something has come that was not read.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn has_more(&self) -> Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0; 1]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a byte `every` so often until the switch closes the connection; how many it took.
    ///
    /// # Errors
    /// It answers.
    pub fn drip(&mut self, byte: u8, every: Duration) -> Result<u32> {
        self.stream.set_read_timeout(Some(every))?;
        for sent in 0.. {
            let mut answer = [0; 1];
            match self.stream.read(&mut answer) {
                Ok(0) => return Ok(sent),
                Ok(_) => bail!("the switch answered"),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if self.stream.write_all(&[byte]).is_err() {
                return Ok(sent);
            }
        }
        bail!("the switch bears it for ever")
    }

    /// Waits until the switch closes the connection without sending anything.
    ///
    /// # Errors
    /// It sends something, or does not close within 60 s.
    pub fn is_closed(&mut self) -> Result<()> {
        let mut byte = [0; 1];
        match self.stream.read(&mut byte) {
            Ok(0) => Ok(()),
            Ok(_) => bail!("the switch answered"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A message with its MAC.
///
/// # Panics
/// It is none, or has one.
#[must_use]
pub fn authenticated(dialect: &'static Dialect, message: &[u8], key: &impl MacEngine) -> Vec<u8> {
    let mut out = [message, &[0; 2 * mac::MAC_LEN]].concat();
    let len = mac::append(dialect, key, &mut out, message.len());
    out.truncate(len.expect("the message can have a MAC"));
    out
}

/// A message behind a header.
///
/// # Panics
/// The message is longer than the header can say.
#[must_use]
pub fn headed(header: HeaderBytes, message: &[u8]) -> Vec<u8> {
    let mut content = vec![0; header.as_bytes().len()];
    let put = header.put(&mut content, message.len());
    put.expect("the header can say how long the message is");
    content.extend_from_slice(message);
    content
}

/// A message behind its two-byte length.
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes(), message].concat()
}

/// A message of these fields, ascending.
///
/// # Panics
/// A field does not fit the dialect.
#[must_use]
pub fn message(mti: [u8; 4], fields: &[(u8, &str)]) -> Vec<u8> {
    let mut out = vec![0; 2048];
    let mti = Mti::new(mti).expect("four digits");
    let mut writer = Writer::new(Dialect::ISO87_ASCII, mti, &mut out);
    for (number, value) in fields {
        writer
            .put(*number, value.as_bytes())
            .expect("the field fits the dialect");
    }
    let len = writer.finish().expect("the message fits the buffer");
    out.truncate(len);
    out
}

/// A good purchase of today's DE7, so that the duplicate window takes it.
#[must_use]
pub fn purchase(stan: &str) -> Vec<u8> {
    purchase_without(stan, 0)
}

/// The same with further fields, which come behind its own.
///
/// # Panics
/// A field does not fit the dialect.
#[must_use]
pub fn purchase_and(stan: &str, fields: &[(u8, &[u8])]) -> Vec<u8> {
    let purchase = purchase(stan);
    let mut index = FieldIndex::new();
    let dialect = Dialect::ISO87_ASCII;
    dialect.parse(&purchase, &mut index).expect("it is good");
    let message = MessageRef::new(&purchase, &index);
    let mut out = vec![0; 2048];
    let mut writer = Writer::new(dialect, message.mti(), &mut out);
    writer.copy_up_to(u8::MAX, message).expect("there is room");
    for (number, value) in fields {
        writer.put(*number, value).expect("it fits the dialect");
    }
    let len = writer.finish().expect("there is room");
    out.truncate(len);
    out
}

/// The same without one field.
#[must_use]
pub fn purchase_without(stan: &str, field: u8) -> Vec<u8> {
    let clock = loadgen::clock::Clock::start();
    let at = domain::time::TransmissionTime::at(clock.wall(clock.now()));
    let transmitted = String::from_utf8_lossy(&at.digits()).into_owned();
    let rrn = format!("000000{stan}");
    let fields = [
        (2, "5061001234567890"),
        (3, "000000"),
        (4, "000000001500"),
        (7, transmitted.as_str()),
        (11, stan),
        (12, "120000"),
        (13, "0101"),
        (22, "051"),
        (32, "628123"),
        (37, rrn.as_str()),
        (41, "TERM0001"),
        (42, "MERCHANT0000001"),
        (49, "404"),
    ];
    let kept: Vec<(u8, &str)> = fields
        .into_iter()
        .filter(|(number, _)| *number != field)
        .collect();
    message(*b"0200", &kept)
}
