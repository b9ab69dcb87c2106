//! The reference's envelope, built in full.
//!
//! Enters: a record as the provider sent it, and the facts that are not in it. Leaves: the event that the reference's
//! collector would hand to its engine. The engine under test never builds this; it must decide as if it had.

use super::json::Json;

/// Builds the envelope of a record; nothing for a source it does not know, or a record that is not an object.
///
/// Sources and facts: `aws.cloudtrail` (`aws_account_alias`, `log_file`, `s3bucket`, `aws_account_id`);
/// `azure.log_analytics` and `azure.graph` (`tag`); `azure.storage` (`tag`, `content_type`: `text`, `json_file`, else
/// one object a line).
#[must_use]
pub fn envelope(source: &str, raw: &[u8], facts: &[(String, String)]) -> Option<Vec<u8>> {
    let fact = |name: &str| facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if source == "azure.storage" && fact("content_type") == Some("text") {
        let mut line =
            format!("azure_tag: azure-storage. azure_storage_tag: {}. ", fact("tag").unwrap_or_default())
                .into_bytes();
        line.extend_from_slice(raw);
        return Some(line);
    }
    let Json::Object(members) = Json::parse(raw)? else { return None };
    let event = Object(members);
    let event = match source {
        "aws.cloudtrail" => cloudtrail(event, &fact),
        "azure.log_analytics" => {
            tagged(event.unique(), "azure-log-analytics", fact("tag").map(|tag| ("log_analytics_tag", tag)))
        }
        "azure.graph" => {
            tagged(graph(event.unique()), "azure-ad-graph", fact("tag").map(|tag| ("azure_aad_tag", tag)))
        }
        "azure.storage" => storage(event, &fact),
        _ => return None,
    };
    let mut text = String::new();
    Json::Object(event.0).write(&mut text);
    Some(text.into_bytes())
}

/// Members of an object.
struct Object(Vec<(String, Json)>);

impl Object {
    /// As the reference's collector reads it: a repeated member keeps its first place and its last value.
    fn unique(self) -> Self {
        let mut unique = Self(Vec::new());
        for (name, value) in self.0 {
            unique.set(&name, unique_inside(value));
        }
        unique
    }

    fn set(&mut self, name: &str, value: Json) {
        match self.get_mut(name) {
            Some(old) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.0.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

fn unique_inside(value: Json) -> Json {
    match value {
        Json::Object(members) => Json::Object(Object(members).unique().0),
        Json::Array(items) => Json::Array(items.into_iter().map(unique_inside).collect()),
        other => other,
    }
}

fn text(value: &str) -> Json {
    Json::Text(value.to_owned())
}

fn tagged(mut event: Object, tag: &str, own: Option<(&str, &str)>) -> Object {
    event.set("azure_tag", text(tag));
    if let Some((name, value)) = own {
        event.set(name, text(value));
    }
    event
}

/// Members that are objects in some events and text or nothing in others are left out then.
fn graph(mut event: Object) -> Object {
    let is_bare = |value: &Json| matches!(value, Json::Null | Json::Text(_));
    if let Some(Json::Object(members)) = event.get_mut("initiatedBy") {
        members.retain(|(name, value)| !((name == "app" || name == "user") && is_bare(value)));
    }
    event.0.retain(|(name, value)| !(name == "status" && is_bare(value)));
    event
}

fn storage<'f>(event: Object, fact: &impl Fn(&str) -> Option<&'f str>) -> Object {
    let tag = fact("tag").map(|tag| ("azure_storage_tag", tag));
    if fact("content_type") == Some("json_file") {
        return tagged(event.unique(), "azure-storage", tag);
    }
    // Put in front of the line as text: what the line repeats stays.
    let mut members = tagged(Object(Vec::new()), "azure-storage", tag);
    members.0.extend(event.0);
    members
}

/// The steps that all records from buckets go through, then those of CloudTrail.
fn cloudtrail<'f>(event: Object, fact: &impl Fn(&str) -> Option<&'f str>) -> Object {
    let mut event = event.unique();
    event.set("source", text("cloudtrail"));
    let event = Object(without_nulls(event.0));
    let of_fact = |name: &str| text(fact(name).unwrap_or_default());
    let origin = ["aws_account_alias", "log_file", "s3bucket"].map(|name| (name.to_owned(), of_fact(name)));
    let mut aws = Object(vec![("log_info".to_owned(), Json::Object(origin.into()))]);
    for (name, value) in event.0 {
        aws.set(&name, value);
    }
    aws.set("aws_account_id", of_fact("aws_account_id"));
    let mut aws = Object(aws.0.into_iter().map(|(name, value)| (name, unwrap_single(value))).collect());
    let address = aws.get_mut("sourceIPAddress").and_then(|value| value.as_text().map(str::to_owned));
    if let Some(address) = address.filter(|address| starts_with_ipv4(address)) {
        aws.set("source_ip_address", Json::Text(address));
    }
    if let Some(tags) = aws.get_mut("tags").filter(|tags| !matches!(tags, Json::Object(_))) {
        *tags = Json::Object(vec![("value".to_owned(), tags.clone())]);
    }
    for name in ["additionalEventData", "responseElements", "requestParameters"] {
        if let Some(value) = aws.get_mut(name).filter(|value| !matches!(value, Json::Object(_))) {
            *value = Json::Object(vec![("string".to_owned(), Json::Text(python_text(value)))]);
        }
    }
    if let Some(Json::Object(members)) = aws.get_mut("requestParameters")
        && let Some((_, value)) = members.iter_mut().find(|(name, _)| name == "disableApiTermination")
        && matches!(value, Json::Bool(_))
    {
        *value = Json::Object(vec![("value".to_owned(), value.clone())]);
    }
    Object(vec![("integration".to_owned(), text("aws")), ("aws".to_owned(), Json::Object(aws.0))])
}

/// Removes null members, through objects but not inside arrays.
fn without_nulls(members: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let members = members.into_iter().filter(|(_, value)| *value != Json::Null);
    members
        .map(|(name, value)| match value {
            Json::Object(members) => (name, Json::Object(without_nulls(members))),
            other => (name, other),
        })
        .collect()
}

/// An array of one element becomes that element, through objects but not inside arrays or what was just unwrapped.
fn unwrap_single(value: Json) -> Json {
    match value {
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name, unwrap_single(value))).collect())
        }
        Json::Array(mut items) if items.len() == 1 => items.remove(0),
        other => other,
    }
}

fn starts_with_ipv4(text: &str) -> bool {
    let mut rest = text;
    for part in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return false;
        }
        rest = rest.get(digits..).unwrap_or_default();
        if part < 3 {
            let Some(after) = rest.strip_prefix('.') else { return false };
            rest = after;
        }
    }
    true
}

/// A value as the reference's collector turns it into text; the text of a string is itself.
fn python_text(value: &Json) -> String {
    match value {
        Json::Text(text) => text.clone(),
        other => python_literal(other),
    }
}

fn python_literal(value: &Json) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(text) if text.contains(['.', 'e', 'E']) => {
            let text = format!("{:?}", text.parse::<f64>().unwrap_or_default());
            match text.split_once('e') {
                Some((head, exponent)) => {
                    let exponent: i32 = exponent.parse().unwrap_or_default();
                    format!("{head}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
                }
                None => text,
            }
        }
        Json::Number(text) => text.clone(),
        Json::Text(text) => python_quoted(text),
        Json::Array(items) => format!("[{}]", list(items.iter().map(python_literal).collect())),
        Json::Object(members) => {
            let member = |(name, value): &(String, Json)| {
                format!("{}: {}", python_quoted(name), python_literal(value))
            };
            format!("{{{}}}", list(members.iter().map(member).collect()))
        }
    }
}

/// Single quotes, unless only they would have to be escaped.
fn python_quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            char if char == quote => out.extend(['\\', char]),
            char if char < ' ' || char == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push(quote);
    out
}
