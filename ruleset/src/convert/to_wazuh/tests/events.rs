//! Events made from a rule's own conditions: some that fulfil them, and near misses.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::decode::mapping::Mapping;
use crate::ir::Network;
use crate::ir::sigma::{Expr, FieldTest, PatternPart};

/// Numbers that look random and are the same each time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A value, or nothing, for each path.
type Fields = BTreeMap<String, Option<Value>>;

/// So many records of a source.
pub(super) fn records(expr: &Expr, mapping: &Mapping, count: usize, seed: u64) -> Vec<String> {
    let mut dice = Dice(seed | 1);
    (0..count)
        .map(|at| {
            let mut fields = Fields::new();
            // Every second one is to match, before it may be spoilt.
            choose(expr, at % 2 == 0 || dice.below(3) > 0, mapping, &mut dice, &mut fields);
            if dice.below(2) == 0 && !fields.is_empty() {
                let paths: Vec<String> = fields.keys().cloned().collect();
                let path = dice.one(&paths).clone();
                let spoilt = spoil(fields[&path].as_ref(), &mut dice);
                fields.insert(path, spoilt);
            }
            record(&fields, mapping).to_string()
        })
        .collect()
}

/// Sets fields so that the expression comes out as wanted, if nothing else has set them.
fn choose(expr: &Expr, wanted: bool, mapping: &Mapping, dice: &mut Dice, fields: &mut Fields) {
    match (expr, wanted) {
        (Expr::Not(part), _) => choose(part, !wanted, mapping, dice, fields),
        (Expr::All(parts), true) | (Expr::Any(parts), false) => {
            parts.iter().for_each(|part| choose(part, wanted, mapping, dice, fields));
        }
        (Expr::All(parts), false) | (Expr::Any(parts), true) => {
            if !parts.is_empty() {
                let chosen = dice.below(parts.len());
                for (at, part) in parts.iter().enumerate() {
                    let wanted = if at == chosen { wanted } else { dice.below(2) == 0 };
                    if at == chosen || dice.below(3) == 0 {
                        choose(part, wanted, mapping, dice, fields);
                    }
                }
            }
        }
        (Expr::Keyword(_), _) => {}
        (Expr::Field { name, test }, _) => {
            let paths: Vec<String> =
                mapping.sigma.paths_of(name).filter(|path| !path.contains('/')).map(str::to_owned).collect();
            if paths.is_empty() {
                return;
            }
            let path = dice.one(&paths).clone();
            let value = if wanted { hit(test, dice) } else { spoil(hit(test, dice).as_ref(), dice) };
            // Where it is set already, one of the values stays, or they are joined, which fulfils what asks for parts.
            let value = match (fields.get(&path), value) {
                (None, value) => value,
                (Some(Some(Value::String(known))), Some(Value::String(text))) if wanted => {
                    Some(json!(dice.one(&[known.clone(), text.clone(), format!("{known}{text}")])))
                }
                (Some(known), value) => {
                    if wanted && dice.below(2) == 0 {
                        value
                    } else {
                        known.clone()
                    }
                }
            };
            fields.insert(path, value);
        }
    }
}

fn hit(test: &FieldTest, dice: &mut Dice) -> Option<Value> {
    Some(match test {
        FieldTest::Pattern(pattern) => {
            let mut bytes = Vec::new();
            for part in &pattern.parts {
                match part {
                    PatternPart::Bytes(text) => bytes.extend_from_slice(text),
                    PatternPart::AnyRun => bytes.extend_from_slice(
                        dice.one(&["", "x", "-any thing/", "\u{e9}\u{4e16}", "a\nb", "\"q\"", "\\"])
                            .as_bytes(),
                    ),
                    PatternPart::AnyOne => {
                        bytes.extend_from_slice(dice.one(&["x", "?", "\u{e9}", "\u{1f600}"]).as_bytes());
                    }
                }
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            match serde_json::from_str::<Value>(&text) {
                Ok(value) if (value.is_number() || value.is_boolean()) && dice.below(2) == 0 => value,
                _ if dice.below(4) == 0 && !pattern.cased => json!(text.to_uppercase()),
                _ => json!(text),
            }
        }
        FieldTest::Regex(regex) => json!(sample(regex, dice)),
        FieldTest::Networks(networks) => json!(match dice.one(networks) {
            Network::Any => "1.2.3.4".to_owned(),
            Network::V4(base, mask) =>
                std::net::Ipv4Addr::from_bits(base | (!mask & u32::try_from(dice.below(1 << 30)).unwrap()))
                    .to_string(),
            Network::V6(base, mask) =>
                std::net::Ipv6Addr::from_bits(base | (!mask & u128::try_from(dice.below(1 << 30)).unwrap()))
                    .to_string(),
        }),
        FieldTest::Compare(_, number) => {
            let step = *dice.one(&[0.0, 1.0, -1.0, 0.5, 10.0, -10.0, 1000.0]);
            json!(number + step)
        }
        FieldTest::Null => return dice.one(&[None, Some(Value::Null)]).clone(),
        FieldTest::Exists(true) => json!("here"),
        FieldTest::Exists(false) => return None,
        FieldTest::Same { .. } | FieldTest::TimePart(..) => json!("x"),
    })
}

fn spoil(value: Option<&Value>, dice: &mut Dice) -> Option<Value> {
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "something".to_owned(),
    };
    let half: String = text.chars().skip(text.chars().count() / 2).collect();
    match dice.below(12) {
        0 | 1 => None,
        2 => Some(Value::Null),
        3 => Some(json!("")),
        4 => Some(json!(format!("{text}x"))),
        5 => Some(json!(format!("x{text}"))),
        6 => Some(json!(format!("{text}\n"))),
        7 => Some(json!(half)),
        8 => Some(json!(12_345_678_901_i64)),
        9 => Some(json!(true)),
        10 => Some(json!("something else")),
        _ => Some(json!(text.replace(['a', 'e'], "~"))),
    }
}

/// A text that a regular expression takes, mostly.
fn sample(regex: &str, dice: &mut Dice) -> String {
    let Ok(hir) = regex_syntax::parse(regex) else { return regex.to_owned() };
    let mut out = String::new();
    walk(&hir, dice, &mut out);
    // What stands behind one, Wazuh rules do not see.
    out.replace('\0', "~")
}

fn walk(hir: &regex_syntax::hir::Hir, dice: &mut Dice, out: &mut String) {
    use regex_syntax::hir::{Class, HirKind};
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            // Not the first of all characters, at which a text ends.
            let holds =
                |char: &char| class.ranges().iter().any(|range| (range.start()..=range.end()).contains(char));
            let first = class.ranges().first().map(|range| range.start());
            out.extend("x5-".chars().find(holds).or(first));
        }
        HirKind::Class(Class::Bytes(_)) => out.push('x'),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min + 2).min(repetition.min + 2);
            let extra = dice.below(usize::try_from(most - repetition.min + 1).unwrap());
            for _ in 0..usize::try_from(repetition.min).unwrap() + extra {
                walk(&repetition.sub, dice, out);
            }
        }
        HirKind::Capture(capture) => walk(&capture.sub, dice, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| walk(part, dice, out)),
        HirKind::Alternation(parts) => {
            let part = dice.one(parts);
            walk(part, dice, out);
        }
    }
}

fn record(fields: &Fields, mapping: &Mapping) -> Value {
    let mut record = base(&mapping.source);
    for (path, value) in fields {
        if let Some(value) = value {
            let parts: Vec<&str> = path.split('.').collect();
            put(&mut record, &parts, value);
        }
    }
    match &*mapping.source {
        "aws.eventbridge" => {
            json!({"version": "0", "source": "aws.iam", "detail-type": "x", "detail": record})
        }
        _ => Value::Object(record),
    }
}

/// What all records of a source have.
fn base(source: &str) -> Map<String, Value> {
    let members = match source {
        "k8s.audit" => json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1"}),
        "okta" => json!({"uuid": "u", "published": "2025-01-01T00:00:00Z", "eventType": "t"}),
        "onelogin" => json!({"event_type_id": 1, "account_id": 1}),
        "bitbucket" => json!({"auditType": {"action": "a", "category": "c"}}),
        "cisco.duo" => json!({"txid": "t", "event_type": "e"}),
        _ => json!({"zz": "z"}),
    };
    members.as_object().unwrap().clone()
}

fn put(object: &mut Map<String, Value>, path: &[&str], value: &Value) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        object.insert((*first).to_owned(), value.clone());
        return;
    }
    let inner = object.entry(*first).or_insert_with(|| json!({}));
    if !inner.is_object() {
        *inner = json!({});
    }
    put(inner.as_object_mut().unwrap(), rest, value);
}
