//! The JSON decoder as the reference has it: an object becomes a list of named texts.
//!
//! Enters: a value. Leaves: dynamic fields, and the static ones that a few names are set aside for. The texts are
//! what rules are matched against, so how numbers and arrays are written matters.

use super::event::Fields;
use super::json::{Json, write_text};
use crate::ir::StaticField;

/// Names that fill static fields, and those fields.
const STATIC: &[(&str, StaticField)] = &[
    ("srcip", StaticField::SrcIp),
    ("dstip", StaticField::DstIp),
    ("srcport", StaticField::SrcPort),
    ("dstport", StaticField::DstPort),
    ("protocol", StaticField::Protocol),
    ("action", StaticField::Action),
    ("srcuser", StaticField::SrcUser),
    ("dstuser", StaticField::DstUser),
    ("id", StaticField::Id),
    ("status", StaticField::Status),
    ("url", StaticField::Url),
    ("data", StaticField::Data),
    ("extra_data", StaticField::ExtraData),
    ("systemname", StaticField::SystemName),
];

/// How a decoder wants its JSON.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// Members that are null are left out.
    pub(super) discard_null: bool,
    /// Arrays become comma-separated texts of their scalars.
    pub(super) csv_arrays: bool,
}

/// Adds the members of an event's value to its fields; only an object has any.
pub(super) fn flatten(json: &Json, style: Style, fields: &mut Fields) {
    if let Json::Object(members) = json {
        for (key, value) in members {
            add(until_nul(key), value, style, fields);
        }
    }
}

fn add(name: &str, value: &Json, style: Style, fields: &mut Fields) {
    match value {
        Json::Null if style.discard_null => {}
        Json::Array(items) if style.csv_arrays => {
            let scalars: Vec<String> = items.iter().filter_map(scalar).collect();
            let text = scalars.join(",");
            if !text.is_empty() {
                fill(name, &text, fields);
            }
        }
        Json::Array(_) => {
            let mut text = String::new();
            print(value, 0, &mut text);
            fill(name, &text, fields);
        }
        Json::Object(members) => {
            for (key, value) in members {
                add(&format!("{name}.{}", until_nul(key)), value, style, fields);
            }
        }
        value => {
            if let Some(text) = scalar(value) {
                fill(name, &text, fields);
            }
        }
    }
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some("null".to_owned()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(text) => Some(number(text)),
        // The reference keeps texts up to their first NUL.
        Json::Text(text) => Some(until_nul(text).to_owned()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

fn fill(name: &str, value: &str, fields: &mut Fields) {
    let value = value.as_bytes();
    if let Some((_, field)) = STATIC.iter().find(|(key, _)| *key == name) {
        fields.set(*field, value);
    } else if name == "user" && fields.fixed(StaticField::DstUser).is_none() {
        fields.set(StaticField::DstUser, value);
    } else {
        fields.add(name, value);
    }
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
    use crate::naive::event::MAX_FIELDS;

    fn styled(text: &str, style: Style) -> Fields {
        let mut fields = Fields::default();
        flatten(&Json::parse(text.as_bytes()).unwrap(), style, &mut fields);
        fields
    }

    fn fields(text: &str) -> Fields {
        styled(text, Style::default())
    }

    fn texts(fields: Fields) -> Vec<(String, String)> {
        fields.dynamic.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect()
    }

    fn dynamic(text: &str) -> Vec<(String, String)> {
        texts(fields(text))
    }

    fn fixed(text: &str) -> Vec<(StaticField, String)> {
        fields(text)
            .fixed
            .into_iter()
            .map(|(field, value)| (field, String::from_utf8(value).unwrap()))
            .collect()
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
        assert_eq!(fields(r#"{"o.p":2,"O.P":3}"#).dynamic("O.p"), Some(&b"2"[..]));
        assert_eq!(dynamic("[1]"), []);
    }

    #[test]
    fn nulls_can_be_left_out() {
        let style = Style { discard_null: true, csv_arrays: false };
        let fields = styled(r#"{"a":null,"b":{"c":null,"d":1}}"#, style);
        assert_eq!(texts(fields), [("b.d".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn arrays_can_be_lists_of_scalars() {
        let style = Style { discard_null: false, csv_arrays: true };
        let fields = styled(r#"{"a":[1,"b",{"c":2},[3],1.5,true],"d":[],"e":[{}],"id":["x"]}"#, style);
        assert_eq!(fields.fixed(StaticField::Id), Some(&b"x"[..]));
        assert_eq!(texts(fields), [("a".to_owned(), "1,b,1.500000,true".to_owned())]);
    }

    #[test]
    fn some_names_are_static_fields() {
        let text = r#"{"srcip":"1","Srcip":"2","a":{"id":"3"},"systemname":"4","system_name":"5","id":6}"#;
        let expected = [
            (StaticField::SrcIp, "1".into()),
            (StaticField::SystemName, "4".into()),
            (StaticField::Id, "6".into()),
        ];
        assert_eq!(fixed(text), expected);
        let names: Vec<String> = dynamic(text).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Srcip", "a.id", "system_name"]);
    }

    #[test]
    fn user_is_another_name_of_dstuser_while_that_is_free() {
        assert_eq!(fixed(r#"{"user":"a","dstuser":"b"}"#), [(StaticField::DstUser, "b".into())]);
        let later = r#"{"dstuser":"b","user":"a"}"#;
        assert_eq!(fixed(later), [(StaticField::DstUser, "b".into())]);
        assert_eq!(dynamic(later), [("user".into(), "a".into())]);
    }

    #[test]
    fn there_are_256_fields_at_most() {
        let members: Vec<String> = (0..300).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = format!("{{{},\"id\":1}}", members.join(","));
        assert_eq!(fields(&text).dynamic.len(), MAX_FIELDS);
        assert_eq!(fields(&text).fixed.len(), 1);
    }
}
