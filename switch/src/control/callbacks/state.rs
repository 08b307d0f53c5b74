//! What callbacks are owed, in one file beside the journal's manifest: a line with its format, a
//! line of JSON for each thing, and a line with the SHA-256 of those before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::book::{Message, Watched};

/// One thing that a later start has to know; `gateway` is a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    /// How far a journal was read for a gateway.
    Read {
        gateway: String,
        journal: String,
        shard: u16,
        lsn: u64,
    },
    /// A transaction that is watched.
    Watched { gateway: String, of: Watched },
    /// A message on its way.
    Message { gateway: String, of: Message },
}

/// Reads what was saved last; nothing where nothing ever was. Blocks.
pub(super) fn read(root: &Path) -> Result<Vec<Line>, String> {
    let path = root.join(NAME);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    decode(&text).ok_or_else(|| {
        format!(
            "{} is damaged: bring it back from a copy, or remove it; then all that the journal \
             still holds is told again",
            path.display()
        )
    })
}

/// Replaces it as a whole: durable when this returns. Blocks.
pub(super) fn save(root: &Path, lines: &[Line]) -> io::Result<()> {
    let (path, aside) = (root.join(NAME), root.join(ASIDE));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&aside)?;
    file.write_all(encode(lines)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, &path)?;
    File::open(root)?.sync_all()
}

fn encode(lines: &[Line]) -> io::Result<String> {
    let mut text = format!("{FORMAT}\n");
    for line in lines {
        text.push_str(&serde_json::to_string(line)?);
        text.push('\n');
    }
    let digest = hex(&text);
    text.push_str(&format!("sha256 {digest}\n"));
    Ok(text)
}

fn decode(text: &str) -> Option<Vec<Line>> {
    let (before, last) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let before = text.get(..=before.len())?;
    if last.strip_prefix("sha256 ") != Some(hex(before).as_str()) {
        return None;
    }
    let lines = before.strip_prefix(FORMAT)?.strip_prefix('\n')?.lines();
    lines.map(|line| serde_json::from_str(line).ok()).collect()
}

fn hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

const FORMAT: &str = "njia-callbacks 1";
const NAME: &str = "callbacks.state";
const ASIDE: &str = "callbacks.state.new";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        let mark = |shard, lsn| Line::Read {
            gateway: "mobile".to_owned(),
            journal: "5f0c9a3e-7d6b-4b39-9d52-6c1f3f0c8a11".to_owned(),
            shard,
            lsn,
        };
        vec![mark(0, 17), mark(1, u64::MAX)]
    }

    #[test]
    fn what_is_saved_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), Ok(Vec::new()));
        for lines in [lines(), Vec::new(), lines()] {
            save(folder.path(), &lines).unwrap();
            assert_eq!(read(folder.path()), Ok(lines));
        }
        assert!(!folder.path().join(ASIDE).exists());
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let good = encode(&lines()).unwrap();
        assert_eq!(decode(&good), Some(lines()));
        for at in 0..good.len() {
            assert_eq!(decode(&good[..at]), None, "{at}");
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(decode(&text), None, "{at}");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "njia-callbacks 1\n").unwrap();
        assert!(read(folder.path()).unwrap_err().contains("is damaged"));
    }
}
