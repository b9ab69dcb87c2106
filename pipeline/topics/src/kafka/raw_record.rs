//! A raw record's headers: what the pipeline knows beside the provider's bytes.
//!
//! Enters: what the records of a unit share, and one record's place at its origin. Leaves: headers, and the same facts from
//! them. Neighbours in a partition mostly share all but the place, so a reader compares bytes before it makes anything.
//! A record without these headers is somebody else's (a topic that the `kafka` source reads).
//!
//! | header | content |
//! |---|---|
//! | `v` | version of this table: `1` |
//! | `source` | log source |
//! | `connector` | the operator's name of the instance |
//! | `location` | what rules see as location |
//! | `account` | account, tenant or host, where known |
//! | `envelope` | further facts that rules may see, as a JSON list of pairs of name and value |
//! | `origin` | path, object key or request |
//! | `origin_id` | 16 bytes, from which ids of events are made whose payload has no key of its own |
//! | `place` | offset or index in the origin, decimal |
//!
//! No header holds the event's id or time: both are functions of the record that the reading worker evaluates when it
//! needs them, as in one process, so that collecting costs no look into the payload.

use std::sync::Arc;

use rdkafka::message::{Header, Headers, OwnedHeaders};
use threatlockdown_event::Context;

const VERSION: &[u8] = b"1";

/// What stands beside one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawHead {
    /// What it shares with others.
    pub context: Arc<Context>,
    /// Its place at the origin.
    pub place: u64,
    /// The header `envelope`, to be compared with the next record's.
    envelope: Arc<[u8]>,
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
    let Context { source, connector, location, account, envelope, origin, origin_id } = context;
    let mut headers = add(OwnedHeaders::new_with_capacity(9), "v", VERSION);
    for (key, value) in
        [("source", source), ("connector", connector), ("location", location), ("origin", origin)]
    {
        headers = add(headers, key, value.as_bytes());
    }
    headers = add(headers, "origin_id", origin_id);
    if let Some(account) = account {
        headers = add(headers, "account", account.as_bytes());
    }
    if !envelope.is_empty() {
        headers = add(headers, "envelope", &pairs(envelope));
    }
    headers
}

/// Reads what [`encode_head`] wrote; `last` is what the record before had. `None` where the headers are not ours.
#[must_use]
pub fn decode_head(headers: &impl Headers, last: Option<&RawHead>) -> Option<RawHead> {
    let mut found = Found::default();
    for header in headers.iter() {
        let value = header.value?;
        match header.key {
            "v" if value != VERSION => return None,
            "v" => found.version = true,
            "place" => found.place = std::str::from_utf8(value).ok()?.parse().ok(),
            "source" => found.texts[0] = Some(value),
            "connector" => found.texts[1] = Some(value),
            "location" => found.texts[2] = Some(value),
            "origin" => found.texts[3] = Some(value),
            "account" => found.account = Some(value),
            "envelope" => found.envelope = Some(value),
            "origin_id" => found.origin_id = value.try_into().ok(),
            _ => {}
        }
    }
    let place = found.place?;
    let (context, envelope) = match last {
        Some(last) if found.is(last) => (Arc::clone(&last.context), Arc::clone(&last.envelope)),
        _ => (Arc::new(found.context()?), found.envelope.unwrap_or_default().into()),
    };
    Some(RawHead { context, place, envelope })
}

#[derive(Default)]
struct Found<'h> {
    version: bool,
    place: Option<u64>,
    texts: [Option<&'h [u8]>; 4],
    account: Option<&'h [u8]>,
    envelope: Option<&'h [u8]>,
    origin_id: Option<[u8; 16]>,
}

impl Found<'_> {
    fn is(&self, last: &RawHead) -> bool {
        let Context { source, connector, location, account, envelope: _, origin, origin_id } = &*last.context;
        let texts = [source, connector, location, origin];
        self.version
            && self.origin_id == Some(*origin_id)
            && self.texts.iter().zip(texts).all(|(found, text)| *found == Some(text.as_bytes()))
            && self.account == account.as_ref().map(|account| account.as_bytes())
            && self.envelope.unwrap_or_default() == &*last.envelope
    }

    fn context(&self) -> Option<Context> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Arc::<str>::from);
        let [source, connector, location, origin] = self.texts;
        let account = match self.account {
            Some(account) => Some(text(account)?),
            None => None,
        };
        let envelope = match self.envelope {
            Some(bytes) => serde_json::from_slice::<Vec<(String, String)>>(bytes).ok()?,
            None => Vec::new(),
        };
        self.version.then_some(())?;
        Some(Context {
            source: text(source?)?,
            connector: text(connector?)?,
            location: text(location?)?,
            origin: text(origin?)?,
            account,
            envelope,
            origin_id: self.origin_id?,
        })
    }
}

/// Facts in their order; names may repeat, so they are pairs.
fn pairs(envelope: &[(String, String)]) -> Vec<u8> {
    serde_json::to_vec(envelope).unwrap_or_default()
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
    fn headers_of_others_are_not_ours() {
        let empty = OwnedHeaders::new();
        assert_eq!(decode_head(empty.as_borrowed(), None), None);
        let later = encode_head(&context(), 1).insert(Header { key: "v", value: Some("2") });
        assert_eq!(decode_head(later.as_borrowed(), None), None);
        let some = OwnedHeaders::new().insert(Header { key: "source", value: Some("syslog") });
        assert_eq!(decode_head(some.as_borrowed(), None), None);
    }
}
