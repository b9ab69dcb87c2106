//! Refusals: status, header and body of what is not accepted.

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;

/// Why a request is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a bearer token is required")]
    Unauthorized,
    #[error("this token may not write source {0:?}")]
    Forbidden(String),
    #[error("unknown source {0:?}{1}")]
    UnknownSource(String, String),
    #[error("content encoding {0:?} is not supported, use gzip, zstd or identity")]
    Encoding(String),
    #[error("{0}")]
    BadRequest(String),
    /// Records were there, but none is valid: the body lists why.
    #[error("no valid record")]
    NothingValid(Vec<u8>),
    #[error("{0}")]
    TooLarge(String),
    #[error("the client sent nothing for too long")]
    Stalled,
    #[error("the idempotency key was used before with another body")]
    KeyReused,
    #[error("{0}, try again later")]
    Busy(&'static str),
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Refusal::Unauthorized => StatusCode::UNAUTHORIZED,
            Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
            Refusal::UnknownSource(..) => StatusCode::NOT_FOUND,
            Refusal::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::BadRequest(_) | Refusal::NothingValid(_) => StatusCode::BAD_REQUEST,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Stalled => StatusCode::REQUEST_TIMEOUT,
            Refusal::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match self {
            Refusal::Unauthorized => (WWW_AUTHENTICATE, "Bearer"),
            Refusal::Encoding(_) => (ACCEPT_ENCODING, "gzip, zstd, identity"),
            Refusal::Busy(_) => (RETRY_AFTER, "1"),
            Refusal::Unavailable(_) => (RETRY_AFTER, "5"),
            _ => return None,
        };
        Some((name, HeaderValue::from_static(value)))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let (status, header) = (self.status(), self.header());
        let body = match self {
            Refusal::NothingValid(body) => body,
            other => serde_json::json!({ "error": other.to_string() }).to_string().into_bytes(),
        };
        let mut response = json(status, body);
        response.headers_mut().extend(header);
        response
    }
}

/// A response whose body is JSON text.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
