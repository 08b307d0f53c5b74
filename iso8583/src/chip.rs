//! Chip data between dialects: bare elements in one, within a dataset in another.

use crate::composite::Composite;
use crate::dataset::{self, Kind};

/// The identifier of the dataset that Visa puts around the elements of DE55.
pub(crate) const CHIP_DATASET: u8 = 0x01;

/// How chip data of one row becomes that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// Not at all.
    None,
    /// Elements into a dataset.
    Wrap,
    /// Elements out of their datasets.
    Unwrap,
}

impl Conversion {
    pub(crate) const fn between(from: Composite, to: Composite) -> Self {
        match (from, to) {
            (Composite::Tlv, Composite::Datasets) => Self::Wrap,
            (Composite::Datasets, Composite::Tlv) => Self::Unwrap,
            _ => Self::None,
        }
    }

    /// The converted value, in `out` where it is another one; `None` when that is too small, or the
    /// datasets are none.
    pub(crate) fn apply<'o>(self, value: &'o [u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
        let len = match self {
            Self::None => return Some(value),
            Self::Wrap => dataset::put(out, CHIP_DATASET, value)?,
            Self::Unwrap => unwrap(value, out)?,
        };
        out.get(..len)
    }
}

/// The elements of all datasets, one behind the other. A dataset with a bitmap has none.
fn unwrap(datasets: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut at = 0_usize;
    for dataset in dataset::datasets(datasets) {
        let dataset = dataset.ok()?;
        if dataset.kind() == Kind::Elements {
            let end = at.checked_add(dataset.content.len())?;
            out.get_mut(at..end)?.copy_from_slice(dataset.content);
            at = end;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_go_into_a_dataset_and_out_again() {
        let elements = [0x91, 2, 0xAA, 0xBB, 0x8A, 0];
        let (mut wrapped, mut bare) = ([0; 32], [0; 32]);
        let there = Conversion::between(Composite::Tlv, Composite::Datasets);
        let wrapped = there.apply(&elements, &mut wrapped).unwrap();
        assert_eq!(wrapped, [&[1, 0, 6], &elements[..]].concat());
        let back = Conversion::between(Composite::Datasets, Composite::Tlv);
        assert_eq!(back.apply(wrapped, &mut bare), Some(&elements[..]));
        assert_eq!(back.apply(wrapped, &mut [0; 5]), None);
        assert_eq!(back.apply(&[1, 0, 9, 0x91], &mut bare), None);
        let same = Conversion::between(Composite::Tlv, Composite::Tlv);
        assert_eq!(same.apply(&elements, &mut []), Some(&elements[..]));
    }

    #[test]
    fn only_datasets_of_elements_are_unwrapped() {
        let datasets = [1, 0, 2, 0x8A, 0, 0x71, 0, 1, 0xFF, 2, 0, 3, 0x91, 1, 7];
        let elements = Conversion::Unwrap
            .apply(&datasets, &mut [0; 32])
            .map(<[u8]>::to_vec);
        assert_eq!(elements, Some(std::vec![0x8A, 0, 0x91, 1, 7]));
    }
}
