//! What a value may be, in the letters of whoever draws it, and a random one of them.
//!
//! The drivers in `tests/interop/` are told the same shapes and draw by the same rules.

use iso8583::class::Class;
use iso8583::field::{Encoding, FieldSpec, Length};
use njia_tests::simulation::Random;
use serde_json::{Value, json};

/// The values of one field.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What it is made of; all of Latin-1 for bytes.
    pub letters: Vec<char>,
    /// Letters of the shortest value, what it starts with not counted.
    pub least: usize,
    /// Letters of the longest one.
    pub most: usize,
    /// The number of letters is a multiple of it.
    pub step: usize,
    /// One of them stands before the letters, if there are any.
    pub starts: Vec<String>,
    /// May stand in the place of the last letter.
    pub end: Option<char>,
    /// The places of a date or time: `MMDDhhmmss`. Empty where there is none.
    pub date: &'static str,
}

/// Values of variable length are no longer, so that messages stay far below 65,535 bytes.
const LETTERS_MAX: usize = 1_500;

impl Shape {
    /// The values of a row as the writer takes them.
    pub fn of(row: &FieldSpec) -> Self {
        let (least, most) = match row.length {
            Length::Fixed(len) => (usize::from(len), usize::from(len)),
            Length::Var { .. } => (0, usize::from(row.units_max()).min(LETTERS_MAX)),
        };
        let sign = usize::from(row.class == Class::Xn);
        let starts: &[&str] = if sign == 1 { &["C", "D", "0"] } else { &[] };
        Self {
            letters: letters_of(row),
            least: least.saturating_sub(sign),
            most: most.saturating_sub(sign),
            step: 1,
            starts: starts.iter().map(|start| (*start).to_owned()).collect(),
            end: None,
            date: match row.calendar.is_empty() {
                true => "",
                false => row.calendar.name(),
            },
        }
    }

    /// A value.
    pub fn draw(&self, random: &mut Random) -> String {
        let mut value = String::new();
        if !self.starts.is_empty() {
            value.push_str(&self.starts[below(random, self.starts.len())]);
        }
        if !self.date.is_empty() {
            return value + &date(self.date, random);
        }
        let len = self.len(random);
        value.extend((0..len).map(|_| self.letters[below(random, self.letters.len())]));
        if let Some(end) = self.end
            && len > 0
            && random.below(2) == 0
        {
            value.pop();
            value.push(end);
        }
        value
    }

    /// Mostly short; one in sixteen of any length, one in sixty-four the longest.
    fn len(&self, random: &mut Random) -> usize {
        let most = match random.below(64) {
            0 => self.most,
            1..=4 => self.least + below(random, self.most - self.least + 1),
            _ => self.least + below(random, (self.most - self.least).min(SHORT) + 1),
        };
        most - (most - self.least) % self.step
    }

    /// As the drivers are told of it.
    pub fn to_json(&self) -> Value {
        json!({
            "letters": self.letters.iter().collect::<String>(),
            "least": self.least,
            "most": self.most,
            "step": self.step,
            "starts": self.starts,
            "end": self.end,
            "date": self.date,
        })
    }
}

/// Most values are no longer than their shortest and this.
const SHORT: usize = 24;

/// Below `bound`, which is above zero.
pub fn below(random: &mut Random, bound: usize) -> usize {
    let drawn = random.below(u64::try_from(bound).unwrap());
    usize::try_from(drawn).unwrap()
}

fn letters_of(row: &FieldSpec) -> Vec<char> {
    let printable = ' '..='~';
    match row.class {
        _ if row.is_binary() => ('\0'..='\u{FF}').collect(),
        Class::B => ('\0'..='\u{FF}').collect(),
        Class::N | Class::Xn => ('0'..='9').collect(),
        Class::A => printable
            .filter(|letter| letter.is_ascii_alphabetic() || *letter == ' ')
            .collect(),
        Class::An => printable
            .filter(|letter| letter.is_ascii_alphanumeric() || *letter == ' ')
            .collect(),
        Class::Ns => printable
            .filter(|letter| !letter.is_ascii_alphabetic())
            .collect(),
        Class::Ans => printable.collect(),
        // Packed, both separators are one nibble, which is read as the first of them.
        Class::Z if matches!(row.encoding, Encoding::Packed(..)) => {
            ('0'..='9').chain(['=']).collect()
        }
        Class::Z => ('0'..='9').chain(['=', 'D']).collect(),
    }
}

/// Digits at the places that a format names. Day 28 is in every month.
fn date(format: &str, random: &mut Random) -> String {
    let places = format.as_bytes().chunks(2);
    let number = |place: &[u8]| match place {
        b"YY" => random.below(100),
        b"MM" => random.between(1, 13),
        b"DD" => random.between(1, 29),
        b"hh" => random.below(24),
        b"mm" | b"ss" => random.below(60),
        other => panic!("no such place in a date: {other:?}"),
    };
    places
        .map(number)
        .map(|number| format!("{number:02}"))
        .collect()
}
