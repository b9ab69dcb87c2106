//! The ingest endpoint: `POST /v1/ingest/{source}`.
//!
//! Enters: requests with JSON lines, a JSON array, a document, one object, or lines of text, plain or compressed. Leaves:
//! the answer, once the records are durable in the journal, and later the journal's entries as units
//! ([`journal_reader`]). A record that is not valid is told to the client, which still has it, and is not a dead letter.
//!
//! | answer | when |
//! |---|---|
//! | 200 `{"accepted":n,"rejected":[{"line":i,"error":"…"}]}` | durable; with `Idempotency-Replayed: true` for a repeated key |
//! | 400 | no record is valid (same body), a bad header, a body that does not decompress |
//! | 401, 403 | no or an unknown token; a token for other sources |
//! | 404 | a source that is not known |
//! | 408, 413, 415 | the body stalls; is too large, also after decompression; has another encoding |
//! | 422 | the idempotency key was used with another body |
//! | 429, 503 with `Retry-After` | back pressure; the disk fails, or the process is about to end |
//!
//! Everything is bounded: one body, one event, records of a request, and the bytes of all bodies in memory.

mod answer;
mod auth;
mod body;
mod ingest;
pub mod journal_reader;
mod records;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use threatlockdown_event::unit::DEFAULT_MAX_EVENT_BYTES;
use threatlockdown_topics::Journal;
use tokio::sync::Semaphore;

pub use self::auth::{Secret, Token};
use crate::compression::Guards;
use crate::metrics::SourceStats;
use crate::stop::Stop;

/// Settings of the endpoint.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The operator's name for it.
    pub connector: String,
    /// The log sources that may be written.
    pub sources: Vec<String>,
    /// Who may write; nobody has to say who he is when there are none.
    pub tokens: Vec<Token>,
    /// Largest body, before and after decompression.
    pub max_body_bytes: usize,
    /// Longest single record.
    pub max_event_bytes: usize,
    /// Most records of one request.
    pub max_records: usize,
    /// Bytes of all bodies that are in memory at a time.
    pub memory_bytes: usize,
    /// A client that sends nothing for so long is given up.
    pub idle_timeout: Duration,
    /// Bounds of decompression.
    pub guards: Guards,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            connector: "http".into(),
            sources: Vec::new(),
            tokens: Vec::new(),
            max_body_bytes: 64 * 1024 * 1024,
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            max_records: 200_000,
            memory_bytes: 128 * 1024 * 1024,
            idle_timeout: Duration::from_secs(30),
            guards: Guards::default(),
        }
    }
}

/// More than a few at a time would only take turns.
const SPLITTING: usize = 2;

/// Counters for each source of the endpoint.
pub type IngestStats = BTreeMap<String, Arc<SourceStats>>;

/// What the handlers share.
#[derive(Clone)]
pub struct IngestState(Arc<Inner>);

struct Inner {
    options: IngestOptions,
    journal: Arc<Journal>,
    stats: Arc<IngestStats>,
    stop: Stop,
    /// Permits are KiB of bodies; who gets none is told to come back.
    memory: Arc<Semaphore>,
    /// Bodies that are split at a time: while one is, its bytes are in memory twice.
    splitting: Semaphore,
}

impl IngestState {
    /// An endpoint that writes to `journal` until `stop` is set.
    #[must_use]
    pub fn new(options: IngestOptions, journal: Arc<Journal>, stop: Stop) -> Self {
        let memory = Arc::new(Semaphore::new(options.memory_bytes / body::PERMIT_BYTES));
        let stats = options.sources.iter().map(|source| (source.clone(), Arc::default())).collect();
        let splitting = Semaphore::new(SPLITTING);
        Self(Arc::new(Inner { options, journal, stats: Arc::new(stats), stop, memory, splitting }))
    }

    /// The counters, for the exporter and for [`journal_reader::run`].
    #[must_use]
    pub fn stats(&self) -> Arc<IngestStats> {
        Arc::clone(&self.0.stats)
    }
}

/// The routes of the endpoint, to be mounted. The peer's address is known if the server is made with
/// `into_make_service_with_connect_info::<SocketAddr>()`.
pub fn router(state: IngestState) -> Router {
    Router::new().route("/v1/ingest/{source}", post(ingest::ingest)).with_state(state)
}

#[cfg(test)]
mod tests;
