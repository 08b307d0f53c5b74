//! A transaction as text and as JSON.

use std::io::{self, Write};

use persistence::checkpoint::journal_apart;
use persistence::record::RecordType;

use super::super::fields::{self, Sink, Value};
use super::super::lines::{Form, Object, Place, SCHEMA, TextLine};
use super::lives::{Entry, Life, State};

/// One transaction: what it came to, then each record with the time since it was admitted.
pub(super) fn life(life: &Life, out: &mut dyn Write) -> io::Result<()> {
    let state = life.state();
    writeln!(out, "transaction {}{}", life.transaction, told(&state))?;
    let mut line = Vec::new();
    for entry in &life.entries {
        line.clear();
        text(entry, life, &state, &mut line)?;
        out.write_all(&line)?;
    }
    for exception in &life.exceptions {
        let note = exception.note.as_deref().unwrap_or_default();
        let resolved = exception.resolved.map(|at| format!(", settled {at}"));
        writeln!(
            out,
            "  exception {} since {}{} {}",
            exception.reason,
            exception.raised,
            resolved.unwrap_or_default(),
            note.escape_debug()
        )?;
    }
    Ok(())
}

fn text(entry: &Entry, life: &Life, state: &State, line: &mut Vec<u8>) -> io::Result<()> {
    let Some(record) = entry.record() else {
        return writeln!(
            line,
            "  {} of LSN {}: its bytes are not kept",
            entry.kind, entry.lsn
        );
    };
    let at = fields::at(&record);
    let since = state.admitted.map_or(0, |admitted| {
        at.unix_millis().saturating_sub(admitted.unix_millis())
    });
    write!(
        line,
        "  {at} +{since} ms {}",
        RecordType::of(&record).word()
    )?;
    fields::put(&record, &life.names, &mut TextLine(line));
    match (entry.generation, &entry.quarantined) {
        (Some(generation), _) => write!(line, " [{generation}/{} {}", entry.shard, entry.lsn)?,
        (None, None) => write!(line, " [postgresql {} {}", entry.shard, entry.lsn)?,
        (None, Some(sqlstate)) => {
            write!(
                line,
                " [quarantine {sqlstate} {} {}",
                entry.shard, entry.lsn
            )?;
        }
    }
    line.extend_from_slice(b"]\n");
    Ok(())
}

fn told(state: &State) -> String {
    let mut text = String::new();
    if let Some(word) = state.state {
        text += &format!(": {word}");
    }
    if !state.code.is_empty() {
        text += &format!(", code {}", state.code);
    }
    if state.approved {
        text += ", approved";
    }
    if let Some(reversal) = state.reversal {
        text += &format!(", reversal {reversal}");
    }
    if let Some(advice) = state.advice {
        text += &format!(", advice {advice}");
    }
    if let Some(code) = &state.late_code {
        text += &format!(", late answer {code}");
    }
    text
}

/// Several: one line each, the oldest first.
pub(super) fn list(lives: &[Life], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{} transactions fit; ask for one by its id",
        lives.len()
    )?;
    for life in lives {
        let state = life.state();
        let at = state.admitted.map_or_else(String::new, |at| at.to_string());
        write!(out, "{} {at}", life.transaction)?;
        let asked = life.asked().and_then(Entry::record);
        if let Some(record) = asked {
            let mut line = Vec::new();
            fields::put(&record, &life.names, &mut Short(&mut line));
            out.write_all(&line)?;
        }
        writeln!(out, "{}", told(&state))?;
    }
    Ok(())
}

/// The few fields by which people tell transactions apart.
struct Short<'a>(&'a mut Vec<u8>);

impl Sink for Short<'_> {
    fn put(&mut self, key: &'static str, value: Value<'_>) {
        const SHOWN: [&str; 8] = [
            "acquirer", "stan", "rrn", "terminal", "account", "amount", "currency", "issuer",
        ];
        if SHOWN.contains(&key) {
            TextLine(self.0).put(key, value);
        }
    }

    fn put_more(&mut self, _: &'static str, _: Value<'_>) {}
}

/// One object a line for each.
pub(super) fn json(lives: &[Life], out: &mut dyn Write) -> io::Result<()> {
    let mut line = Vec::new();
    for life in lives {
        line.clear();
        object(life, &mut line);
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}

fn object(life: &Life, line: &mut Vec<u8>) {
    let state = life.state();
    let mut object = Object::begin(line);
    object.put("schema", Value::Number(SCHEMA));
    object.put("transaction", Value::Text(&life.transaction.to_string()));
    let texts = [
        ("state", state.state),
        (
            "code",
            Some(state.code.as_str()).filter(|code| !code.is_empty()),
        ),
        ("reversal", state.reversal),
        ("advice", state.advice),
        ("late_code", state.late_code.as_deref()),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            object.put(key, Value::Text(text));
        }
    }
    object.put("approved", Value::Flag(state.approved));
    if let Some(at) = state.admitted {
        object.put("admitted", Value::Text(&at.to_string()));
    }
    object.list("records", &life.entries, |entry, out| {
        record(entry, life, out)
    });
    object.list("exceptions", &life.exceptions, |exception, out| {
        let mut object = Object::begin(out);
        object.put("reason", Value::Text(&exception.reason));
        object.put("raised", Value::Text(&exception.raised.to_string()));
        if let Some(at) = exception.resolved {
            object.put("resolved", Value::Text(&at.to_string()));
        }
        if let Some(note) = &exception.note {
            object.put("note", Value::Text(note));
        }
        object.end();
    });
    object.end();
}

/// As `njia inspect journal export` has it; one whose bytes are not kept has its place and type.
fn record(entry: &Entry, life: &Life, out: &mut Vec<u8>) {
    let apart = |segment| journal_apart(entry.journal, segment);
    let place = Place {
        node: entry.node,
        journal: entry.checkpoint.map_or(entry.journal, apart),
        generation: entry.generation,
        shard: entry.shard,
        checkpoint: entry.checkpoint,
        lsn: entry.lsn,
        file: entry.file,
        is_carried: entry.checkpoint.is_some(),
    };
    if let Some(record) = entry.record() {
        Form::Json.write(&place, &record, &life.names, out);
        // Without its line feed.
        out.pop();
    } else {
        let mut object = Object::begin(out);
        object.put("schema", Value::Number(SCHEMA));
        object.put("journal", Value::Text(&entry.journal.to_string()));
        object.put("shard", Value::Number(u64::from(entry.shard.0)));
        object.put("lsn", Value::Number(entry.lsn.0));
        object.put("type", Value::Text(&entry.kind));
        object.end();
    }
}
