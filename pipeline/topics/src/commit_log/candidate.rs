//! The candidates of a commit: events that the stateful stage has to judge.
//!
//! Enters: what workers set apart. Leaves: bytes of a commit, and back. A candidate is durable in the same append as the
//! checkpoint of its unit, so it is there exactly when its unit is done: the commit log is the candidate journal as well.
//! The section has a version of its own, and contexts and versions of rules, which many candidates share, stand once.

use std::sync::Arc;

use threatlockdown_event::{Alert, AlertId, Context, EventId, Millis};

use crate::codec::{DecodeError, Decoder, put_bytes, put_count, put_u32, put_u64};

const SECTION_VERSION: u8 = 1;
/// Bytes that a candidate takes at least.
const LEAST_BYTES: usize = 61;
/// Bytes that an alert that waits takes at least.
const LEAST_HELD_BYTES: usize = 53;

/// An event whose verdict depends on earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Number of the component in the rules that made it.
    pub component: u32,
    /// What keeps its state apart within the component; empty without one.
    pub key: Vec<u8>,
    /// What Sigma's correlations count of it, in the terms of the rules that made it; empty where they have to find out. Only
    /// of a candidate without a component it is written.
    pub correlated: Vec<u8>,
    /// When it happened, as far as it tells; the order of counting.
    pub time: Millis,
    /// Identity, which breaks ties.
    pub event: EventId,
    /// What the connector knows of it.
    pub context: Arc<Context>,
    /// The rules that made it.
    pub version: Arc<str>,
    /// When it was read.
    pub received: Millis,
    /// Its place at the origin.
    pub place: u64,
    /// The alert that has been decided on already.
    pub alerted: Option<AlertId>,
    /// Byte for byte; empty where nothing but the alerts that wait is to be decided.
    pub record: Vec<u8>,
    /// Alerts that are written if their throttles let them pass.
    pub held: Vec<Held>,
    /// Where Sigma's correlations count it, while that is to be decided; not written.
    pub places: Vec<u64>,
}

/// An alert that is written if its throttle lets it pass, when it is its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Name of the suppression.
    pub suppression: Arc<str>,
    /// Alerts with the same key are counted together.
    pub key: [u8; 16],
    /// So many pass …
    pub allow: u32,
    /// … in so many milliseconds.
    pub quiet: i64,
    /// As it would be written.
    pub alert: Alert,
}

impl Candidate {
    /// As component: no rule with a memory has to do with the event; its alerts have, or, where there is a record, Sigma's
    /// correlations.
    pub const NO_COMPONENT: u32 = u32::MAX;

    /// What it takes in memory, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let held = self.held.iter().map(|held| size_of::<Held>() + held.alert.json.len());
        size_of::<Self>() + self.key.len() + self.correlated.len() + self.record.len() + held.sum::<usize>()
    }
}

/// Appends candidates in their stored form.
pub fn encode_candidates(candidates: &[Candidate], out: &mut Vec<u8>) {
    out.push(SECTION_VERSION);
    let mut contexts: Vec<&Arc<Context>> = Vec::new();
    let mut versions: Vec<&Arc<str>> = Vec::new();
    let mut refer = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        // Neighbours share them, so the search from the end is short.
        refer.push((
            position(&mut contexts, &candidate.context, |a, b| Arc::ptr_eq(a, b) || a == b),
            position(&mut versions, &candidate.version, |a, b| a == b),
        ));
    }
    put_count(out, contexts.len());
    contexts.into_iter().for_each(|context| put_context(out, context));
    put_count(out, versions.len());
    versions.into_iter().for_each(|version| put_bytes(out, version.as_bytes()));
    put_count(out, candidates.len());
    for (candidate, (context, version)) in candidates.iter().zip(refer) {
        put_count(out, context);
        put_count(out, version);
        put_u32(out, candidate.component);
        // Who has no component needs no key.
        let is_of_none = candidate.component == Candidate::NO_COMPONENT;
        put_bytes(out, if is_of_none { &candidate.correlated } else { &candidate.key });
        put_u64(out, candidate.time.0.cast_unsigned());
        out.extend_from_slice(&candidate.event.0);
        put_u64(out, candidate.received.0.cast_unsigned());
        put_u64(out, candidate.place);
        put_alerted(out, candidate.alerted);
        put_bytes(out, &candidate.record);
        put_count(out, candidate.held.len());
        candidate.held.iter().for_each(|held| put_held(out, held));
    }
}

/// Reads what [`encode_candidates`] wrote.
pub(crate) fn decode_section(decoder: &mut Decoder<'_>) -> Result<Vec<Candidate>, DecodeError> {
    decoder.version(SECTION_VERSION)?;
    let contexts = decoder.list(40, take_context)?;
    let versions = decoder.list(4, Decoder::shared_text)?;
    decoder.list(LEAST_BYTES, |item| {
        let context = contexts.get(item.u32()? as usize).ok_or(DecodeError::Short)?;
        let version = versions.get(item.u32()? as usize).ok_or(DecodeError::Short)?;
        let component = item.u32()?;
        let (mut key, mut correlated) = (item.bytes()?.to_vec(), Vec::new());
        if component == Candidate::NO_COMPONENT {
            std::mem::swap(&mut key, &mut correlated);
        }
        Ok(Candidate {
            component,
            key,
            correlated,
            time: Millis(item.i64()?),
            event: EventId(item.array()?),
            context: Arc::clone(context),
            version: Arc::clone(version),
            received: Millis(item.i64()?),
            place: item.u64()?,
            alerted: take_alerted(item)?,
            record: item.bytes()?.to_vec(),
            held: item.list(LEAST_HELD_BYTES, take_held)?,
            places: Vec::new(),
        })
    })
}

/// Reads what [`encode_candidates`] wrote; `None` when the bytes are anything else.
#[must_use]
pub fn decode_candidates(bytes: &[u8]) -> Option<Vec<Candidate>> {
    let mut decoder = Decoder::new(bytes);
    let candidates = decode_section(&mut decoder).ok()?;
    decoder.finish().ok()?;
    Some(candidates)
}

fn position<'a, T>(known: &mut Vec<&'a T>, wanted: &'a T, is_same: impl Fn(&T, &T) -> bool) -> usize {
    known.iter().rposition(|one| is_same(one, wanted)).unwrap_or_else(|| {
        known.push(wanted);
        known.len() - 1
    })
}

fn put_alerted(out: &mut Vec<u8>, alerted: Option<AlertId>) {
    out.push(u8::from(alerted.is_some()));
    if let Some(id) = alerted {
        out.extend_from_slice(&id.0);
    }
}

fn take_alerted(item: &mut Decoder<'_>) -> Result<Option<AlertId>, DecodeError> {
    match item.u8()? {
        0 => Ok(None),
        1 => Ok(Some(AlertId(item.array()?))),
        other => Err(DecodeError::Version(other)),
    }
}

fn put_held(out: &mut Vec<u8>, held: &Held) {
    put_bytes(out, held.suppression.as_bytes());
    out.extend_from_slice(&held.key);
    put_u32(out, held.allow);
    put_u64(out, held.quiet.cast_unsigned());
    out.extend_from_slice(&held.alert.id.0);
    out.push(held.alert.level);
    put_bytes(out, &held.alert.json);
}

fn take_held(item: &mut Decoder<'_>) -> Result<Held, DecodeError> {
    Ok(Held {
        suppression: item.shared_text()?,
        key: item.array()?,
        allow: item.u32()?,
        quiet: item.i64()?,
        alert: Alert { id: AlertId(item.array()?), level: item.u8()?, json: item.bytes()?.to_vec() },
    })
}

fn put_context(out: &mut Vec<u8>, context: &Context) {
    let Context { source, connector, location, account, envelope, origin, origin_id } = context;
    for text in [source, connector, location, origin] {
        put_bytes(out, text.as_bytes());
    }
    out.push(u8::from(account.is_some()));
    put_bytes(out, account.as_deref().unwrap_or_default().as_bytes());
    put_count(out, envelope.len());
    for (name, value) in envelope {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
    out.extend_from_slice(origin_id);
}

fn take_context(item: &mut Decoder<'_>) -> Result<Arc<Context>, DecodeError> {
    let [source, connector, location, origin] =
        [item.shared_text()?, item.shared_text()?, item.shared_text()?, item.shared_text()?];
    let has_account = item.u8()? != 0;
    let account = item.shared_text()?;
    Ok(Arc::new(Context {
        source,
        connector,
        location,
        account: has_account.then_some(account),
        envelope: item.list(8, |pair| Ok((pair.text()?.to_owned(), pair.text()?.to_owned())))?,
        origin,
        origin_id: item.array()?,
    }))
}
