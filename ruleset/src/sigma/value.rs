//! One value of a selection: what its field is tested for.
//!
//! Enters: the value as YAML has it and what the modifiers of its key say. Leaves: tests of which any may hold, or faults.
//! Texts are compared as patterns; a value that modifiers make several of becomes several tests.

use crate::expr::Pcre2;
use crate::ir::sigma::{Comparison, FieldTest, Pattern, PatternPart, ReferenceSite, TimePart};
use crate::yaml::{Node, Value};

use super::encode;
use super::faults::Faults;
use super::modifier::{Chain, Flags, Kind, Site};
use super::network;
use super::pattern::{self, MAX_PATTERNS, Unfilled};
use super::placeholders::Placeholders;
use super::scalar::Single;
use super::words::nearest;

/// What reading a value needs beside it.
pub(super) struct Context<'c, 't> {
    pub(super) faults: &'c mut Faults<'t>,
    pub(super) placeholders: &'c Placeholders,
    /// Placeholders without values that were met.
    pub(super) unfilled: &'c mut Vec<String>,
    /// Bytes that modifiers may still make of values.
    pub(super) room: &'c mut usize,
}

impl Context<'_, '_> {
    /// The tests of one value; `None` after a fault.
    pub(super) fn tests(&mut self, chain: &Chain, node: &Node) -> Option<Vec<FieldTest>> {
        let Value::Scalar(scalar) = &node.value else {
            let help = match &node.value {
                Value::Mapping(_) => "name a field within another one with a dot: `outer.inner: value`",
                _ => "write all values in one list",
            };
            let message = format!("a value must be a single value, this is {}", node.kind());
            self.faults.error(&node.place, "", message, help);
            return None;
        };
        let single = Single::of(scalar);
        let Some(text) = single.as_text() else {
            return self.null(chain, node);
        };
        match chain.kind {
            Kind::Text => self.texts(chain, node, &single),
            Kind::Regex(flags) => self.regexes(chain, node, flags, &scalar.text),
            Kind::Networks => self.networks(chain, node, text),
            Kind::Compare(comparison) => match single {
                Single::Number(number, _) => Some(vec![FieldTest::Compare(comparison, number)]),
                _ => self.refuse(
                    node,
                    "a value to compare with must be a number",
                    "write a number without quotes",
                ),
            },
            Kind::Time(part, comparison) => self.times(node, part, comparison, &single),
            Kind::FieldReference => self.reference(chain, node, text),
            Kind::Exists => match single {
                Single::Bool(exists) => Some(vec![FieldTest::Exists(exists)]),
                _ => self.refuse(node, "`exists` needs a truth value", "write true or false without quotes"),
            },
        }
    }

    fn refuse<T>(&mut self, node: &Node, message: &str, help: &str) -> Option<T> {
        self.faults.error(&node.place, node.text().unwrap_or_default(), message, help);
        None
    }

    fn null(&mut self, chain: &Chain, node: &Node) -> Option<Vec<FieldTest>> {
        let is_plain = chain.kind == Kind::Text
            && chain.site.is_none()
            && chain.transforms.is_empty()
            && !chain.cased
            && !chain.expand;
        if is_plain {
            return Some(vec![FieldTest::Null]);
        }
        let help = "write a value, or `''` for an empty text";
        self.refuse(node, "null has no value that a modifier could change", help)
    }

    fn texts(&mut self, chain: &Chain, node: &Node, single: &Single<'_>) -> Option<Vec<FieldTest>> {
        let written = match single {
            Single::Text(text) => pattern::parse(text),
            other => vec![PatternPart::Bytes(other.as_text().unwrap_or_default().as_bytes().to_vec())],
        };
        let mut patterns = match chain.expand {
            true => self.filled(node, |placeholders| pattern::expand(&written, placeholders))?,
            false => vec![written],
        };
        for transform in &chain.transforms {
            let mut made = Vec::new();
            for parts in &patterns {
                match encode::apply(*transform, parts) {
                    Ok(more) => made.extend(more),
                    Err((message, help)) => return self.refuse(node, message, help),
                }
                if made.len() > MAX_PATTERNS {
                    return self.refuse(node, "the value becomes too many patterns", "split the rule");
                }
            }
            patterns = made;
        }
        if chain.expand || !chain.transforms.is_empty() {
            let made = patterns.iter().map(|parts| 16 + pattern::weight(parts)).sum();
            let Some(left) = self.room.checked_sub(made) else {
                let help = "split the file, or the values with many dashes or placeholders";
                return self.refuse(node, "modifiers make too much of the values of this file", help);
            };
            *self.room = left;
        }
        let test = |mut parts: Vec<PatternPart>| {
            if matches!(chain.site, Some(Site::Anywhere | Site::Start)) {
                pattern::push(&mut parts, PatternPart::AnyRun);
            }
            if matches!(chain.site, Some(Site::Anywhere | Site::End))
                && parts.first() != Some(&PatternPart::AnyRun)
            {
                parts.insert(0, PatternPart::AnyRun);
            }
            FieldTest::Pattern(Pattern { parts, cased: chain.cased })
        };
        Some(patterns.into_iter().map(test).collect())
    }

    /// What placeholders become; nothing, and a note, where some have no values.
    fn filled<T>(
        &mut self,
        node: &Node,
        fill: impl FnOnce(&Placeholders) -> Result<Vec<T>, Unfilled>,
    ) -> Option<Vec<T>> {
        match fill(self.placeholders) {
            Ok(filled) => Some(filled),
            Err(Unfilled::Unknown(names)) => {
                for name in &names {
                    let known: Vec<&str> = self.placeholders.names().collect();
                    let mut help = format!(
                        "give it values: `vars: {{{name}: [value, …]}}` in a *.placeholders.yaml beside the rules"
                    );
                    if let Some(near) = nearest(name, known) {
                        help.push_str(&format!("; did you mean {near}?"));
                    }
                    let message = format!("the placeholder %{name}% has no values: the rule never matches");
                    self.faults.warning(&node.place, node.text().unwrap_or_default(), message, help);
                }
                self.unfilled.extend(names);
                Some(Vec::new())
            }
            Err(Unfilled::TooMany) => {
                self.refuse(node, "the placeholders have too many values together", "split the value")
            }
            Err(Unfilled::Nothing) => {
                let help = "write it as %name%, or remove the modifier expand";
                self.refuse(node, "there is no placeholder in the value", help)
            }
        }
    }

    fn regexes(&mut self, chain: &Chain, node: &Node, flags: Flags, text: &str) -> Option<Vec<FieldTest>> {
        let regexes = match chain.expand {
            true => self.filled(node, |placeholders| pattern::expand_regex(text, placeholders))?,
            false => vec![text.to_owned()],
        };
        let letters = [(flags.insensitive, 'i'), (flags.multi_line, 'm'), (flags.dot_all, 's')];
        let letters: String = letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
        let mut front = if letters.is_empty() { String::new() } else { format!("(?{letters})") };
        let back = match chain.site {
            Some(Site::Start) => {
                front.push_str(r"\A(?:");
                ")"
            }
            Some(Site::End) => {
                front.push_str("(?:");
                r")\z"
            }
            Some(Site::Anywhere) | None => "",
        };
        let mut tests = Vec::with_capacity(regexes.len());
        for regex in regexes {
            let whole = format!("{front}{regex}{back}");
            if let Err(error) = Pcre2::check(&whole) {
                let offset = error.offset.saturating_sub(front.len()).min(regex.len());
                let place = match chain.expand {
                    true => node.place.clone(),
                    false => self.faults.within(node, offset),
                };
                let message = format!("this is no regular expression: {}", error.message);
                self.faults.error(&place, &regex, message, error.help);
                return None;
            }
            tests.push(FieldTest::Regex(whole));
        }
        Some(tests)
    }

    fn networks(&mut self, chain: &Chain, node: &Node, text: &str) -> Option<Vec<FieldTest>> {
        let written = vec![PatternPart::Bytes(text.as_bytes().to_vec())];
        let texts: Vec<String> = match chain.expand {
            true => {
                let filled = self.filled(node, |placeholders| pattern::expand(&written, placeholders))?;
                if filled.iter().any(|parts| pattern::has_wildcard(parts)) {
                    let help = "give the placeholder networks as values";
                    return self.refuse(node, "a network has no wildcards", help);
                }
                let text = |parts: &Vec<PatternPart>| match parts.as_slice() {
                    [PatternPart::Bytes(bytes)] => String::from_utf8_lossy(bytes).into_owned(),
                    _ => String::new(),
                };
                filled.iter().map(text).collect()
            }
            false => vec![text.to_owned()],
        };
        let mut networks = Vec::with_capacity(texts.len());
        for text in &texts {
            let Some((network, is_exact)) = network::parse(text) else {
                let message = format!("{text} is neither a network nor an address");
                let help = "write an address with a prefix length: 10.0.0.0/8";
                self.faults.error(&node.place, text, message, help);
                return None;
            };
            if !is_exact {
                let message = "the address goes on behind its prefix: all of the network is meant";
                let help = "write zeros behind the prefix, as in 10.0.0.0/8";
                self.faults.warning(&node.place, text, message, help);
            }
            networks.push(network);
        }
        Some(if networks.is_empty() { Vec::new() } else { vec![FieldTest::Networks(networks)] })
    }

    fn times(
        &mut self,
        node: &Node,
        part: TimePart,
        comparison: Option<Comparison>,
        single: &Single<'_>,
    ) -> Option<Vec<FieldTest>> {
        let range = match part {
            TimePart::Minute => 0..=59,
            TimePart::Hour => 0..=23,
            TimePart::Day => 1..=31,
            TimePart::Week => 1..=53,
            TimePart::Month => 1..=12,
            TimePart::Year => 0..=9999,
        };
        let number = match single {
            Single::Number(_, text) => text.parse::<u32>().ok().filter(|number| range.contains(number)),
            _ => None,
        };
        let Some(number) = number else {
            let message = format!("this must be a whole number from {} to {}", range.start(), range.end());
            self.faults.error(&node.place, node.text().unwrap_or_default(), message, "write such a number");
            return None;
        };
        let Some(comparison) = comparison else { return Some(vec![FieldTest::TimePart(part, number)]) };
        if part == TimePart::Year {
            return self.refuse(node, "years are not compared", "list the years");
        }
        let holds = |value: &u32| match comparison {
            Comparison::Less => *value < number,
            Comparison::LessOrEqual => *value <= number,
            Comparison::Greater => *value > number,
            Comparison::GreaterOrEqual => *value >= number,
            Comparison::Equal => *value == number,
            Comparison::NotEqual => *value != number,
        };
        let tests: Vec<FieldTest> =
            range.filter(holds).map(|value| FieldTest::TimePart(part, value)).collect();
        if tests.is_empty() {
            return self.refuse(node, "no time is like that", "compare with a number within the range");
        }
        Some(tests)
    }

    fn reference(&mut self, chain: &Chain, node: &Node, text: &str) -> Option<Vec<FieldTest>> {
        let field = match pattern::parse(text).as_slice() {
            [PatternPart::Bytes(bytes)] => String::from_utf8_lossy(bytes).into_owned(),
            _ => return self.refuse(node, "the name of a field has no wildcards", "name one other field"),
        };
        let site = match chain.site {
            None => ReferenceSite::Whole,
            Some(Site::Start) => ReferenceSite::Start,
            Some(Site::End) => ReferenceSite::End,
            Some(Site::Anywhere) => ReferenceSite::Anywhere,
        };
        Some(vec![FieldTest::Same { field, site, cased: chain.cased, negated: false }])
    }
}
