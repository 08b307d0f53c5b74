//! An issuer of a few lines whose messages carry MACs: it approves everything and keeps what it was
//! sent. The simulated issuers of the load generator know no MACs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use domain::ResponseCode;
use domain::request::Answer;
use iso8583::header::{Header, Stripped};
use iso8583::mac::{self, MacEngine};
use iso8583::mti::Class;
use iso8583::{Dialect, FieldIndex, MessageRef, translate};

use super::session::{framed, headed};

/// What the answers to requests and reversals carry; those to network messages are always right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerMac {
    /// A MAC under the right key.
    Right,
    /// A MAC with one wrong bit.
    Wrong,
    /// No MAC.
    Missing,
}

/// A message that the bank was sent.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Four digits.
    pub mti: String,
    /// DE11.
    pub stan: String,
    /// What its MAC was found to be.
    pub is_authentic: bool,
}

/// The issuer. Its threads end with the process.
#[derive(Debug)]
pub struct Bank {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    answers: Mutex<AnswerMac>,
}

/// How the bank speaks.
struct Speech<E> {
    header: Header,
    receive: E,
    send: E,
}

impl Bank {
    /// Listens on a free port. Each message stands behind a header of this form.
    ///
    /// # Errors
    /// No address could be bound.
    pub fn start<E>(header: Header, receive: E, send: E) -> Result<Self>
    where
        E: MacEngine + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let bank = Self {
            address: listener.local_addr()?,
            shared: Arc::new(Shared {
                asked: Mutex::new(Vec::new()),
                answers: Mutex::new(AnswerMac::Right),
            }),
        };
        let shared = Arc::clone(&bank.shared);
        let speech = Arc::new(Speech {
            header,
            receive,
            send,
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (speech, shared) = (Arc::clone(&speech), Arc::clone(&shared));
                std::thread::spawn(move || shared.serve(&speech, stream));
            }
        });
        Ok(bank)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its answers carry from here on.
    pub fn answer_with(&self, mac: AnswerMac) {
        *held(&self.shared.answers) = mac;
    }

    /// What it was sent with this MTI.
    #[must_use]
    pub fn asked(&self, mti: &str) -> Vec<Asked> {
        let asked = held(&self.shared.asked);
        asked
            .iter()
            .filter(|asked| asked.mti == mti)
            .cloned()
            .collect()
    }

    /// Whether all that it was sent had the MAC that it should have.
    #[must_use]
    pub fn trusts_all(&self) -> bool {
        held(&self.shared.asked)
            .iter()
            .all(|asked| asked.is_authentic)
    }
}

impl Shared {
    /// One link, until it ends.
    fn serve(&self, speech: &Speech<impl MacEngine>, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut len = [0; 2];
            stream.read_exact(&mut len).ok()?;
            let mut frame = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut frame).ok()?;
            let Ok(Stripped::Message { header, message }) = speech.header.strip(&frame) else {
                return None;
            };
            let mut index = FieldIndex::new();
            Dialect::ISO87_ASCII.parse(message, &mut index).ok()?;
            let message = MessageRef::new(message, &index);
            self.note(message, mac::verify(message, &speech.receive).is_ok());
            let answer = headed(header.reply(), &self.answer(message, &speech.send)?);
            stream.write_all(&framed(&answer)).ok()?;
        }
    }

    fn note(&self, message: MessageRef<'_>, is_authentic: bool) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        held(&self.asked).push(Asked {
            mti: text(message.mti().as_bytes()),
            stan: text(message.field(11).unwrap_or_default()),
            is_authentic,
        });
    }

    fn answer(&self, message: MessageRef<'_>, key: &impl MacEngine) -> Option<Vec<u8>> {
        let dialect = Dialect::ISO87_ASCII;
        let mut out = vec![0; 2048];
        let is_network = message.mti().class() == Class::Network;
        let len = if is_network {
            translate::write_network_answer(dialect, message, &mut out)
        } else {
            let approved = Answer::of(ResponseCode::APPROVED);
            translate::write_answer(dialect, message, &approved, &mut out)
        };
        let len = len.ok()?;
        let carried = if is_network {
            AnswerMac::Right
        } else {
            *held(&self.answers)
        };
        let len = match carried {
            AnswerMac::Missing => len,
            AnswerMac::Right | AnswerMac::Wrong => mac::append(dialect, key, &mut out, len).ok()?,
        };
        out.truncate(len);
        if carried == AnswerMac::Wrong {
            *out.last_mut()? ^= 1;
        }
        Some(out)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
