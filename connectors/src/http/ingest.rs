//! One request, from the first header to the answer.

use std::net::SocketAddr;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use threatlockdown_event::Millis;
use threatlockdown_event::identity::hash;
use threatlockdown_topics::{Appended, Entry};
use tokio::sync::oneshot;

use super::answer::{Refusal, json};
use super::auth::{Access, check};
use super::body::{Encoding, Reserved, decode, discard, receive};
use super::records::{Parsed, parse};
use super::{IngestState, Inner};
use crate::metrics::add;

/// Bodies up to this size are split on the spot; larger and compressed ones where blocking does no harm.
const SMALL_BODY: usize = 32 * 1024;

pub(super) async fn ingest(
    State(IngestState(inner)): State<IngestState>,
    Path(source): Path<String>,
    request: Request,
) -> Response<Body> {
    let stats = inner.stats.get(&source).cloned();
    let (parts, mut body) = request.into_parts();
    match accept(&inner, &source, &parts, &mut body).await {
        Ok(response) => response,
        Err(refusal) => {
            let ours = matches!(refusal, Refusal::Busy(_) | Refusal::Unavailable(_));
            if let Some(stats) = stats {
                add(if ours { &stats.errors } else { &stats.refused }, 1);
            }
            if ours {
                discard(body, &inner.options).await;
            }
            tracing::debug!(source, status = refusal.status().as_u16(), %refusal, "request refused");
            refusal.into_response()
        }
    }
}

async fn accept(
    inner: &Arc<Inner>,
    source: &str,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response<Body>, Refusal> {
    admit(inner, source, &parts.headers)?;
    let encoding = Encoding::of(&parts.headers)?;
    let key = idempotency_key(&parts.headers)?;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string());

    let received = receive(&parts.headers, body, &inner.options, &inner.memory).await?;
    let digest = hash(&[b"body", &received.bytes]);
    let (parsed, memory) = split(inner, source, received, encoding).await?;
    let response = parsed.answer();
    if parsed.is_all_bad() {
        return Err(Refusal::NothingValid(response));
    }
    if parsed.records.is_empty() {
        return Ok(json(StatusCode::OK, response));
    }
    let entry = Entry {
        source: source.to_owned(),
        connector: inner.options.connector.clone(),
        request_id: request_id(source, key.as_deref(), &digest),
        idempotency_key: key,
        peer: peer.unwrap_or_else(|| "unknown".to_owned()),
        received: Millis::now(),
        records: parsed.records,
        digest,
        response,
    };
    let answer = store(inner, entry).await;
    drop(memory);
    answer
}

/// Everything that can be said before the body is read.
fn admit(inner: &Inner, source: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    match check(&inner.options.tokens, headers, source) {
        Access::Granted => {}
        Access::Unknown => return Err(Refusal::Unauthorized),
        Access::OtherSource => return Err(Refusal::Forbidden(source.to_owned())),
    }
    if !inner.stats.contains_key(source) {
        return Err(Refusal::UnknownSource(source.to_owned(), nearest(inner, source)));
    }
    if inner.stop.is_set() {
        return Err(Refusal::Unavailable("the process is about to end".into()));
    }
    if inner.journal.is_full() {
        return Err(Refusal::Busy("the journal is full"));
    }
    Ok(())
}

fn nearest(inner: &Inner, source: &str) -> String {
    let known = inner.stats.keys().map(|known| (strsim::jaro_winkler(known, source), known));
    match known.max_by(|left, right| left.0.total_cmp(&right.0)) {
        Some((_, known)) => format!(", the nearest known one is {known:?}"),
        None => String::new(),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bytes = value.as_bytes();
    let visible = bytes.iter().all(u8::is_ascii_graphic);
    if values.next().is_some() || bytes.is_empty() || bytes.len() > 255 || !visible {
        let error = "Idempotency-Key has to be one value of 1 to 255 visible ASCII characters";
        return Err(Refusal::BadRequest(error.into()));
    }
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

/// With a key the same for each repetition, else different from all others.
fn request_id(source: &str, key: Option<&str>, digest: &[u8; 16]) -> [u8; 16] {
    static REQUESTS: AtomicU64 = AtomicU64::new(0);
    if let Some(key) = key {
        return hash(&[b"idempotency", source.as_bytes(), key.as_bytes()]);
    }
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    hash(&[b"request", &number.to_le_bytes(), &time.to_le_bytes(), &process::id().to_le_bytes(), digest])
}

/// Decompresses and splits; the memory of the body stays reserved until its records are durable.
async fn split(
    inner: &Arc<Inner>,
    source: &str,
    received: Reserved,
    encoding: Encoding,
) -> Result<(Parsed, Reserved), Refusal> {
    if encoding == Encoding::Identity && received.bytes.len() <= SMALL_BODY {
        return Ok((parse(source, &received.bytes, &inner.options)?, received));
    }
    // Never closed; and a turn is taken with or without.
    let turn = inner.splitting.acquire().await.ok();
    let (inner, source) = (Arc::clone(inner), source.to_owned());
    let work = tokio::task::spawn_blocking(move || {
        let mut plain = decode(received, encoding, &inner.options)?;
        let parsed = parse(&source, &plain.bytes, &inner.options)?;
        plain.bytes = Vec::new();
        Ok((parsed, plain))
    });
    let done = work.await;
    drop(turn);
    done.unwrap_or_else(|_| Err(Refusal::Unavailable("the request could not be processed".into())))
}

async fn store(inner: &Inner, entry: Entry) -> Result<Response<Body>, Refusal> {
    let (sender, receiver) = oneshot::channel();
    let done = move |appended| {
        // The client may have gone; its records are stored all the same.
        let _ = sender.send(appended);
    };
    inner.journal.append(entry, Box::new(done));
    match receiver.await {
        Ok(Appended::Durable { response, repeated }) => {
            let mut response = json(StatusCode::OK, response);
            if repeated {
                response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            }
            Ok(response)
        }
        Ok(Appended::KeyReused) => Err(Refusal::KeyReused),
        Ok(Appended::Full) => Err(Refusal::Busy("the journal is full")),
        Ok(Appended::Failed(error)) => {
            tracing::error!(%error, "the journal cannot be written");
            Err(Refusal::Unavailable("the records could not be stored".into()))
        }
        Err(_) => Err(Refusal::Unavailable("the journal is closed".into())),
    }
}
