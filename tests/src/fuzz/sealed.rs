//! MACs over any message, with an engine that only counts.

use iso8583::mac::{self, MAC_LEN, MacEngine};
use iso8583::{FieldIndex, MessageRef};

/// A sum is enough to see which bytes are covered.
struct Sum;

impl MacEngine for Sum {
    fn compute(&self, covered: &[u8]) -> [u8; MAC_LEN] {
        let add = |sum: u64, byte: &u8| sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
        covered.iter().fold(0, add).to_be_bytes()
    }

    fn verify(&self, covered: &[u8], received: &[u8; MAC_LEN]) -> bool {
        self.compute(covered) == *received
    }
}

/// A message that gets a MAC is one with a right MAC and the same fields; one that gets none stays
/// as it was.
pub(super) fn check(message: MessageRef<'_>) {
    let (dialect, bytes) = (message.dialect(), message.bytes());
    let verified = mac::verify(message, &Sum);
    let mut out = bytes.to_vec();
    out.resize(bytes.len() + 64, 0xEE);
    let Ok(len) = mac::append(dialect, &Sum, &mut out, bytes.len()) else {
        assert_eq!(&out[..bytes.len()], bytes, "{dialect:?}");
        return;
    };
    assert!(verified.is_err(), "it had none");
    let mut index = FieldIndex::new();
    let sealed = &out[..len];
    assert_eq!(dialect.parse(sealed, &mut index), Ok(()), "{dialect:?}");
    let sealed = MessageRef::new(sealed, &index);
    assert_eq!(mac::verify(sealed, &Sum), Ok(()), "{dialect:?}");
    let added = sealed.present().minus(message.present());
    assert_eq!(added.count(), 1, "{dialect:?}");
    for number in message.present() {
        assert_eq!(sealed.field(number), message.field(number), "{number}");
    }
}
