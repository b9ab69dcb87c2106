//! What one request brought, and the stored form of the entries that were written together.

use threatlockdown_event::Millis;

use crate::codec::{DecodeError, Decoder, put_bytes, put_count, put_u64};

const VERSION: u8 = 1;
/// Bytes of an entry without any text or record.
const SMALLEST: usize = 4 * 6 + 1 + 16 + 8 + 16;

/// What one request brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Log source.
    pub source: String,
    /// The operator's name for the connector instance.
    pub connector: String,
    /// The sender's own key for the request, which makes a repetition recognisable.
    pub idempotency_key: Option<String>,
    /// Hash of source and idempotency key, else random. Becomes `Context::origin_id`, and repetitions are told by it.
    pub request_id: [u8; 16],
    /// Address of the sender.
    pub peer: String,
    /// When it came.
    pub received: Millis,
    /// The raw records, in order.
    pub records: Vec<Vec<u8>>,
    /// Hash of the body, to tell a key that is used again with another body.
    pub digest: [u8; 16],
    /// The answer, given again for a repeated key.
    pub response: Vec<u8>,
}

impl Entry {
    /// Bytes that the entry takes in the journal.
    pub(super) fn encoded_bytes(&self) -> u64 {
        let key = self.idempotency_key.as_ref().map_or(0, String::len);
        let texts = self.source.len() + self.connector.len() + key + self.peer.len() + self.response.len();
        let records: usize = self.records.iter().map(|record| record.len() + 4).sum();
        (SMALLEST + texts + records) as u64
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.source.as_bytes());
        put_bytes(out, self.connector.as_bytes());
        out.push(u8::from(self.idempotency_key.is_some()));
        put_bytes(out, self.idempotency_key.as_deref().unwrap_or_default().as_bytes());
        out.extend_from_slice(&self.request_id);
        put_bytes(out, self.peer.as_bytes());
        put_u64(out, self.received.0.cast_unsigned());
        put_count(out, self.records.len());
        for record in &self.records {
            put_bytes(out, record);
        }
        out.extend_from_slice(&self.digest);
        put_bytes(out, &self.response);
    }

    fn take(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let source = decoder.text()?.to_owned();
        let connector = decoder.text()?.to_owned();
        let has_key = decoder.u8()? != 0;
        let key = decoder.text()?;
        Ok(Self {
            source,
            connector,
            idempotency_key: has_key.then(|| key.to_owned()),
            request_id: decoder.array()?,
            peer: decoder.text()?.to_owned(),
            received: Millis(decoder.i64()?),
            records: decoder.list(4, |record| Ok(record.bytes()?.to_vec()))?,
            digest: decoder.array()?,
            response: decoder.bytes()?.to_vec(),
        })
    }
}

/// Adds the payload of a frame that holds these entries.
pub(super) fn encode_group<'a>(out: &mut Vec<u8>, entries: impl ExactSizeIterator<Item = &'a Entry>) {
    out.push(VERSION);
    put_count(out, entries.len());
    for entry in entries {
        entry.put(out);
    }
}

/// The entries of a frame.
pub(super) fn decode_group(payload: &[u8]) -> Result<Vec<Entry>, DecodeError> {
    let mut decoder = Decoder::new(payload);
    decoder.version(VERSION)?;
    let entries = decoder.list(SMALLEST, Entry::take)?;
    decoder.finish()?;
    Ok(entries)
}
