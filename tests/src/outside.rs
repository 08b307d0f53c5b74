//! An outside library in a process of its own, as `scripts/interop.sh` installs it: one line of
//! JSON to it, one line back.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::e2e::variable_or;

/// A library that waits for questions.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<String>,
}

/// One batch takes well below a second; what a driver itself waits for is shorter.
const ANSWER_MAX: Duration = Duration::from_secs(90);

impl Peer {
    /// A driver in Python: PyPI's pyiso8583, confluent-kafka or standardwebhooks.
    ///
    /// # Panics
    /// It is not installed.
    #[must_use]
    pub fn python(script: &str) -> Self {
        let python = installed("python/bin/python");
        // Isolated: no module beside the driver or of the user stands in for the library.
        let mut command = Command::new(python);
        command.arg("-I").arg(driver(script));
        Self::start(command)
    }

    /// npm's iso_8583.
    ///
    /// # Panics
    /// It is not installed.
    #[must_use]
    pub fn iso_8583() -> Self {
        let library = installed("node/node_modules/iso_8583");
        let mut command = Command::new("node");
        command.arg(driver("iso_8583.js")).arg(library);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| {
            panic!("{}: {error}; {ADVICE}", command.get_program().display())
        });
        let questions = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            questions,
            answers,
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn ask(&mut self, question: &Value) -> Value {
        let mut line = question.to_string();
        line.push('\n');
        self.questions.write_all(line.as_bytes()).unwrap();
        match self.answers.recv_timeout(ANSWER_MAX) {
            Ok(answer) => serde_json::from_str(&answer).unwrap(),
            Err(error) => panic!("the driver does not answer, its last words are above: {error}"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself, which has been noticed where it was asked.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

const ADVICE: &str = "`make test` installs it, `sh scripts/interop.sh` by hand";

/// What `scripts/interop.sh` has put there.
fn installed(path: &str) -> PathBuf {
    let path = variable_or("NJIA_INTEROP_DIR", "interop").join(path);
    assert!(path.exists(), "{} is missing; {ADVICE}", path.display());
    path
}

fn driver(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("interop")
        .join(name)
}
