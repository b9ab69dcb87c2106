//! Receives a body, within all bounds, and decompresses it.

use std::future::poll_fn;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use flate2::read::MultiGzDecoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::IngestOptions;
use super::answer::Refusal;
use crate::compression::RATIO_FREE_BYTES;

/// What one permit of the memory semaphore stands for.
pub(super) const PERMIT_BYTES: usize = 1024;

/// A client that is slower than this in the long run is given up.
const SLOWEST_BYTES_A_SECOND: u64 = 16 * 1024;

/// How a body is encoded, as the client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(Self::Identity) };
        let text = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
        match text.as_str() {
            _ if values.next().is_some() => Err(Refusal::Encoding("several".into())),
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Refusal::Encoding(text)),
        }
    }
}

/// Bytes, and the memory that was reserved for them.
pub(super) struct Reserved {
    pub(super) bytes: Vec<u8>,
    memory: Arc<Semaphore>,
    permits: Option<OwnedSemaphorePermit>,
}

impl Reserved {
    pub(super) fn new(memory: &Arc<Semaphore>) -> Self {
        Self { bytes: Vec::new(), memory: Arc::clone(memory), permits: None }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.reserve(self.bytes.len() + bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn reserve(&mut self, total: usize) -> Result<(), Refusal> {
        let held = self.permits.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = total.div_ceil(PERMIT_BYTES).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let count = u32::try_from(missing).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.memory)
            .try_acquire_many_owned(count)
            .map_err(|_| Refusal::Busy("too many requests are being received"))?;
        match &mut self.permits {
            Some(permits) => permits.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// Reads the whole body.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: &mut Body,
    options: &IngestOptions,
    memory: &Arc<Semaphore>,
) -> Result<Reserved, Refusal> {
    let mut received = Reserved::new(memory);
    let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = told {
        check_size(length, options)?;
        // Reserved at once: two half-received bodies that wait for each other's room would both fail.
        received.reserve(length)?;
    }
    let begun = Instant::now();
    while let Some(bytes) = chunk(body, options, begun, received.bytes.len()).await? {
        check_size(received.bytes.len() + bytes.len(), options)?;
        received.push(&bytes)?;
    }
    Ok(received)
}

/// Reads the rest of a body and forgets it. A client that is told to come again later would not read that while it is
/// still sending: without this it sees a broken connection in place of `Retry-After`.
pub(super) async fn discard(mut body: Body, options: &IngestOptions) {
    let (begun, mut count) = (Instant::now(), 0);
    while let Ok(Some(bytes)) = chunk(&mut body, options, begun, count).await {
        count += bytes.len();
        if count > options.max_body_bytes {
            return;
        }
    }
}

/// The next bytes of a body of which `received` have come; `None` at its end.
async fn chunk(
    body: &mut Body,
    options: &IngestOptions,
    begun: Instant,
    received: usize,
) -> Result<Option<Bytes>, Refusal> {
    loop {
        let left = patience(options, received).saturating_sub(begun.elapsed());
        let next = poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        match timeout(options.idle_timeout.min(left), next).await {
            Err(_) => return Err(Refusal::Stalled),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                return Err(Refusal::BadRequest(format!("the body could not be received: {error}")));
            }
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

/// How long a body of which so much has come may have taken: a client that sends a byte now and then must not hold the
/// memory that is reserved for it, and its connection, for ever.
fn patience(options: &IngestOptions, received: usize) -> Duration {
    options.idle_timeout + Duration::from_secs(received as u64 / SLOWEST_BYTES_A_SECOND)
}

fn check_size(bytes: usize, options: &IngestOptions) -> Result<(), Refusal> {
    if bytes > options.max_body_bytes {
        return Err(Refusal::TooLarge(format!("the body is larger than {} bytes", options.max_body_bytes)));
    }
    Ok(())
}

/// Undoes the encoding.
pub(super) fn decode(
    received: Reserved,
    encoding: Encoding,
    options: &IngestOptions,
) -> Result<Reserved, Refusal> {
    let mut decoder: Box<dyn Read + '_> = match encoding {
        Encoding::Identity => return Ok(received),
        Encoding::Gzip => Box::new(MultiGzDecoder::new(&received.bytes[..])),
        Encoding::Zstd => {
            Box::new(ZstdDecoder::new(&received.bytes[..]).map_err(|error| undecodable(&error))?)
        }
    };
    let mut plain = Reserved::new(&received.memory);
    let mut chunk = vec![0; 64 * 1024];
    let most = (received.bytes.len() as u64).saturating_mul(options.guards.max_ratio).max(RATIO_FREE_BYTES);
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => return Ok(plain),
            Ok(count) => plain.push(&chunk[..count])?,
            Err(error) => return Err(undecodable(&error)),
        }
        check_size(plain.bytes.len(), options)?;
        if plain.bytes.len() as u64 > most {
            let ratio = options.guards.max_ratio;
            return Err(Refusal::TooLarge(format!("the body expands to more than {ratio} times its size")));
        }
    }
}

fn undecodable(error: &std::io::Error) -> Refusal {
    Refusal::BadRequest(format!("the body cannot be decompressed: {error}"))
}
