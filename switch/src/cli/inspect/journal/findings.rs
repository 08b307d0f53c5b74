//! What is wrong with a journal, in words: where, which row of the recovery table, what to do.

use persistence::reader::{Finding, What};
use persistence::recovery::{Label, Refusal};

/// What an operator is told to do about it.
pub(super) const fn advice(what: &What) -> &'static str {
    match what {
        What::Unreadable { .. } => {
            "the disk fails: copy the journal's folder to another one before anything else"
        }
        What::Missing { .. } => {
            "look for these LSNs in a copy of the disk, and in njia.event of PostgreSQL"
        }
        What::Refused(_) | What::Record { .. } => match what.label() {
            Some(label) => by_label(label, what),
            None => "",
        },
    }
}

const fn by_label(label: Label, what: &What) -> &'static str {
    match label {
        Label::J05 => "bring back the manifest of this very folder; the segments can be exported",
        Label::J06 => "read it with the njia that wrote it, or a newer one",
        Label::J08 => match what {
            What::Refused(Refusal::Elsewhere { .. }) => {
                "put the file back where it belongs, and bring back the one that belongs here"
            }
            _ => "bring back this file from a copy of the disk; its batches can be exported",
        },
        Label::J09 => match what {
            What::Refused(Refusal::Uncovered { .. }) => {
                "bring back the newest checkpoint of this shard from a copy of the disk, or the \
                 missing segments"
            }
            _ => "bring back the missing segments from a copy of the disk",
        },
        Label::J21 => {
            "bring back this checkpoint from a copy of the disk; or, while segment 1 and all \
             behind it are here, move its folder away"
        }
        Label::J17 => {
            "keep the folder and report it: it was written wrong, and other records are not hurt"
        }
        Label::J13 | Label::J15 | Label::J16 => {
            "keep a copy of the folder, then bring back this file from a copy of the disk; what \
             can be read can be exported"
        }
        Label::J01 | Label::J02 | Label::J04 | Label::J18 | Label::J19 => {
            "see what the start of the switch says"
        }
    }
}

/// Where in the file it is.
pub(super) const fn offset(what: &What) -> Option<u64> {
    match what {
        What::Unreadable { offset, .. } | What::Record { offset, .. } => Some(*offset),
        What::Refused(
            Refusal::Corrupt { offset, .. }
            | Refusal::BeyondTail { offset, .. }
            | Refusal::Misplaced { offset, .. }
            | Refusal::BadRecord { offset, .. },
        ) => Some(*offset),
        What::Refused(Refusal::HeaderDamaged { .. } | Refusal::Format { .. }) => Some(0),
        What::Refused(_) | What::Missing { .. } => None,
    }
}

/// What it is.
pub(super) fn text(what: &What) -> String {
    match what {
        What::Refused(refusal) => refusal.to_string(),
        What::Record { lsn, error, .. } => {
            format!("record {lsn} lies in an intact batch but was written wrong: {error}")
        }
        What::Unreadable { error, .. } => format!("it cannot be read: {error}"),
        What::Missing { first, last } if first == last => {
            format!("record {first} is missing: no file holds it")
        }
        What::Missing { first, last } => {
            format!("records {first} to {last} are missing: no file holds them")
        }
    }
}

/// In one line: label, file, offset, what.
pub(in super::super) fn tell(finding: &Finding) -> String {
    let label = finding.what.label().map(|label| format!("{label} "));
    let offset = offset(&finding.what).map(|offset| format!(" at {offset}"));
    format!(
        "{}{}{}: {}",
        label.unwrap_or_default(),
        finding.path.display(),
        offset.unwrap_or_default(),
        text(&finding.what)
    )
}
