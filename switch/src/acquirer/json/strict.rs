//! JSON as this API takes it: a tree, with what `serde_json` would let pass refused.
//!
//! Refused: a key twice in one object, at every depth; more than [`DEPTH_MAX`] levels; bytes after
//! the end; a byte order mark; what is no UTF-8. A number that is no whole one becomes
//! [`Node::Fraction`], so that whoever reads the field can name it: no float is ever computed with.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value. Texts without an escape are those of the body.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    Null,
    Boolean,
    /// A whole number from 0.
    Whole(u64),
    /// Any other number: negative, with a fraction or an exponent, or larger than 64 bits.
    Fraction,
    Text(Cow<'a, str>),
    List(Vec<Self>),
    /// In the order of the text; no key stands twice.
    Object(Vec<Entry<'a>>),
}

/// A field of an object.
pub(crate) type Entry<'a> = (Cow<'a, str>, Node<'a>);

/// Says which kind it is and never what it holds: it may be an account.
impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Whole(_) => "a whole number",
            Self::Fraction => "a number that is not whole",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        })
    }
}

/// Why a body is no such JSON. None of them repeats what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    Syntax,
    TooDeep,
    KeyTwice,
}

impl Malformed {
    /// For people.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Syntax => "the body is not one JSON value in UTF-8",
            Self::TooDeep => "the body is nested deeper than 16 levels",
            Self::KeyTwice => "an object of the body has the same key twice",
        }
    }
}

/// Reads all of `body`.
///
/// # Errors
/// It is not JSON as this API takes it.
pub(crate) fn read(body: &[u8]) -> Result<Node<'_>, Malformed> {
    let why = Cell::new(Malformed::Syntax);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let seed = Seed {
        why: &why,
        depth_left: DEPTH_MAX,
    };
    let node = seed.deserialize(&mut reader).map_err(|_| why.get())?;
    reader.end().map_err(|_| Malformed::Syntax)?;
    Ok(node)
}

/// Levels of lists and objects.
pub(crate) const DEPTH_MAX: u8 = 16;

#[derive(Clone, Copy)]
struct Seed<'a> {
    why: &'a Cell<Malformed>,
    depth_left: u8,
}

impl Seed<'_> {
    /// For what lies within a list or an object.
    fn below<E: Error>(self) -> Result<Self, E> {
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            return Err(self.refuse(Malformed::TooDeep));
        };
        Ok(Self { depth_left, ..self })
    }

    fn refuse<E: Error>(self, why: Malformed) -> E {
        self.why.set(why);
        E::custom(why.text())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Node<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Node<'de>, E> {
        Ok(Node::Boolean)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node<'de>, E> {
        Ok(Node::Whole(number))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Fraction)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Fraction)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let below = self.below()?;
        let mut entries: Vec<Entry<'de>> = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            let node = map.next_value_seed(below)?;
            entries.push((key, node));
        }
        if has_key_twice(&entries) {
            return Err(self.refuse(Malformed::KeyTwice));
        }
        Ok(Node::Object(entries))
    }
}

/// The few of an honest body are compared with each other; a body of thousands is sorted.
fn has_key_twice(entries: &[Entry<'_>]) -> bool {
    if entries.len() <= FEW {
        let mut all = entries.iter().enumerate();
        return all.any(|(at, (key, _))| entries[..at].iter().any(|(other, _)| other == key));
    }
    let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_ref()).collect();
    keys.sort_unstable();
    keys.array_windows().any(|[one, next]| one == next)
}

const FEW: usize = 16;

/// Reads the name of a field.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<Node<'_>, Malformed>) {
        assert_eq!(read(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn a_key_stands_once_at_every_depth() {
        let twice = Err(Malformed::KeyTwice);
        check(r#"{"a":1,"a":1}"#, twice.clone());
        check(r#"{"a":1,"\u0061":2}"#, twice.clone());
        check(r#"[{"b":{"a":1,"c":0,"a":null}}]"#, twice.clone());
        let node = Node::Object(vec![
            ("a".into(), Node::Whole(1)),
            ("b".into(), Node::Object(vec![("a".into(), Node::Null)])),
        ]);
        check(r#"{"a":1,"b":{"a":null}}"#, Ok(node));
        for count in 2..=40 {
            let keys: Vec<String> = (0..count).map(|key| format!(r#""{key}":0"#)).collect();
            let once = format!("{{{}}}", keys.join(","));
            assert!(read(once.as_bytes()).is_ok(), "{once}");
            let last = count - 1;
            check(
                &once.replacen('{', &format!(r#"{{"{last}":1,"#), 1),
                twice.clone(),
            );
        }
    }

    #[test]
    fn depth_is_bounded_at_its_value_and_one_above() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(nested(16).as_bytes()).is_ok());
        check(&nested(17), Err(Malformed::TooDeep));
        check(&"[".repeat(100_000), Err(Malformed::TooDeep));
        check(&r#"{"a":"#.repeat(17), Err(Malformed::TooDeep));
    }

    #[test]
    fn no_float_is_a_number_here() {
        for text in ["1.0", "1e3", "-0", "-1", "0.1", "18446744073709551616"] {
            check(text, Ok(Node::Fraction));
        }
        check("9007199254740993", Ok(Node::Whole(9_007_199_254_740_993)));
        for text in ["NaN", "Infinity", "01", "+1", "1.", ".5", "0x1", "1e400"] {
            check(text, Err(Malformed::Syntax));
        }
    }

    #[test]
    fn what_is_not_one_whole_value_is_refused() {
        let bad = [
            "",
            " ",
            "{",
            "{}{}",
            "{} x",
            "\u{feff}{}",
            "{a:1}",
            "{'a':1}",
            "[1,]",
            "\"\u{0}\"",
            r#""\ud800""#,
            "{}\0",
        ];
        for text in bad {
            check(text, Err(Malformed::Syntax));
        }
        assert_eq!(read(b"\"\xff\""), Err(Malformed::Syntax));
        check(" {} \r\n", Ok(Node::Object(Vec::new())));
    }
}
