//! A dialect as an outside library is told of it: which rows take part, and how the library shows
//! their values.

use std::collections::BTreeMap;

use iso8583::charset::Charset;
use iso8583::dialect::{Form, MtiForm};
use iso8583::frame::FrameStep;
use iso8583::{Dialect, FieldIndex, Framing, MessageRef, Mti, Writer};
use njia_tests::simulation::Random;
use serde_json::{Map, Value, json};

use crate::draw::{Shape, below};
use crate::shown::Shown;

/// A dialect, with what both sides do of it.
#[derive(Debug)]
pub struct Told {
    pub dialect: &'static Dialect,
    /// What the driver gives to its library.
    pub spec: Value,
    pub shared: Vec<Shared>,
    pub left_out: Vec<LeftOut>,
    /// Message types that the library takes; empty: all.
    pub mtis: &'static [&'static str],
    /// Whether the library always writes the secondary bitmap: then each message has a field there.
    pub needs_secondary: bool,
    /// How the library delimits messages, if it does.
    pub framing: Option<Framing>,
}

/// A row that takes part.
#[derive(Debug)]
pub struct Shared {
    pub number: u8,
    /// Our values.
    pub shape: Shape,
    pub shown: Shown,
}

/// A row that does not.
#[derive(Debug)]
pub struct LeftOut {
    pub number: u8,
    pub reason: &'static str,
}

/// What a message says, in the library's form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub mti: String,
    pub values: BTreeMap<u8, String>,
}

/// In which characters a dialect is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    Ascii,
    Bcd,
    Ebcdic,
}

impl Family {
    pub fn of(form: Form) -> Self {
        match form.mti {
            MtiForm::Packed => Self::Bcd,
            MtiForm::Text(Charset::Ascii) | MtiForm::None => Self::Ascii,
            MtiForm::Text(_) => Self::Ebcdic,
        }
    }
}

impl Told {
    /// What the driver is told before all else.
    pub fn begin(&self) -> Value {
        let rows = self.shared.iter().map(|row| {
            let shape = row.shown.shape(&row.shape);
            (row.number.to_string(), shape.to_json())
        });
        json!({
            "do": "begin",
            "spec": self.spec,
            "rows": rows.collect::<Map<_, _>>(),
            "mtis": self.mtis,
        })
    }

    /// A random message: its bytes, and what it says.
    pub fn draw(&self, random: &mut Random) -> (Vec<u8>, Content) {
        let mti = if self.mtis.is_empty() {
            format!("{:04}", random.below(10_000))
        } else {
            self.mtis[below(random, self.mtis.len())].to_owned()
        };
        // From hardly any field to every fourth one.
        let chance = random.between(10, 250);
        let rows = self.shared.iter();
        let mut chosen: Vec<&Shared> = rows.filter(|_| random.permille(chance)).collect();
        if self.needs_secondary && chosen.last().is_none_or(|row| row.number <= 64) {
            let above: Vec<_> = self.shared.iter().filter(|row| row.number > 64).collect();
            chosen.push(above[below(random, above.len())]);
        }
        let mut values = BTreeMap::new();
        let mut shown = BTreeMap::new();
        for row in chosen {
            let text = row.shape.draw(random);
            let value: Vec<u8> = text.chars().map(latin).collect();
            shown.insert(row.number, row.shown.show(&value));
            values.insert(row.number, value);
        }
        let content = Content { mti, values: shown };
        let bytes = self.write(&content.mti, &values).unwrap();
        (bytes, content)
    }

    /// The message with these values, in the library's frame.
    ///
    /// # Errors
    /// Our writer refuses it.
    pub fn write(&self, mti: &str, values: &BTreeMap<u8, Vec<u8>>) -> Result<Vec<u8>, String> {
        let mut out = vec![0; usize::from(u16::MAX) + 2];
        let header = self.framing.map_or(0, Framing::header_len);
        let mti = Mti::new(mti.as_bytes().try_into().unwrap()).unwrap();
        let mut writer = Writer::new(self.dialect, mti, &mut out[header..]);
        for (number, value) in values {
            let put = writer.put(*number, value);
            put.map_err(|error| format!("we do not write it: {error}"))?;
        }
        let mut len = writer.finish().unwrap();
        if let Some(framing) = self.framing {
            len = framing.enclose(&mut out, len).unwrap();
        }
        out.truncate(len);
        Ok(out)
    }

    /// What a message says, and its bytes when we write that again.
    ///
    /// # Errors
    /// We do not read it, or do not write it again.
    pub fn read(&self, frame: &[u8]) -> Result<(Content, Vec<u8>), String> {
        let bytes = match self
            .framing
            .map(|framing| framing.split(frame, frame.len()))
        {
            Some(FrameStep::Frame { header, len, .. }) if header + len == frame.len() => {
                &frame[header..]
            }
            None => frame,
            other => return Err(format!("its frame is {other:?}")),
        };
        let mut index = FieldIndex::new();
        let parsed = self.dialect.parse(bytes, &mut index);
        parsed.map_err(|error| format!("we do not read it: {error}"))?;
        let message = MessageRef::new(bytes, &index);
        if !message.wrong_padding().is_empty() {
            return Err(format!("padding of {:?}", message.wrong_padding()));
        }
        let mti = message.mti().to_string();
        let mut values = BTreeMap::new();
        let mut shown = BTreeMap::new();
        let mut scratch = vec![0; usize::from(u16::MAX)];
        for number in message.present() {
            let row = self.shared.iter().find(|row| row.number == number);
            let row = row.ok_or_else(|| format!("field {number} takes no part"))?;
            let value = message.decode(number, &mut scratch).unwrap();
            shown.insert(number, row.shown.show(value));
            values.insert(number, value.to_vec());
        }
        let again = self.write(&mti, &values)?;
        Ok((Content { mti, values: shown }, again))
    }
}

fn latin(letter: char) -> u8 {
    u8::try_from(u32::from(letter)).unwrap()
}
