//! Operations: `/metrics`, `/healthz`, `/readyz`, on the same endpoint as ingest.
//!
//! Enters: the [`Health`] that the topology keeps and the registry. Leaves: an axum router, and [`server`], which
//! serves it. Healthy = restarting would not help; ready = it makes sense to send events here.

mod exposition;
mod health;
pub(crate) mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(crate) use self::health::{Health, Phase};
use crate::metrics::{CONTENT_TYPE, Metrics};

#[derive(Clone)]
struct Shared {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// The routes of operations.
pub(crate) fn router(health: Arc<Health>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Shared { health, metrics })
}

async fn show_metrics(State(shared): State<Shared>, asked: HeaderMap) -> Response {
    match shared.metrics.encode() {
        Ok(text) if exposition::wants_open(&asked) => {
            ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
        }
        Ok(text) => {
            let text = exposition::classic(&text);
            ([(header::CONTENT_TYPE, exposition::CLASSIC_TYPE)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn healthz(State(shared): State<Shared>) -> Response {
    answer(shared.health.unhealthy(), None)
}

async fn readyz(State(shared): State<Shared>) -> Response {
    answer(shared.health.unready(), shared.health.detail())
}

fn answer(reason: Option<String>, detail: Option<String>) -> Response {
    let (status, mut body) = match reason {
        None => (StatusCode::OK, serde_json::json!({"status": "ok"})),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, serde_json::json!({"status": "unavailable", "reason": reason}))
        }
    };
    if let Some(detail) = detail {
        body["detail"] = detail.into();
    }
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
