//! A raw record's headers: what the pipeline knows beside the provider's bytes.
//!
//! Enters: what the records of a unit share, and one record's place at its origin. Leaves: headers, and the same facts from
//! them. Each header costs its writer and its reader an allocation, so what neighbours share is one; a reader compares
//! its bytes with the last record's before it makes anything. A record without these headers is somebody else's (a topic
//! that the `kafka` source reads); one with a higher `v` in a topic of the pipeline's own is a later release's.
//!
//! | header | content |
//! |---|---|
//! | `v` | version of this table: `1` |
//! | `context` | a JSON object, see below |
//! | `place` | offset or index in the origin, decimal |
//!
//! | in `context` | content |
//! |---|---|
//! | `source` | log source |
//! | `connector` | the operator's name of the instance |
//! | `location` | what rules see as location |
//! | `account` | account, tenant or host, where known |
//! | `envelope` | further facts that rules may see, as pairs of name and value |
//! | `origin` | path, object key or request |
//! | `origin_id` | 16 bytes as hex text, from which ids of events are made whose payload has no key of its own |
//!
//! No header holds the event's id or time: both are functions of the record that the reading worker evaluates when it
//! needs them, as in one process, so that collecting costs no look into the payload.

use std::sync::Arc;

use rdkafka::message::{Header, Headers, OwnedHeaders};
use serde::{Deserialize, Serialize};
use threatlockdown_event::Context;

use super::later::later;

const VERSION: &[u8] = b"1";
const NUMBER: u64 = 1;

/// What stands beside one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawHead {
    /// What it shares with others.
    pub context: Arc<Context>,
    /// Its place at the origin.
    pub place: u64,
    /// The header `context`, to be compared with the next record's.
    shared: Arc<[u8]>,
}

/// Headers of the records that share a context: what they share is made once.
pub struct HeadMaker {
    shared: OwnedHeaders,
    context: Arc<Context>,
}

impl HeadMaker {
    /// For the records of a context.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        Self { shared: shared(&context), context }
    }

    /// Whether it is for this context.
    #[must_use]
    pub fn is_for(&self, context: &Arc<Context>) -> bool {
        Arc::ptr_eq(&self.context, context)
    }

    /// Headers of one record.
    #[must_use]
    pub fn at(&self, place: u64) -> OwnedHeaders {
        let mut digits = [0_u8; 20];
        add(self.shared.clone(), "place", decimal(place, &mut digits))
    }
}

/// Headers of one record.
#[must_use]
pub fn encode_head(context: &Context, place: u64) -> OwnedHeaders {
    let mut digits = [0_u8; 20];
    add(shared(context), "place", decimal(place, &mut digits))
}

fn add(headers: OwnedHeaders, key: &str, value: &[u8]) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

fn shared(context: &Context) -> OwnedHeaders {
    let headers = add(OwnedHeaders::new_with_capacity(3), "v", VERSION);
    // Texts and numbers alone: there is nothing in it that cannot be written.
    add(headers, "context", &serde_json::to_vec(&Shared::of(context)).unwrap_or_default())
}

/// Reads what [`encode_head`] wrote; `last` is what the record before had. `None` where the headers are not ours.
#[must_use]
pub fn decode_head(headers: &impl Headers, last: Option<&RawHead>) -> Option<RawHead> {
    let (mut is_ours, mut shared, mut place) = (false, None, None);
    for header in headers.iter() {
        let value = header.value?;
        match header.key {
            "v" if value != VERSION => return None,
            "v" => is_ours = true,
            "context" => shared = Some(value),
            "place" => place = std::str::from_utf8(value).ok()?.parse().ok(),
            _ => {}
        }
    }
    let (shared, place) = (shared.filter(|_| is_ours)?, place?);
    Some(match last {
        Some(last) if *last.shared == *shared => {
            RawHead { context: Arc::clone(&last.context), place, shared: Arc::clone(&last.shared) }
        }
        _ => {
            let context = serde_json::from_slice::<Shared>(shared).ok()?.context()?;
            RawHead { context: Arc::new(context), place, shared: shared.into() }
        }
    })
}

/// The version of these headers, where a later release wrote them: all that it is to keep of them is `v` and that there is a
/// `context`. To be asked where [`decode_head`] finds nothing.
#[must_use]
pub fn later_head(headers: &impl Headers) -> Option<u64> {
    let find = |name| headers.iter().find(|header| header.key == name)?.value;
    find("context")?;
    later(find("v")?, NUMBER)
}

/// The header `context`.
#[derive(Serialize, Deserialize)]
struct Shared {
    source: Arc<str>,
    connector: Arc<str>,
    location: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Arc<str>>,
    /// Facts in their order; names may repeat, so they are pairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    envelope: Vec<(String, String)>,
    origin: Arc<str>,
    origin_id: String,
}

impl Shared {
    fn of(context: &Context) -> Self {
        let Context { source, connector, location, account, envelope, origin, origin_id } = context.clone();
        let origin_id = format!("{:032x}", u128::from_be_bytes(origin_id));
        Self { source, connector, location, account, envelope, origin, origin_id }
    }

    fn context(self) -> Option<Context> {
        let Self { source, connector, location, account, envelope, origin, origin_id } = self;
        let origin_id = u128::from_str_radix(&origin_id, 16).ok()?.to_be_bytes();
        Some(Context { source, connector, location, account, envelope, origin, origin_id })
    }
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            source: "aws.cloudtrail".into(),
            connector: "trail".into(),
            location: "Wazuh-AWS".into(),
            account: Some("111122223333".into()),
            envelope: vec![("log_file".into(), "a \"b\"".into()), ("log_file".into(), String::new())],
            origin: "s3://b/k".into(),
            origin_id: [7; 16],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bare = Context { account: None, envelope: Vec::new(), ..context() };
        for context in [context(), bare] {
            for place in [0, 9, 10, u64::MAX] {
                let head = decode_head(encode_head(&context, place).as_borrowed(), None).unwrap();
                assert_eq!((&*head.context, head.place), (&context, place));
            }
        }
    }

    #[test]
    fn what_is_made_once_is_the_same() {
        let context = Arc::new(context());
        let maker = HeadMaker::new(Arc::clone(&context));
        assert!(maker.is_for(&context) && !maker.is_for(&Arc::new(Context::clone(&context))));
        for place in [7, 0, u64::MAX] {
            let made = decode_head(maker.at(place).as_borrowed(), None);
            assert_eq!(made, decode_head(encode_head(&context, place).as_borrowed(), None));
            assert_eq!(made.unwrap().place, place);
        }
    }

    #[test]
    fn neighbours_share_their_context() {
        let first = decode_head(encode_head(&context(), 1).as_borrowed(), None).unwrap();
        let second = decode_head(encode_head(&context(), 2).as_borrowed(), Some(&first)).unwrap();
        assert!(Arc::ptr_eq(&first.context, &second.context) && second.place == 2);
        let changes: [fn(&mut Context); 6] = [
            |context| context.source = "aws.vpcflow".into(),
            |context| context.origin = "s3://b/l".into(),
            |context| context.account = None,
            |context| context.envelope.clear(),
            |context| context.envelope[0].1.push('x'),
            |context| context.origin_id[15] = 0,
        ];
        for change in changes {
            let mut other = context();
            change(&mut other);
            let read = decode_head(encode_head(&other, 2).as_borrowed(), Some(&first)).unwrap();
            assert_eq!(*read.context, other);
        }
    }

    #[test]
    fn a_later_release_is_known_by_its_version_and_context() {
        let with = |headers: OwnedHeaders, key, value| headers.insert(Header { key, value: Some(value) });
        let of = |version| with(OwnedHeaders::new(), "v", version);
        let later = with(of("2"), "context", "[\"in another form\"]");
        assert_eq!(later_head(later.as_borrowed()), Some(2));
        for other in [of("2"), with(of("1"), "context", "{}"), with(of("x"), "context", "{}")] {
            assert_eq!(later_head(other.as_borrowed()), None);
        }
        assert_eq!(later_head(encode_head(&context(), 1).as_borrowed()), None);
        assert_eq!(later_head(with(OwnedHeaders::new(), "context", "{}").as_borrowed()), None);
    }

    #[test]
    fn headers_of_others_are_not_ours() {
        let empty = OwnedHeaders::new();
        assert_eq!(decode_head(empty.as_borrowed(), None), None);
        let later = encode_head(&context(), 1).insert(Header { key: "v", value: Some("2") });
        assert_eq!(decode_head(later.as_borrowed(), None), None);
        let some = OwnedHeaders::new().insert(Header { key: "place", value: Some("7") });
        let context = Header { key: "context", value: Some(r#"{"source":"syslog"}"#) };
        for some in [some.clone(), some.insert(context)] {
            assert_eq!(decode_head(some.as_borrowed(), None), None);
            let named = some.insert(Header { key: "v", value: Some("1") });
            assert_eq!(decode_head(named.as_borrowed(), None), None);
        }
    }
}
