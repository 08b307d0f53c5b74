//! What holds for all fields of a dialect: character set, type indicator, bitmaps, padding.

use iso8583::dialect::Layout;

use super::spec::Spec;
use super::words::{self, Bitmaps};
use crate::config::section::Section;

/// Reads `charset` before the keys that say more than it does.
pub(super) fn read(section: &Section<'_>, spec: &mut Spec) {
    if let Some(charset) = section.parsed("charset", words::charset) {
        spec.recode(charset);
    }
    let form = &mut spec.form;
    if let Some(mti) = section.parsed("mti", words::mti) {
        form.mti = mti;
    }
    if let Some((bitmap, bitmaps)) = section.parsed("bitmap", words::bitmap) {
        form.bitmap = bitmap;
        form.layout = match (bitmaps, form.layout) {
            (Bitmaps::Fixed16, _) => Layout::Fixed(16),
            (Bitmaps::Chained, Layout::Chained(tertiary)) => Layout::Chained(tertiary),
            (Bitmaps::Chained, Layout::Fixed(_) | Layout::Positional) => {
                Layout::Chained(iso8583::dialect::Tertiary::None)
            }
        };
    }
    if let Some(tertiary) = section.parsed("tertiary", words::tertiary) {
        match form.layout {
            Layout::Chained(_) => form.layout = Layout::Chained(tertiary),
            Layout::Fixed(_) | Layout::Positional => section.fault_at(
                "tertiary",
                "`tertiary` has no place in a message with one bitmap of 16 bytes",
            ),
        }
    }
    form.strict_padding = section.flag("strict_padding", form.strict_padding);
    spec.drop_unannounced();
}
