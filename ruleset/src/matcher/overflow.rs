//! Numbers that no type can hold.
//!
//! Enters: JSON that the parser refused. Leaves: the same with numbers like `1e999` replaced, and afterwards infinities
//! on the tape where they stood. JSON allows such numbers and the reference takes them; the parser does not. They are
//! rare enough that one largest number stands for them while the record is parsed.

use simd_json::{Node, StaticNode};

const STAND_IN: &str = "1.7976931348623157e308";

/// Appends `json` with stand-ins; false when there is no such number in it.
pub(super) fn replace(json: &[u8], out: &mut Vec<u8>) -> bool {
    let mut found = false;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        let length = match byte {
            b'"' => string(&json[at..]),
            b'-' | b'0'..=b'9' => {
                let token = number(&json[at..]);
                if let Some(sign) = infinite(token) {
                    found = true;
                    out.extend_from_slice(sign.as_bytes());
                    out.extend_from_slice(STAND_IN.as_bytes());
                    at += token.len();
                    continue;
                }
                token.len()
            }
            _ => 1,
        };
        out.extend_from_slice(&json[at..at + length]);
        at += length;
    }
    found
}

/// Puts infinities where the stand-ins are; false when there are none.
pub(super) fn restore(tape: &mut [Node<'_>]) -> bool {
    let mut found = false;
    for node in tape {
        if let Node::Static(StaticNode::F64(value)) = node
            && value.abs() == f64::MAX
        {
            *value = f64::INFINITY.copysign(*value);
            found = true;
        }
    }
    found
}

/// Puts nulls where the infinities are: what the reference's JSON library prints for them.
pub(super) fn forget(tape: &mut [Node<'_>]) {
    for node in tape {
        if matches!(node, Node::Static(StaticNode::F64(value)) if value.is_infinite()) {
            *node = Node::Static(StaticNode::Null);
        }
    }
}

/// Length of the string at the start.
fn string(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

fn number(json: &[u8]) -> &[u8] {
    let end = json.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
    &json[..end.unwrap_or(json.len())]
}

/// The sign of a number that is well formed and too large.
fn infinite(token: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(token).ok()?;
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    // The largest number has 309 digits.
    if !digits.contains(['e', 'E']) && digits.len() < 309 {
        return None;
    }
    (text.parse::<f64>().is_ok_and(f64::is_infinite) && is_well_formed(digits)).then_some(sign)
}

fn is_well_formed(digits: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(digits).is_ok()
}
