//! Access tokens of OAuth 2.0 (RFC 6749, section 4.4): how one is asked for, and which one a shard
//! shows. Pure: the control plane asks.
//!
//! ```text
//! control plane: asks, renews ─► AccessNews, of issuer and shard ─► AccessInForce: until it ends
//!                      ▲                                                     │ 401, 403
//!                      └───────────────────── is_refused ◄──────────────────┘
//! ```
//! Without a token in force nothing is sent: a submit is the next candidate's, a reversal is tried
//! again.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use domain::ids::IssuerId;
use domain::time::Instant;
use serde_json::json;
use zeroize::Zeroizing;

use super::connector::at;
use super::plan::{Pointer, SecretHeader, base64};
use crate::acquirer::strict::{self, Node};
use crate::config::SecretPlace;
use crate::control::shared::ShardShared;

/// How a token is asked for.
#[derive(Debug)]
pub(crate) struct AccessPlan {
    /// Looked up, and what its certificate must be made out to.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_https: bool,
    /// The `Host` header.
    pub(crate) authority: String,
    /// With a query, where there is one.
    pub(crate) path: String,
    pub(crate) method: String,
    pub(crate) client: String,
    /// Read for each request, so that it can be replaced while the switch runs.
    pub(crate) secret: SecretPlace,
    pub(crate) form: AccessForm,
    pub(crate) scope: Option<String>,
    pub(crate) token: Pointer,
    pub(crate) expires_in: Pointer,
    /// Where an answer does not say.
    pub(crate) lifetime: Duration,
}

/// Where client and secret stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessForm {
    /// In the `Authorization` header; the grant in a form (RFC 6749, section 2.3.1).
    Basic,
    /// In the header, and no body.
    BasicAlone,
    /// In the form.
    Form,
    /// In an object of JSON.
    Json,
}

/// What is sent for a token, beside method and path.
#[derive(Debug)]
pub(crate) struct AccessRequest {
    /// `Authorization`, where it has one.
    pub(crate) authorisation: Option<Zeroizing<String>>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Zeroizing<String>,
}

/// A token, from when it is told.
pub(crate) struct Granted {
    pub(crate) token: Zeroizing<String>,
    pub(crate) lifetime: Duration,
}

/// A token in force.
pub(crate) struct Access {
    pub(crate) header: SecretHeader,
    pub(crate) until: Instant,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl AccessPlan {
    /// What is sent.
    ///
    /// # Errors
    /// The secret cannot be read.
    pub(crate) fn request(&self) -> Result<AccessRequest, String> {
        let secret = self.secret.read()?;
        let secret = secret.expose();
        let mut form = Zeroizing::new(format!("grant_type={GRANT}"));
        if let Some(scope) = &self.scope {
            form.push_str(&format!("&scope={}", encoded(scope)));
        }
        let (content_type, body) = match self.form {
            AccessForm::Basic => (Some(FORM), form),
            AccessForm::BasicAlone => (None, Zeroizing::default()),
            AccessForm::Form => {
                let (client, secret) = (encoded(&self.client), Zeroizing::new(encoded(secret)));
                let ids = Zeroizing::new(format!(
                    "&client_id={client}&client_secret={}",
                    secret.as_str()
                ));
                let whole = Zeroizing::new([form.as_str(), ids.as_str()].concat());
                (Some(FORM), whole)
            }
            AccessForm::Json => {
                let body = json!({
                    "client_id": self.client, "client_secret": secret, "grant_type": GRANT,
                });
                (Some("application/json"), Zeroizing::new(body.to_string()))
            }
        };
        let is_basic = matches!(self.form, AccessForm::Basic | AccessForm::BasicAlone);
        let authorisation = is_basic.then(|| {
            let pair = Zeroizing::new(format!("{}:{secret}", self.client));
            let text = base64(pair.as_bytes());
            Zeroizing::new(format!("Basic {}", text.as_str()))
        });
        Ok(AccessRequest {
            authorisation,
            content_type,
            body,
        })
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// It grants nothing. What it holds is not repeated.
    pub(crate) fn granted(&self, status: u16, body: &[u8]) -> Result<Granted, String> {
        if !(200..=299).contains(&status) {
            return Err(format!("the answer is {status}"));
        }
        let tree = strict::read(body).map_err(|_| "the answer is no JSON".to_owned())?;
        let token = match at(&tree, &self.token) {
            Some(Node::Text(token)) if !token.is_empty() => {
                Zeroizing::new(token.as_ref().to_owned())
            }
            _ => return Err("the answer has no token where `token` says".to_owned()),
        };
        let seconds = match at(&tree, &self.expires_in) {
            Some(Node::Whole(seconds)) => Some(*seconds),
            // As some issuers write it.
            Some(Node::Text(text)) => text.parse().ok(),
            Some(Node::Null) | None => Some(self.lifetime.as_secs()),
            Some(Node::Boolean | Node::Fraction | Node::List(_) | Node::Object(_)) => None,
        };
        let seconds = seconds.filter(|seconds| *seconds > 0);
        let seconds = seconds.ok_or("the answer does not say for how long the token is good")?;
        Ok(Granted {
            token,
            lifetime: Duration::from_secs(seconds.min(LIFETIME_MAX_S)),
        })
    }
}

impl Granted {
    /// Whoever asks shows it so; `None` of a token that no header may hold.
    pub(crate) fn header(&self) -> Option<SecretHeader> {
        let value = Zeroizing::new(format!("Bearer {}", self.token.as_str()));
        SecretHeader::new("Authorization", value)
    }

    /// When the next one is asked for: a minute before its end, or at half of a short life.
    pub(crate) fn renew_after(&self) -> Duration {
        self.lifetime
            .saturating_sub(RENEW_BEFORE)
            .max(self.lifetime / 2)
    }
}

/// As a form has it: letters, digits, `-`, `.`, `_`, and all else by its bytes.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// From the control plane to one shard, and back: of one issuer.
#[derive(Debug)]
pub(crate) struct AccessNews {
    newest: ArrayQueue<Arc<Access>>,
    /// The issuer has not let in who showed the newest.
    is_refused: AtomicBool,
}

impl Default for AccessNews {
    fn default() -> Self {
        Self {
            newest: ArrayQueue::new(1),
            is_refused: AtomicBool::new(false),
        }
    }
}

impl AccessNews {
    /// Takes the place of one that was not taken up.
    pub(crate) fn put(&self, access: Arc<Access>) {
        drop(self.newest.force_push(access));
        self.is_refused.store(false, Ordering::Relaxed);
    }

    /// Whether it was refused since it was put.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }
}

/// A shard's side, of one issuer.
#[derive(Debug)]
pub(crate) struct AccessInForce {
    shared: Arc<ShardShared>,
    issuer: IssuerId,
    held: RefCell<Option<Arc<Access>>>,
}

impl AccessInForce {
    pub(crate) fn new(shared: Arc<ShardShared>, issuer: IssuerId) -> Self {
        Self {
            shared,
            issuer,
            held: RefCell::default(),
        }
    }

    fn news(&self) -> Option<&AccessNews> {
        self.shared.access.get(usize::from(self.issuer.0))
    }

    /// The newest, if it is still good.
    pub(super) fn at(&self, now: Instant) -> Option<Arc<Access>> {
        let newest = self.news().and_then(|news| news.newest.pop());
        let mut held = self.held.borrow_mut();
        if newest.is_some() {
            *held = newest;
        }
        held.clone().filter(|access| now < access.until)
    }

    /// The issuer does not let in who shows it.
    pub(super) fn refuse(&self) {
        if let Some(news) = self.news() {
            news.is_refused.store(true, Ordering::Relaxed);
        }
    }
}

const GRANT: &str = "client_credentials";
const FORM: &str = "application/x-www-form-urlencoded";
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// Whatever an answer says, it is asked for anew within a day.
const LIFETIME_MAX_S: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(form: AccessForm) -> AccessPlan {
        AccessPlan {
            host: "issuer.example".to_owned(),
            port: 443,
            is_https: true,
            authority: "issuer.example".to_owned(),
            path: "/token".to_owned(),
            method: "POST".to_owned(),
            client: "Aladdin".to_owned(),
            secret: SecretPlace::known("open sesame"),
            form,
            scope: Some("pay refund".to_owned()),
            token: Pointer::read("/access_token").unwrap(),
            expires_in: Pointer::read("/expires_in").unwrap(),
            lifetime: Duration::from_secs(300),
        }
    }

    /// The pair is that of RFC 7617.
    #[test]
    fn client_and_secret_stand_where_the_issuer_wants_them() {
        let sent = |form| {
            let request = plan(form).request().unwrap();
            let header = request.authorisation.map(|text| text.as_str().to_owned());
            (header, request.body.as_str().to_owned())
        };
        let basic = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        let grant = "grant_type=client_credentials&scope=pay%20refund";
        assert_eq!(sent(AccessForm::Basic), (basic.clone(), grant.to_owned()));
        assert_eq!(sent(AccessForm::BasicAlone), (basic, String::new()));
        let form = format!("{grant}&client_id=Aladdin&client_secret=open%20sesame");
        assert_eq!(sent(AccessForm::Form), (None, form));
        let (none, body) = sent(AccessForm::Json);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (none, &body["client_secret"]),
            (None, &json!("open sesame"))
        );
        let shown = format!("{:?}", plan(AccessForm::Form));
        assert!(!shown.contains("sesame"), "{shown}");
    }

    #[test]
    fn an_answer_grants_or_says_why_not() {
        let read = |status, body: &str| {
            let granted = plan(AccessForm::Basic).granted(status, body.as_bytes());
            granted.map(|granted| (granted.token.to_string(), granted.lifetime.as_secs()))
        };
        let good = |seconds| Ok(("a.b".to_owned(), seconds));
        assert_eq!(
            read(200, r#"{"access_token":"a.b","expires_in":3600}"#),
            good(3_600)
        );
        assert_eq!(
            read(200, r#"{"access_token":"a.b","expires_in":"3599"}"#),
            good(3_599)
        );
        assert_eq!(read(201, r#"{"access_token":"a.b"}"#), good(300));
        assert_eq!(
            read(200, r#"{"access_token":"a.b","expires_in":99999999}"#),
            good(86_400)
        );
        for (status, body, why) in [
            (401, "", "the answer is 401"),
            (302, r#"{"access_token":"a.b"}"#, "the answer is 302"),
            (200, "a.b", "no JSON"),
            (200, r#"{"token":"a.b"}"#, "no token"),
            (200, r#"{"access_token":""}"#, "no token"),
            (
                200,
                r#"{"access_token":"a.b","expires_in":0}"#,
                "for how long",
            ),
            (
                200,
                r#"{"access_token":"a.b","expires_in":"soon"}"#,
                "for how long",
            ),
            (
                200,
                r#"{"access_token":"a.b","expires_in":1.5}"#,
                "for how long",
            ),
        ] {
            let fault = read(status, body).unwrap_err();
            assert!(fault.contains(why) && !fault.contains("a.b"), "{fault}");
        }
    }

    #[test]
    fn a_token_is_renewed_before_its_end() {
        let after = |seconds| {
            let granted = Granted {
                token: Zeroizing::new("a".to_owned()),
                lifetime: Duration::from_secs(seconds),
            };
            granted.renew_after().as_secs()
        };
        assert_eq!([3_600, 121, 120, 90, 2].map(after), [3_540, 61, 60, 45, 1]);
    }
}
