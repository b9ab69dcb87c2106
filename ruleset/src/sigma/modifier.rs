//! The modifiers behind a field's name: `CommandLine|contains|all`.
//!
//! Enters: the key of a selection's item. Leaves: the field, and what its modifiers say together; a modifier that is unknown,
//! stands twice or has no meaning after those before it is told with what to do.

use crate::ir::sigma::{Comparison, TimePart};

use super::words::suggest;

/// A key taken apart.
#[derive(Debug, Default)]
pub(super) struct Key<'t> {
    /// Empty: a keyword.
    pub(super) field: &'t str,
    pub(super) chain: Chain,
}

/// What the modifiers of a key say.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) kind: Kind,
    pub(super) site: Option<Site>,
    /// In the order in which they are applied.
    pub(super) transforms: Vec<Transform>,
    pub(super) cased: bool,
    pub(super) all: bool,
    pub(super) negated: bool,
    pub(super) expand: bool,
}

/// What values are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Text,
    Regex(Flags),
    Networks,
    Compare(Comparison),
    Time(TimePart, Option<Comparison>),
    FieldReference,
    Exists,
}

/// Flags of a regular expression.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) insensitive: bool,
    pub(super) multi_line: bool,
    pub(super) dot_all: bool,
}

/// Where a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    Anywhere,
    Start,
    End,
}

/// What is made of a text before it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    Base64,
    Base64Offset,
    Utf16Le,
    Utf16Be,
    Utf16,
    WinDash,
}

/// What is wrong with a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyFault {
    /// Byte of the key.
    pub(super) at: usize,
    pub(super) modifier: String,
    pub(super) message: String,
    pub(super) help: String,
}

const NAMES: [&str; 31] = [
    "contains",
    "startswith",
    "endswith",
    "all",
    "re",
    "i",
    "m",
    "s",
    "base64",
    "base64offset",
    "utf16le",
    "utf16be",
    "utf16",
    "wide",
    "windash",
    "cidr",
    "lt",
    "lte",
    "gt",
    "gte",
    "neq",
    "fieldref",
    "exists",
    "cased",
    "expand",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
];

/// Takes a key apart.
pub(super) fn parse(key: &str) -> Result<Key<'_>, KeyFault> {
    let (field, modifiers) = key.split_once('|').map_or((key, None), |(field, rest)| (field, Some(rest)));
    let mut chain = Chain::default();
    let mut seen: Vec<&str> = Vec::new();
    let mut at = field.len() + 1;
    for modifier in modifiers.into_iter().flat_map(|modifiers| modifiers.split('|')) {
        let fault =
            |message: String, help: String| KeyFault { at, modifier: modifier.to_owned(), message, help };
        let name = spelled(modifier);
        if seen.contains(&name) {
            return Err(fault(format!("the modifier {modifier} stands here twice"), "remove one".to_owned()));
        }
        seen.push(name);
        chain.admit(name).map_err(|refusal| match refusal {
            Refusal::Unknown => fault(format!("there is no modifier {modifier}"), suggest(modifier, &NAMES)),
            Refusal::Place(message, help) => fault(format!("{modifier} {message}"), help.to_owned()),
        })?;
        at += modifier.len() + 1;
    }
    Ok(Key { field, chain })
}

/// Other names of the same modifiers.
fn spelled(modifier: &str) -> &str {
    match modifier {
        "ignorecase" => "i",
        "multiline" => "m",
        "dotall" => "s",
        "wide" => "utf16le",
        name => name,
    }
}

/// Why a modifier cannot stand where it does.
enum Refusal {
    Unknown,
    /// What is wrong, continuing the modifier's name, and what to do.
    Place(&'static str, &'static str),
}

impl Chain {
    fn admit(&mut self, name: &str) -> Result<(), Refusal> {
        match name {
            "contains" => self.site(Site::Anywhere),
            "startswith" => self.site(Site::Start),
            "endswith" => self.site(Site::End),
            "base64" => self.transform(Transform::Base64),
            "base64offset" => self.transform(Transform::Base64Offset),
            "utf16le" => self.transform(Transform::Utf16Le),
            "utf16be" => self.transform(Transform::Utf16Be),
            "utf16" => self.transform(Transform::Utf16),
            "windash" => self.transform(Transform::WinDash),
            "re" => self.kind(Kind::Regex(Flags::default())),
            "cidr" => self.kind(Kind::Networks),
            "fieldref" => self.kind(Kind::FieldReference),
            "exists" => self.kind(Kind::Exists),
            "i" | "m" | "s" => self.flag(name),
            "lt" => self.compare(Comparison::Less),
            "lte" => self.compare(Comparison::LessOrEqual),
            "gt" => self.compare(Comparison::Greater),
            "gte" => self.compare(Comparison::GreaterOrEqual),
            "minute" => self.kind(Kind::Time(TimePart::Minute, None)),
            "hour" => self.kind(Kind::Time(TimePart::Hour, None)),
            "day" => self.kind(Kind::Time(TimePart::Day, None)),
            "week" => self.kind(Kind::Time(TimePart::Week, None)),
            "month" => self.kind(Kind::Time(TimePart::Month, None)),
            "year" => self.kind(Kind::Time(TimePart::Year, None)),
            "cased" => self.cased(),
            "expand" => self.expand(),
            "all" | "neq" if self.kind == Kind::Exists => Err(ALONE),
            "all" => {
                self.all = true;
                Ok(())
            }
            "neq" => {
                self.negated = true;
                Ok(())
            }
            _ => Err(Refusal::Unknown),
        }
    }

    fn site(&mut self, site: Site) -> Result<(), Refusal> {
        if self.site.is_some() {
            let help = "keep one of contains, startswith and endswith";
            return Err(Refusal::Place("says again where the value stands", help));
        }
        match self.kind {
            Kind::Text | Kind::Regex(_) | Kind::FieldReference => self.site = Some(site),
            Kind::Exists => return Err(ALONE),
            Kind::Networks | Kind::Compare(_) | Kind::Time(..) => return Err(NO_TEXT),
        }
        Ok(())
    }

    fn transform(&mut self, transform: Transform) -> Result<(), Refusal> {
        match self.kind {
            Kind::Text => {}
            Kind::Exists => return Err(ALONE),
            _ => return Err(NO_TEXT),
        }
        let is_base64 = matches!(transform, Transform::Base64 | Transform::Base64Offset);
        if is_base64 && self.site.is_some() {
            let help = "write it before contains, startswith or endswith";
            return Err(Refusal::Place("cannot encode a value that has wildcards by now", help));
        }
        if transform == Transform::WinDash && !self.transforms.is_empty() {
            return Err(Refusal::Place("finds no dashes in an encoded value", "write windash first"));
        }
        self.transforms.push(transform);
        Ok(())
    }

    fn flag(&mut self, name: &str) -> Result<(), Refusal> {
        let Kind::Regex(flags) = &mut self.kind else {
            return Err(Refusal::Place(
                "is a flag of regular expressions",
                "write it after re: `field|re|i`",
            ));
        };
        match name {
            "i" => flags.insensitive = true,
            "m" => flags.multi_line = true,
            _ => flags.dot_all = true,
        }
        Ok(())
    }

    fn compare(&mut self, comparison: Comparison) -> Result<(), Refusal> {
        match self.kind {
            Kind::Time(part, None) => self.kind = Kind::Time(part, Some(comparison)),
            Kind::Compare(_) | Kind::Time(_, Some(_)) => {
                let help = "for a range write two items: `field|gt` and `field|lt`";
                return Err(Refusal::Place("compares what is compared already", help));
            }
            _ => self.kind(Kind::Compare(comparison))?,
        }
        Ok(())
    }

    fn kind(&mut self, kind: Kind) -> Result<(), Refusal> {
        if self.kind == Kind::Exists {
            return Err(ALONE);
        }
        if self.kind != Kind::Text {
            return Err(Refusal::Place("does not go with the modifier before it", "write two items"));
        }
        if kind == Kind::Exists && (self.all || self.negated) {
            return Err(ALONE);
        }
        if !self.transforms.is_empty() || self.site.is_some() {
            let help = "write it first, or without the modifiers before it";
            return Err(Refusal::Place("needs the value as it is written", help));
        }
        if self.cased && kind != Kind::FieldReference {
            return Err(Refusal::Place("does not go with cased", "remove cased"));
        }
        if self.expand && !matches!(kind, Kind::Regex(_) | Kind::Networks) {
            return Err(Refusal::Place("does not go with placeholders", "write the value itself"));
        }
        self.kind = kind;
        Ok(())
    }

    fn cased(&mut self) -> Result<(), Refusal> {
        match self.kind {
            Kind::Text | Kind::FieldReference => self.cased = true,
            Kind::Regex(_) => {
                return Err(Refusal::Place(
                    "says nothing new: case counts in regular expressions",
                    "remove it",
                ));
            }
            Kind::Exists => return Err(ALONE),
            _ => return Err(NO_TEXT),
        }
        Ok(())
    }

    fn expand(&mut self) -> Result<(), Refusal> {
        match self.kind {
            Kind::Text | Kind::Regex(_) | Kind::Networks => {}
            Kind::Exists => return Err(ALONE),
            _ => return Err(NO_TEXT),
        }
        if !self.transforms.is_empty() {
            return Err(Refusal::Place("finds no placeholder in an encoded value", "write expand first"));
        }
        self.expand = true;
        Ok(())
    }
}

const ALONE: Refusal = Refusal::Place("does not go with exists", "write `field|exists: true` alone");
const NO_TEXT: Refusal = Refusal::Place("is for texts", "remove it, or write a second item");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known() {
        for name in NAMES {
            let key = match name {
                "i" | "m" | "s" => format!("field|re|{name}"),
                name => format!("field|{name}"),
            };
            assert!(parse(&key).is_ok(), "{key}");
        }
    }

    #[test]
    fn modifiers_say_one_thing_together() {
        let key = parse("a.b c|contains|windash|all|cased|neq|expand");
        // A placeholder would come after the dashes were looked for.
        assert_eq!(key.unwrap_err().modifier, "expand");
        let key = parse("a.b c|contains|expand|windash|all|cased|neq").unwrap();
        assert_eq!(key.field, "a.b c");
        let chain = key.chain;
        assert_eq!((chain.kind, chain.site), (Kind::Text, Some(Site::Anywhere)));
        assert!(chain.all && chain.cased && chain.negated && chain.expand);
        let key = parse("|re|i|s").unwrap();
        let flags = Flags { insensitive: true, multi_line: false, dot_all: true };
        assert_eq!((key.field, key.chain.kind), ("", Kind::Regex(flags)));
        let chain = parse("f|utf16be|base64offset|contains").unwrap().chain;
        assert_eq!(chain.transforms, [Transform::Utf16Be, Transform::Base64Offset]);
        let chain = parse("t|hour|gte").unwrap().chain;
        assert_eq!(chain.kind, Kind::Time(TimePart::Hour, Some(Comparison::GreaterOrEqual)));
        assert!(parse("plain").unwrap().chain.transforms.is_empty());
    }

    #[test]
    fn what_does_not_go_together_is_told_with_its_place() {
        for (key, at, message, help) in [
            ("f|contians", 2, "there is no modifier contians", "did you mean contains?"),
            ("f|", 2, "there is no modifier ", ""),
            ("f|contains|contains", 11, "contains stands here twice", "remove one"),
            ("f|wide|utf16le", 7, "utf16le stands here twice", ""),
            ("f|contains|endswith", 11, "endswith says again", "keep one"),
            ("f|contains|base64", 11, "base64 cannot encode", "before contains"),
            ("f|base64|windash", 9, "windash finds no dashes", "windash first"),
            ("f|i", 2, "i is a flag", "after re"),
            ("f|re|base64", 5, "base64 is for texts", ""),
            ("f|re|cased", 5, "cased says nothing new", "remove it"),
            ("f|contains|re", 11, "re needs the value as it is", "write it first"),
            ("f|re|cidr", 5, "cidr does not go with", ""),
            ("f|cidr|contains", 7, "contains is for texts", ""),
            ("f|lt|gt", 5, "gt compares what is compared", "two items"),
            ("f|day|lt|gt", 9, "gt compares what is compared", "two items"),
            ("f|lt|hour", 5, "hour does not go with the modifier", ""),
            ("f|exists|all", 9, "all does not go with exists", "alone"),
            ("f|neq|exists", 6, "exists does not go with exists", "alone"),
            ("f|exists|contains", 9, "contains does not go with exists", "alone"),
            ("f|base64|expand", 9, "expand finds no placeholder", "expand first"),
            ("f|expand|lt", 9, "lt does not go with placeholders", ""),
            ("f|cased|re", 8, "re does not go with cased", ""),
            ("f|lt|expand", 5, "expand is for texts", ""),
        ] {
            let fault = parse(key).unwrap_err();
            assert_eq!(fault.at, at, "{key}");
            assert!(fault.message.contains(message), "{key}: {}", fault.message);
            assert!(fault.help.contains(help), "{key}: {}", fault.help);
        }
    }
}
