//! `njia inspect message`: what a message says, masked; of a bad one what can be read and where it
//! stops.

use std::io::{BufWriter, Write};

use clap::Args;
use iso8583::bitmap::Bitmap;
use iso8583::{Dialect, Framing, Header, Mti};

use super::super::CliError;
use super::frames::{Content, Wire};
use super::{input, json, pretty};
use crate::config::{dialects, wire};

#[derive(Debug, Args)]
pub(crate) struct Message {
    /// A built-in dialect, or FILE.toml, or FILE.toml:NAME; see `njia inspect dialect`.
    #[arg(long, value_name = "NAME", default_value = "iso87-ascii")]
    dialect: String,
    /// How frames are delimited, as in a configuration; several frames may follow one another.
    #[arg(long, value_name = "NAME", default_value = "none")]
    framing: String,
    /// What stands before the message in its frame: none, tpdu, base1, base24, fixedN.
    #[arg(long, value_name = "NAME", default_value = "none")]
    header: String,
    /// Prints one JSON object a line for each message.
    #[arg(long)]
    json: bool,
    /// Takes a file or standard input as bytes, whatever it looks like.
    #[arg(long)]
    raw: bool,
    /// Hexadecimal digits, a file, or - for standard input.
    // As many as there are: clap would repeat the one that is too many, which may be card data.
    #[arg(value_name = "HEX|FILE|-", required = true)]
    input: Vec<String>,
}

impl Message {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), CliError> {
        let dialect = dialect(&self.dialect).map_err(CliError::Usage)?;
        let wire = Wire {
            framing: framing(&self.framing).map_err(CliError::Usage)?,
            header: header(&self.header).map_err(CliError::Usage)?,
        };
        let stream = input::read(&self.input.join(" "), self.raw)?;
        let out = &mut BufWriter::new(out);
        let mut is_empty = true;
        let (mut all, mut bad) = (0, 0);
        for piece in wire.cut(&stream.bytes) {
            is_empty = false;
            let is_good = if self.json {
                json::write(&piece, wire, dialect, out)?
            } else {
                pretty::write(&piece, wire, dialect, out)?
            };
            if !matches!(piece.content, Content::KeepAlive) {
                all += 1;
                bad += u32::from(!is_good);
            }
        }
        out.flush()?;
        match stream.odd_digits {
            _ if is_empty => Err(CliError::Input("the input is empty".to_owned())),
            _ if bad == 0 => Ok(()),
            Some(count) => Err(CliError::Input(format!(
                "the {count} hexadecimal digits of the input were read as bytes: two make a byte"
            ))),
            None => Err(CliError::Unreadable { bad, all }),
        }
    }
}

/// What a message of a type must have and does not, by the requirements of its dialect.
pub(super) fn missing(dialect: &Dialect, mti: Mti, mut present: Bitmap) -> Vec<u8> {
    let mut missing = Vec::new();
    for row in dialect.requirements() {
        while let Some(number) = row.missing(mti, present) {
            missing.push(number);
            present = present.with(number);
        }
    }
    missing
}

/// The dialect that an argument means; else every fault of it, a line each.
pub(super) fn dialect(text: &str) -> Result<&'static Dialect, String> {
    dialects::find(text).map_err(|errors| {
        let told: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
        told.join("\n")
    })
}

fn framing(text: &str) -> Result<Option<Framing>, String> {
    if text == "none" {
        return Ok(None);
    }
    let told = |fault| format!("--framing {fault}");
    wire::framing(text).map(Some).map_err(told)
}

fn header(text: &str) -> Result<Header, String> {
    wire::header(text).map_err(|fault| format!("--header {fault}"))
}

pub(crate) const EXAMPLES: &str = "Examples:
  njia inspect message 3038303080200000000000000400000000000000303030303432333031
  njia inspect message --dialect iso87-ascii-hex --framing be16 captured.bin
  head -c 500 captured.bin | njia inspect message --framing be16 --header tpdu --json -

The argument is hexadecimal digits if it has nothing else; spaces, newlines, colons and 0x between
them do not count, and they may be several arguments. A file, and standard input, is read in the
same way by its content: if it is an even number of hexadecimal digits and nothing else it names
bytes, otherwise it is the bytes. A message of digits alone in ASCII looks like that too: then say
--raw. Arguments are seen by whoever lists processes: messages with real cards are for a file or -.

Account numbers are shown as first six and last four digits, authentication data never. In a message
with a fault, values that could be card data are hidden as well.

Exit codes: 0 every message can be read, 1 one of them or the input cannot, 2 usage: that of the
arguments, or of the dialect file that they name.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_exist_are_told_with_the_nearest() {
        for (told, expected) in [
            (
                framing("be6").unwrap_err(),
                "--framing names `be6`, which does not exist; did you mean `be16`?",
            ),
            (
                header("tpud").unwrap_err(),
                "--header names `tpud`, which does not exist; did you mean `tpdu`?",
            ),
            (
                header("fixed99").unwrap_err(),
                "--header takes 1 to 32 bytes, as `fixed12`; there is no `fixed99`",
            ),
            (
                dialect("iso87-asci").unwrap_err(),
                "iso87-asci: is no dialect and no file; did you mean `iso87-ascii`?",
            ),
        ] {
            assert_eq!(told, expected);
        }
        assert!(framing("none").unwrap().is_none());
        assert_eq!(header("fixed7").unwrap(), Header::Fixed(7));
    }
}
