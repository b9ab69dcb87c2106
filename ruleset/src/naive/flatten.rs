//! The JSON decoder as the reference has it: an object becomes a list of named texts.
//!
//! Enters: a value. Leaves: dynamic fields, and the static ones that a few names are set aside for. The texts are
//! what rules are matched against, so how numbers and arrays are written matters.

use super::json::{Json, write_text};

/// Dynamic fields of one event; what comes after is lost.
const MAX_FIELDS: usize = 256;

/// Names that fill static fields, and those fields.
const STATIC: &[(&str, &str)] = &[
    ("srcip", "srcip"),
    ("dstip", "dstip"),
    ("srcport", "srcport"),
    ("dstport", "dstport"),
    ("protocol", "protocol"),
    ("action", "action"),
    ("srcuser", "srcuser"),
    ("dstuser", "dstuser"),
    ("id", "id"),
    ("status", "status"),
    ("url", "url"),
    ("data", "data"),
    ("extra_data", "extra_data"),
    ("systemname", "system_name"),
];

/// What an event decoded to.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Dynamic fields in order, repeats included.
    pub(super) dynamic: Vec<(String, String)>,
    /// Static fields that have a value.
    pub(super) fixed: Vec<(&'static str, String)>,
}

impl Fields {
    /// The dynamic field that a rule sees: the first of that name, letter case aside.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.dynamic
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn set(&mut self, field: &'static str, value: String) {
        match self.fixed.iter_mut().find(|(known, _)| *known == field) {
            Some((_, old)) => *old = value,
            None => self.fixed.push((field, value)),
        }
    }

    fn fill(&mut self, name: String, value: &str) {
        // The reference keeps texts up to their first NUL.
        let value = until_nul(value).to_owned();
        if let Some((_, field)) = STATIC.iter().find(|(key, _)| *key == name) {
            self.set(field, value);
        } else if name == "user" && !self.fixed.iter().any(|(known, _)| *known == "dstuser") {
            self.set("dstuser", value);
        } else if self.dynamic.len() < MAX_FIELDS {
            self.dynamic.push((name, value));
        }
    }

    fn add(&mut self, name: String, value: &Json, discard_null: bool) {
        match value {
            Json::Null if discard_null => {}
            Json::Null => self.fill(name, "null"),
            Json::Bool(value) => self.fill(name, &value.to_string()),
            Json::Number(text) => self.fill(name, &number(text)),
            Json::Text(text) => self.fill(name, text),
            Json::Array(_) => {
                let mut text = String::new();
                print(value, 0, &mut text);
                self.fill(name, &text);
            }
            Json::Object(members) => {
                for (key, value) in members {
                    self.add(format!("{name}.{}", until_nul(key)), value, discard_null);
                }
            }
        }
    }
}

/// Flattens the value of an event; only an object has fields.
pub(super) fn flatten(json: &Json, discard_null: bool) -> Fields {
    let mut fields = Fields::default();
    if let Json::Object(members) = json {
        for (key, value) in members {
            fields.add(until_nul(key).to_owned(), value, discard_null);
        }
    }
    fields
}

fn until_nul(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

/// A number by itself: a 32-bit integer as such, anything else with six decimals.
fn number(text: &str) -> String {
    let value: f64 = text.parse().unwrap_or_default();
    let integer = value as i32;
    if f64::from(integer) == value { integer.to_string() } else { format!("{value:.6}") }
}

/// A number in an array: 15 significant digits if they are enough, else 17.
fn number_in_array(text: &str) -> String {
    let value: f64 = text.parse().unwrap_or_default();
    if !value.is_finite() {
        return "null".to_owned();
    }
    let short = general(value, 15);
    if short.parse() == Ok(value) { short } else { general(value, 17) }
}

/// `%.{digits}g`.
fn general(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let digits = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= digits {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(digits - 1 - exponent).unwrap_or_default();
    trim(&format!("{value:.decimals$}"))
}

/// The way arrays are written: a blank after commas, objects over several lines, indented by their depth.
fn print(value: &Json, depth: usize, out: &mut String) {
    match value {
        Json::Number(text) => out.push_str(&number_in_array(text)),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                print(item, depth + 1, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push_str("{\n");
            for (index, (key, value)) in members.iter().enumerate() {
                out.push_str(&"\t".repeat(depth + 1));
                write_text(until_nul(key), out);
                out.push_str(":\t");
                print(value, depth + 1, out);
                out.push_str(if index + 1 < members.len() { ",\n" } else { "\n" });
            }
            out.push_str(&"\t".repeat(depth));
            out.push('}');
        }
        Json::Text(text) => write_text(until_nul(text), out),
        Json::Null | Json::Bool(_) => value.write(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        flatten(&Json::parse(text.as_bytes()).unwrap(), false)
    }

    fn dynamic(text: &str) -> Vec<(String, String)> {
        fields(text).dynamic
    }

    fn one(value: &str) -> String {
        dynamic(&format!("{{\"k\":{value}}}")).remove(0).1
    }

    #[test]
    fn texts_of_scalars() {
        for (value, text) in [
            ("\"\"", ""),
            ("\"a\\u0041\\n\"", "aA\n"),
            ("\"a\\u0000b\"", "a"),
            ("true", "true"),
            ("null", "null"),
            ("1e3", "1000"),
            ("-2147483648", "-2147483648"),
            ("2147483648", "2147483648.000000"),
            ("1.5", "1.500000"),
            ("12345678901", "12345678901.000000"),
            ("12345678901234567890", "12345678901234567168.000000"),
            ("1e-9", "0.000000"),
        ] {
            assert_eq!(one(value), text, "{value}");
        }
    }

    #[test]
    fn arrays_are_printed() {
        assert_eq!(
            one(r#"["a","b",1,2.5,null,{"k":"v"},[1]]"#),
            "[\"a\", \"b\", 1, 2.5, null, {\n\t\t\"k\":\t\"v\"\n\t}, [1]]"
        );
        assert_eq!(one("[]"), "[]");
        assert_eq!(one(r#"[{}]"#), "[{\n\t}]");
        assert_eq!(
            one(r#"[{"a":{"b":1},"c":2}]"#),
            "[{\n\t\t\"a\":\t{\n\t\t\t\"b\":\t1\n\t\t},\n\t\t\"c\":\t2\n\t}]"
        );
        assert_eq!(
            one("[0.1,1e20,123456789012,1e-7,0.30000000000000004]"),
            "[0.1, 1e+20, 123456789012, 1e-07, 0.30000000000000004]"
        );
    }

    #[test]
    fn objects_flatten_and_repeats_stay() {
        let expected =
            [("o.p.q", "1"), ("o.p", "2"), ("O.P", "3")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(dynamic(r#"{"o":{"p":{"q":1}},"o.p":2,"e":{},"O.P":3}"#), expected);
        assert_eq!(fields(r#"{"o.p":2,"O.P":3}"#).get("O.p"), Some("2"));
        assert_eq!(dynamic("[1]"), []);
    }

    #[test]
    fn nulls_can_be_left_out() {
        let json = Json::parse(br#"{"a":null,"b":{"c":null,"d":1}}"#).unwrap();
        assert_eq!(flatten(&json, true).dynamic, [("b.d".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn some_names_are_static_fields() {
        let fields =
            fields(r#"{"srcip":"1","Srcip":"2","a":{"id":"3"},"systemname":"4","system_name":"5","id":6}"#);
        assert_eq!(fields.fixed, [("srcip", "1".into()), ("system_name", "4".into()), ("id", "6".into())]);
        let names: Vec<&str> = fields.dynamic.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Srcip", "a.id", "system_name"]);
    }

    #[test]
    fn user_is_another_name_of_dstuser_while_that_is_free() {
        assert_eq!(fields(r#"{"user":"a","dstuser":"b"}"#).fixed, [("dstuser", "b".into())]);
        let later = fields(r#"{"dstuser":"b","user":"a"}"#);
        assert_eq!(
            (later.fixed, later.dynamic),
            (vec![("dstuser", "b".into())], vec![("user".into(), "a".into())])
        );
    }

    #[test]
    fn there_are_256_fields_at_most() {
        let members: Vec<String> = (0..300).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = format!("{{{},\"id\":1}}", members.join(","));
        assert_eq!(fields(&text).dynamic.len(), MAX_FIELDS);
        assert_eq!(fields(&text).fixed.len(), 1);
    }
}
