//! What a gateway prefers, and is told that it was kept to.

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::handler::{Answer, put};

/// How long a gateway wants to wait (RFC 7240).
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefer {
    pub(super) is_async: bool,
    /// Whether it says so itself.
    pub(super) is_asked: bool,
    pub(super) wait: Duration,
}

impl Prefer {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut prefer = Self {
            is_async: false,
            is_asked: false,
            wait: Duration::from_secs(Self::WAIT_S),
        };
        let values = headers.get_all(PREFER).into_iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        for part in texts.flat_map(|text| text.split(',')).map(str::trim) {
            let wait = part
                .strip_prefix("wait=")
                .and_then(|text| text.parse().ok());
            if part == "respond-async" {
                prefer.is_async = true;
            } else if let Some(seconds @ 1_u64..) = wait {
                prefer.is_asked = true;
                prefer.wait = Duration::from_secs(seconds.min(30));
            }
        }
        prefer
    }

    /// Says what was kept to.
    pub(super) fn put(self, answer: &mut Answer) {
        let seconds = self.wait.as_secs();
        let usual = match (self.is_async, seconds) {
            (true, _) => "respond-async",
            (false, Self::WAIT_S) => "wait=10",
            (false, _) => return put(answer, PREFERENCE_APPLIED, &format!("wait={seconds}")),
        };
        let usual = HeaderValue::from_static(usual);
        answer.headers_mut().insert(PREFERENCE_APPLIED, usual);
    }

    /// Where nothing is asked for.
    const WAIT_S: u64 = 10;
}

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
