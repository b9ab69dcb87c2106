//! Where on the tape the record is that rules see.
//!
//! Enters: the tape of a message and the mapping of its source. Leaves: a [`Place`]: the record's root, which lies deeper
//! when a service wrapped it, and which element of a list stands for the list.

use std::borrow::Cow;

use simd_json::Node;

use super::mapping::{Mapping, Wrapper};
use super::text::span;

/// See the file's comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// Position of the record.
    pub(crate) root: usize,
    /// Position of a list, and of the element that stands for it.
    pub(crate) shown: Option<(usize, usize)>,
}

impl Place {
    /// Of a record as it is read under `mapping`.
    pub(crate) fn of(tape: &[Node<'_>], mapping: &Mapping) -> Self {
        let root = mapping.wrapper.as_ref().and_then(|wrapper| wrapped(tape, wrapper)).unwrap_or(0);
        let shown = match mapping.last_of.as_slice() {
            [] => None,
            path => last_of(tape, root, path),
        };
        Self { root, shown }
    }

    /// The position of the value to be shown for the one at `at`, when that is the list.
    #[inline]
    pub(crate) fn shown_for(self, at: usize) -> Option<usize> {
        self.shown.filter(|(list, _)| *list == at).map(|(_, element)| element)
    }
}

/// The service that sent a wrapped record: the name without `aws.`.
pub(crate) fn service<'t>(tape: &[Node<'t>]) -> Option<Cow<'t, str>> {
    const PROVIDER: &str = "aws.";
    let at = member(tape, 0, "source")?;
    let Some(Node::String(source)) = tape.get(at) else { return None };
    let bare = source.strip_prefix(PROVIDER).unwrap_or(source);
    // The reference takes it out wherever it stands.
    Some(if bare.contains(PROVIDER) { Cow::Owned(source.replace(PROVIDER, "")) } else { Cow::Borrowed(bare) })
}

fn wrapped(tape: &[Node<'_>], wrapper: &Wrapper) -> Option<usize> {
    let at = member(tape, 0, &wrapper.member)?;
    matches!(tape.get(at), Some(Node::Object { .. })).then_some(at)
}

fn last_of(tape: &[Node<'_>], root: usize, path: &[String]) -> Option<(usize, usize)> {
    let list = path.iter().try_fold(root, |at, key| member(tape, at, key))?;
    let Some(Node::Array { len, .. }) = tape.get(list) else { return None };
    if *len < 2 {
        return None;
    }
    let last = (1..*len).fold(list + 1, |at, _| at + span(tape, at));
    Some((list, last))
}

/// Position of the value of the member with exactly this name; of several the first, as everywhere.
fn member(tape: &[Node<'_>], at: usize, name: &str) -> Option<usize> {
    let Some(Node::Object { len, .. }) = tape.get(at) else { return None };
    let mut key = at + 1;
    for _ in 0..*len {
        if matches!(tape.get(key), Some(Node::String(known)) if *known == name) {
            return Some(key + 1);
        }
        key += 1 + span(tape, key + 1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(json: &str) -> (Place, Option<String>) {
        let mapping =
            Mapping::parse("m.yaml", "source: x\nformat: json\nwrapper: {member: detail}\nlast_of: a.list\n")
                .unwrap();
        let mut bytes = json.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        (Place::of(&tape.0, &mapping), service(&tape.0).map(Cow::into_owned))
    }

    #[test]
    fn a_wrapped_record_is_found() {
        for (json, root, name) in [
            (r#"{"source":"aws.kms","n":[1,2],"detail":{"a":1}}"#, 8, Some("kms")),
            (r#"{"source":"my.app","detail":{}}"#, 4, Some("my.app")),
            (r#"{"source":"aws.a.aws.b","detail":"text"}"#, 0, Some("a.b")),
            (r#"{"source":1,"Detail":{}}"#, 0, None),
            ("[1]", 0, None),
        ] {
            let (place, service) = place(json);
            assert_eq!((place.root, service.as_deref()), (root, name), "{json}");
        }
    }

    #[test]
    fn the_last_of_several_elements_is_shown() {
        assert_eq!(place(r#"{"a":{"list":[{"b":1},{"b":2}]}}"#).0.shown, Some((4, 8)));
        assert_eq!(place(r#"{"detail":{"a":{"list":[1,[2],3]}}}"#).0.shown, Some((6, 10)));
        for json in [r#"{"a":{"list":[1]}}"#, r#"{"a":{"list":{"b":1}}}"#, r#"{"a":[{"list":[1,2]}]}"#, "{}"]
        {
            assert_eq!(place(json).0.shown, None, "{json}");
        }
    }
}
