//! What operators and Prometheus ask over HTTP. Read only; on a listener of its own, apart from all
//! traffic, with a budget of its own (fault 104).

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_lite::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::status::Observer;
use crate::metrics::Exposition;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    pub(super) exposition: Arc<Exposition>,
    pub(super) observer: Arc<Observer>,
    pub(super) scrapes: Arc<Semaphore>,
}

impl Admin {
    pub(super) fn new(exposition: Arc<Exposition>, observer: Arc<Observer>) -> Self {
        let scrapes = Arc::new(Semaphore::new(SCRAPES_MAX));
        Self {
            exposition,
            observer,
            scrapes,
        }
    }

    /// All paths.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/startupz", get(startupz))
            .route("/statusz", get(statusz))
            .with_state(self)
    }
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let Ok(permit) = Arc::clone(&admin.scrapes).try_acquire_owned() else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "two scrapes are being answered\n",
        )
            .into_response();
    };
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let (form, text) = if accepted.is_some_and(|accept| accept.contains(OPENMETRICS)) {
        match admin.exposition.openmetrics() {
            Ok(text) => (OPENMETRICS_FORM, text),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be encoded");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        }
    } else {
        (TEXT_FORM, admin.exposition.text())
    };
    // A length of its own, or the body's pieces would be told as chunks, which the plainest of
    // scrapers do not join.
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static(form)),
        (CONTENT_LENGTH, HeaderValue::from(text.len())),
    ];
    (head, held(text, permit)).into_response()
}

/// A body that keeps its permit until it has been taken to its end.
fn held(text: String, permit: OwnedSemaphorePermit) -> Body {
    let chunks = stream::unfold((text, 0, permit), |(text, at, permit)| async move {
        let end = text.len().min(at + CHUNK_LEN);
        // All of it is ASCII but for names that the configuration has checked to be.
        let chunk = text
            .as_bytes()
            .get(at..end)
            .filter(|chunk| !chunk.is_empty())?
            .to_vec();
        Some((Ok::<_, Infallible>(chunk), (text, end, permit)))
    });
    Body::from_stream(chunks)
}

async fn livez(State(admin): State<Admin>) -> Response {
    let status = admin.observer.liveness();
    answer(status.is_ok(), &status)
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let readiness = admin.observer.readiness();
    answer(readiness.is_ready(), &readiness)
}

async fn startupz(State(admin): State<Admin>) -> Response {
    let startup = admin.observer.startup();
    answer(startup.recovered, &startup)
}

async fn statusz(State(admin): State<Admin>) -> Response {
    answer(true, &admin.observer.status())
}

fn answer(good: bool, body: &impl serde::Serialize) -> Response {
    let code = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_string_pretty(body) {
        Ok(text) => (code, [(CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => {
            tracing::error!(%error, "status cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Scrapes answered at once.
const SCRAPES_MAX: usize = 2;
/// Bytes handed to the connection at once.
const CHUNK_LEN: usize = 16 * 1024;
const OPENMETRICS: &str = "application/openmetrics-text";
const OPENMETRICS_FORM: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT_FORM: &str = "text/plain; version=0.0.4; charset=utf-8";
