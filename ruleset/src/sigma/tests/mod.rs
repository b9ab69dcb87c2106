//! Sigma texts through the whole front end.

use super::*;
use crate::diagnostic::Severity;
use crate::ir::Network;
use crate::ir::sigma::{Comparison, Expr, FieldTest, Pattern, PatternPart, SigmaRule};

mod corpus;
mod correlations;
mod detections;
mod documents;
mod filters;
mod hostile;
mod modifiers;
mod properties;

fn file(path: &str, text: &str) -> SigmaText {
    SigmaText { path: path.into(), text: text.as_bytes().to_vec(), origin: Origin::User }
}

/// Loads one file without values for placeholders.
fn load_text(text: &str) -> Loaded {
    load(&[file("r.yml", text)], &Placeholders::default())
}

/// The faults, each as its first line without the file: `4:5: error: …`.
fn faults(loaded: &Loaded) -> Vec<String> {
    let line = |fault: &Diagnostic| {
        let shown = fault.to_string();
        shown.lines().next().unwrap_or_default().trim_start_matches("r.yml:").to_owned()
    };
    loaded.diagnostics.iter().map(line).collect()
}

/// The rules of a text without faults.
fn rules(text: &str) -> Vec<SigmaRule> {
    let loaded = load_text(text);
    assert_eq!(faults(&loaded), Vec::<String>::new(), "{text}");
    loaded.set.rules
}

/// A rule around a detection whose lines begin in the fourth line.
fn around(detection: &str) -> String {
    format!("title: t\nlogsource: {{product: p}}\ndetection:\n{detection}\n")
}

/// A rule with one item, at line 5 from column 5 on.
fn with_item(item: &str) -> String {
    around(&format!("  s:\n    {item}\n  condition: s"))
}

/// The expression of a rule with one item.
fn item(item: &str) -> String {
    shown(&rules(&with_item(item))[0].expr)
}

fn shown(expr: &Expr) -> String {
    let join =
        |parts: &[Expr], word: &str| format!("({})", parts.iter().map(shown).collect::<Vec<_>>().join(word));
    match expr {
        Expr::All(parts) => join(parts, " & "),
        Expr::Any(parts) => join(parts, " | "),
        Expr::Not(inner) => format!("!{}", shown(inner)),
        Expr::Field { name, test } => shown_test(name, test),
        Expr::Keyword(test) => shown_test("#", test),
    }
}

fn shown_test(name: &str, test: &FieldTest) -> String {
    match test {
        FieldTest::Pattern(Pattern { parts, cased }) => {
            let part = |part: &PatternPart| match part {
                PatternPart::Bytes(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => text.replace('\0', "0"),
                    Err(_) => format!("{bytes:02x?}"),
                },
                PatternPart::AnyRun => "<*>".to_owned(),
                PatternPart::AnyOne => "<?>".to_owned(),
            };
            let text: String = parts.iter().map(part).collect();
            format!("{name}{}{text}", if *cased { "==" } else { "=" })
        }
        FieldTest::Regex(regex) => format!("{name}~{regex}"),
        FieldTest::Networks(networks) => {
            let one = |network: &Network| match network {
                Network::V4(bits, mask) => {
                    format!("{}/{}", std::net::Ipv4Addr::from(*bits), mask.count_ones())
                }
                Network::V6(bits, mask) => {
                    format!("{}/{}", std::net::Ipv6Addr::from(*bits), mask.count_ones())
                }
                Network::Any => "any".to_owned(),
            };
            format!("{name} in {}", networks.iter().map(one).collect::<Vec<_>>().join(","))
        }
        FieldTest::Compare(comparison, number) => {
            let sign = match comparison {
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
                Comparison::Equal | Comparison::NotEqual => "?",
            };
            format!("{name}{sign}{number}")
        }
        FieldTest::Null => format!("{name} null"),
        FieldTest::Exists(exists) => format!("{name} exists {exists}"),
        FieldTest::Same { field, site, cased, negated } => {
            assert!(!negated);
            format!("{name} {site:?} {field}{}", if *cased { " cased" } else { "" })
        }
        FieldTest::TimePart(part, number) => format!("{name} {part:?} {number}"),
    }
}
