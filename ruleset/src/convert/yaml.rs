//! YAML as people write it: block style, four blanks a level, quotes only where the text needs them.
//!
//! Enters: a tree of values. Leaves: text. The writer knows no more of YAML than rule files need, so that every text can be
//! read back as just that text: whatever could be taken for something else is quoted.

use std::fmt::Write;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    Text(String),
    Number(u64),
    Bool(bool),
    Null,
    List(Vec<Yaml>),
    /// In the order in which it is written.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// The text of one document; the value should be a map.
    pub(super) fn document(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out
    }

    fn scalar(&self) -> Option<String> {
        Some(match self {
            Self::Text(text) => scalar(text),
            Self::Number(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Null => "null".to_owned(),
            Self::List(items) if items.is_empty() => "[]".to_owned(),
            Self::Map(pairs) if pairs.is_empty() => "{}".to_owned(),
            Self::List(_) | Self::Map(_) => return None,
        })
    }

    fn write(&self, depth: usize, out: &mut String) {
        match self {
            Self::Map(pairs) => {
                for (at, (key, value)) in pairs.iter().enumerate() {
                    // The first pair of a map in a list stands behind its dash.
                    if at > 0 || out.is_empty() || out.ends_with('\n') {
                        indent(depth, out);
                    }
                    let _ = write!(out, "{}:", scalar(key));
                    value.behind(depth, out);
                }
            }
            Self::List(items) => {
                for item in items {
                    indent(depth, out);
                    match item.scalar() {
                        Some(text) => {
                            let _ = writeln!(out, "- {text}");
                        }
                        None if matches!(item, Self::Map(_)) => {
                            out.push_str("-   ");
                            item.write(depth + 1, out);
                        }
                        None => {
                            out.push_str("-\n");
                            item.write(depth + 1, out);
                        }
                    }
                }
            }
            scalar => {
                let _ = writeln!(out, "{}", scalar.scalar().unwrap_or_default());
            }
        }
    }

    /// The value of a key.
    fn behind(&self, depth: usize, out: &mut String) {
        match self.scalar() {
            Some(text) => {
                let _ = writeln!(out, " {text}");
            }
            None => {
                out.push('\n');
                self.write(depth + 1, out);
            }
        }
    }
}

fn indent(depth: usize, out: &mut String) {
    (0..depth).for_each(|_| out.push_str("    "));
}

/// A text as a plain scalar where that is surely this text, else in single quotes, else, with control characters, in double
/// quotes.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else if text
        .chars()
        .any(|char| char.is_control() || matches!(char, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
    {
        double_quoted(text)
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let begins = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_' || char == '/');
    let ends =
        text.ends_with(|char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '/' | '.' | ')'));
    let inside = |char: char| char.is_alphanumeric() || " _-./()@+=|,;<>!%$~".contains(char) || char == ':';
    if is_timespan(text) || is_id(text) {
        return true;
    }
    begins
        && ends
        && text.chars().all(inside)
        && !text.contains(": ")
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// `10m`
fn is_timespan(text: &str) -> bool {
    let digits = text.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_id(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use saphyr::{LoadableYamlNode, Yaml as Read};

    use super::*;

    fn map(pairs: &[(&str, Yaml)]) -> Yaml {
        Yaml::Map(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    #[test]
    fn looks_as_people_write_it() {
        let item = map(&[("a|contains", Yaml::texts(["x y", "1", "*"])), ("b", Yaml::Null)]);
        let document = map(&[
            ("title", Yaml::text("It's: odd")),
            ("list", Yaml::List(vec![item.clone(), item])),
            ("level", Yaml::text("high")),
        ]);
        let expected = "title: 'It''s: odd'\nlist:\n    -   a|contains:\n            - x y\n            - '1'\n            - '*'\n        b: null\n    -   a|contains:\n            - x y\n            - '1'\n            - '*'\n        b: null\nlevel: high\n";
        assert_eq!(document.document(), expected);
    }

    proptest! {
        #[test]
        fn texts_are_read_back(key in "[^\u{0}]{1,12}", text in any::<String>(), odd in "[-?:,\\[\\]{}#&*!|>'\"%@`~ a0.\\n\\t]{0,8}") {
            for text in [text, odd] {
                let written = map(&[(&key, Yaml::List(vec![Yaml::text(text.clone()), map(&[("k", Yaml::text(text.clone()))])]))]);
                let document = written.document();
                let read = Read::load_from_str(&document).unwrap();
                let (found, value) = read[0].as_mapping().unwrap().iter().next().unwrap();
                prop_assert_eq!(found.as_str(), Some(key.as_str()), "{}", &document);
                prop_assert_eq!(value[0].as_str(), Some(text.as_str()), "{}", &document);
                prop_assert_eq!(value[1].as_mapping_get("k").and_then(|value| value.as_str()), Some(text.as_str()));
            }
        }
    }
}
