//! One purchase sent by hand: request and answer printed, masked.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::time::digits_of;
use iso8583::frame::FrameStep;
use iso8583::{FieldIndex, MessageRef, describe};

use crate::clock::Clock;
use crate::message::FRAME_LEN_MAX;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::target::Target;
use crate::traffic::Traffic;
use crate::units::show_duration;

/// Sends one purchase and waits for its answer; gives back what to print.
///
/// # Errors
/// The target cannot be reached, does not answer in time, or answers what cannot be read.
pub fn send(target: &Target, amount_minor: u64, timeout: Duration, clock: Clock) -> Result<String> {
    let frame = purchase(target, amount_minor, clock)?;
    let mut shown = String::new();
    let end = frame.len() - target.wire.framing.trailer_len();
    let request = frame.get(target.wire.message_at()..end);
    let request = request.unwrap_or_default();
    writeln!(shown, "{}\n", described(target, request)?)?;
    let begin = clock.now();
    let answer = exchange(target, &frame, timeout)?;
    let elapsed = clock.now().since(begin);
    writeln!(shown, "{}\n", described(target, &answer)?)?;
    writeln!(shown, "answered in {}", show_duration(elapsed))?;
    Ok(shown)
}

/// The hexadecimal form of a purchase with its frame, to be sent with a one-liner.
///
/// # Errors
/// The message cannot be written.
pub fn hex(target: &Target, amount_minor: u64, clock: Clock) -> Result<String> {
    let frame = purchase(target, amount_minor, clock)?;
    let mut digits = String::with_capacity(frame.len() * 2);
    for byte in frame {
        write!(digits, "{byte:02x}")?;
    }
    Ok(digits)
}

/// A keyed purchase of the built-in scenario, without chip and track, at a terminal of its own.
fn purchase(target: &Target, amount_minor: u64, clock: Clock) -> Result<Vec<u8>> {
    let now = clock.now();
    let wall = clock.wall(now);
    // Another message at every call: a copy would get the first one's answer.
    let seed = wall.unix_millis();
    let scenario = Arc::new(Scenario::built_in()?);
    let mut drawn = Traffic::new(scenario, 0, 1, seed)
        .draw(wall)
        .context("the built-in scenario draws nothing")?;
    let draft = &mut drawn.draft;
    draft.mti = iso8583::Mti::FINANCIAL_REQUEST;
    draft.chip = None;
    draft.track2 = false;
    draft.echo.processing_code = *b"000000";
    draft.echo.amount = digits_of(amount_minor);
    draft.echo.currency = *b"404";
    let number = Random::new(seed).below(999_999);
    draft.echo.terminal = *b"KE000000";
    let digits: [u8; 6] = digits_of(u64::from(number));
    for (slot, digit) in draft.echo.terminal.iter_mut().skip(2).zip(digits) {
        *slot = digit;
    }
    let mut frame = Vec::new();
    draft.write(target.wire, &mut frame)?;
    Ok(frame)
}

fn exchange(target: &Target, frame: &[u8], timeout: Duration) -> Result<Vec<u8>> {
    let mut socket = TcpStream::connect_timeout(&target.address, timeout)
        .with_context(|| format!("{} cannot be reached", target.address))?;
    socket.set_read_timeout(Some(timeout))?;
    socket.write_all(frame)?;
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match target.wire.framing.split(&received, FRAME_LEN_MAX) {
            FrameStep::Frame { header, len, .. } => {
                let held = received.get(header..header + len).unwrap_or_default();
                let (_, message) = target
                    .wire
                    .open(held)
                    .context("the answer's header is of another form")?;
                return Ok(message.to_vec());
            }
            FrameStep::KeepAlive { consumed } => {
                received.drain(..consumed);
            }
            FrameStep::Refused(error) => bail!("the answer's frame: {error}"),
            FrameStep::NeedMore { .. } => {
                let read = match socket.read(&mut chunk) {
                    Err(error) if is_timeout(&error) => bail!("no answer within the timeout"),
                    read => read.context("the answer cannot be read")?,
                };
                if read == 0 {
                    bail!("the target closed the connection without an answer");
                }
                received.extend_from_slice(chunk.get(..read).unwrap_or_default());
            }
        }
    }
}

fn described(target: &Target, message: &[u8]) -> Result<String> {
    let mut index = FieldIndex::new();
    target
        .wire
        .dialect
        .parse(message, &mut index)
        .context("the message cannot be read")?;
    Ok(describe::describe(MessageRef::new(message, &index)).to_string())
}

/// A read that ran into its timeout is told as either, by the platform.
fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::{Behaviour, IssuerConfig, IssuerHost, Speaks};

    #[test]
    fn a_purchase_by_hand_is_shown_masked_with_its_answer() {
        let local = Target::plain(([127, 0, 0, 1], 0).into());
        let config = IssuerConfig {
            name: "switch".to_owned(),
            listen: local.address,
            speaks: Speaks::Iso {
                wire: local.wire,
                sign_on: false,
            },
            behaviour: Behaviour::faithful(Duration::from_millis(1)),
            faults: Vec::new(),
            ledger: None,
            tls: None,
            seed: 1,
        };
        let clock = Clock::start();
        let host = IssuerHost::start(vec![config], clock).unwrap();
        let target = Target::plain(host.address(0));
        let shown = send(&target, 15_000, Duration::from_secs(5), clock).unwrap();
        assert!(
            shown.contains("MTI 0200") && shown.contains("MTI 0210"),
            "{shown}"
        );
        assert!(shown.contains("000000015000"));
        assert!(shown.contains("******"), "the account is masked");
        let digits = hex(&target, 100, clock).unwrap();
        assert!(digits.len() > 200 && digits.is_ascii());
        host.finish().unwrap();
    }
}
