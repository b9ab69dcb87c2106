//! JSON as the reference sees it: numbers keep their text, members their order and their repeats.
//!
//! Enters: bytes. Leaves: a [`Json`], and how many bytes it took. A small parser of its own rather than the one of the
//! engine under test, which shares no code with it, or of `serde_json`, which keeps neither repeats nor number texts.
//! It is strict, but for bytes after the value, which the reference tolerates.

/// Containers inside each other, as the reference's parser allows them.
const MAX_DEPTH: usize = 1000;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it was written.
    Number(String),
    /// A string, decoded.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, with all members in order, repeated ones too.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads the value at the start of `bytes`; nothing when it is malformed.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Parser { bytes, at: 0, depth: 0 }.value()
    }

    /// The member with that name; of several the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The text of a string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        let Self::Text(text) = self else { return None };
        Some(text)
    }

    /// Writes it without blanks.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::Text(text) => write_text(text, out),
            Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    out.push(if index == 0 { '[' } else { ',' });
                    item.write(out);
                }
                out.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            Self::Object(members) => {
                for (index, (name, value)) in members.iter().enumerate() {
                    out.push(if index == 0 { '{' } else { ',' });
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push_str(if members.is_empty() { "{}" } else { "}" });
            }
        }
    }
}

/// A string in quotes, with what must be escaped escaped.
pub(super) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push('"');
}

struct Parser<'b> {
    bytes: &'b [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn value(&mut self) -> Option<Json> {
        self.blanks();
        match self.bytes.get(self.at)? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.text().map(Json::Text),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        let found = self.bytes.get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(value)
    }

    /// Members or elements, each read by `one`, up to `end`.
    fn list(&mut self, end: u8, mut one: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.depth += 1;
        self.at += 1;
        self.blanks();
        if self.depth > MAX_DEPTH {
            return None;
        }
        if !self.take(end) {
            loop {
                self.blanks();
                one(self)?;
                self.blanks();
                if !self.take(b',') {
                    break;
                }
            }
            if !self.take(end) {
                return None;
            }
        }
        self.depth -= 1;
        Some(())
    }

    fn object(&mut self) -> Option<Json> {
        let mut members = Vec::new();
        self.list(b'}', |parser| {
            if parser.bytes.get(parser.at) != Some(&b'"') {
                return None;
            }
            let name = parser.text()?;
            parser.blanks();
            if !parser.take(b':') {
                return None;
            }
            members.push((name, parser.value()?));
            Some(())
        })?;
        Some(Json::Object(members))
    }

    fn array(&mut self) -> Option<Json> {
        let mut items = Vec::new();
        self.list(b']', |parser| {
            items.push(parser.value()?);
            Some(())
        })?;
        Some(Json::Array(items))
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        self.take(b'-');
        let leading_zero = self.bytes.get(self.at) == Some(&b'0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            return None;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = std::str::from_utf8(self.bytes.get(start..self.at)?).ok()?;
        Some(Json::Number(text.to_owned()))
    }

    fn digits(&mut self) -> Option<usize> {
        let rest = self.bytes.get(self.at..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(count)
    }

    fn text(&mut self) -> Option<String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => return String::from_utf8(out).ok(),
                b'\\' => {
                    let char = self.escape()?;
                    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..=0x1f => return None,
                byte => out.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return None,
        })
    }

    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if !(self.take(b'\\') && self.take(b'u')) {
            return None;
        }
        let second = self.hex().filter(|second| (0xdc00..0xe000).contains(second))?;
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(json: &Json) -> serde_json::Value {
        let mut text = String::new();
        json.write(&mut text);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn keeps_what_others_lose() {
        let json = Json::parse(b"{\"a\": 1.50, \"a\": 12345678901234567890123} trailing").unwrap();
        let number = |text: &str| Json::Number(text.into());
        assert_eq!(
            json,
            Json::Object(vec![("a".into(), number("1.50")), ("a".into(), number("12345678901234567890123"))])
        );
        assert_eq!(json.get("a"), Some(&number("12345678901234567890123")));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nested(MAX_DEPTH).as_bytes()).is_some());
        assert!(Json::parse(nested(MAX_DEPTH + 1).as_bytes()).is_none());
        assert!(Json::parse("[".repeat(1_000_000).as_bytes()).is_none());
    }

    proptest! {
        /// Accepts and understands what `serde_json` does, whose own limits the cases do not reach.
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}:, ]{0,3}("[a\\"u0-9dDcC\n]{0,12}"|-?[0-9.eE+]{1,4}|true|null|[\[\]{},:]){0,6}[\]}]{0,2}"#) {
            let mut stream = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
            let expected = match stream.next() {
                Some(Ok(value)) => Some(value),
                _ => None,
            };
            // A number cut off by something that no JSON text has after a number: only the strict one minds.
            let own = Json::parse(text.as_bytes());
            if let Some(expected) = expected {
                prop_assert_eq!(own.as_ref().map(plain), Some(expected));
            } else if own.is_some() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
            }
        }
    }
}
