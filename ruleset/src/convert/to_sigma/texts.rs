//! Tests of one text as items of a selection.
//!
//! Enters: a test and the field that it looks at, or the line. Leaves: a formula that holds for the same texts, and whether
//! it is known to. Plain forms (whole, part, beginning, end) come before regular expressions.

use super::formula::{Formula, Value, any};
use crate::expr::{OsMatch, OsMatchKind, OsMatchPart, OsRegex, escaped, pcre2_literals, translate};
use crate::ir::{Network, Test};

/// What a test became.
pub(super) struct Tested {
    /// Holds where the test does, the negation of the condition aside; `None`: for every text.
    pub(super) formula: Option<Formula>,
    /// The pattern, where the formula need not hold for just the same texts.
    pub(super) inexact: Option<String>,
}

impl Tested {
    fn exact(formula: Formula) -> Self {
        Self { formula: Some(formula), inexact: None }
    }
}

/// Where a text is looked for.
#[derive(Clone, Copy)]
pub(super) enum Site<'f> {
    /// In a field.
    Field(&'f str),
    /// Anywhere in the values of the event or in the line, whose log begins behind a header.
    Log,
    /// In the part of the line where the program's name stands.
    Program,
}

/// The formula of a test that is no look-up; `inverted` tells of an OSMatch that begins with `!`.
pub(super) fn tested(test: &Test, site: Site<'_>) -> Result<(Tested, bool), String> {
    let broken = |_| "its pattern does not compile".to_owned();
    Ok(match test {
        Test::OsMatch(pattern) => {
            let compiled = OsMatch::new(pattern).map_err(broken)?;
            (Tested { formula: parts(compiled.parts(), pattern, site), inexact: None }, compiled.inverted())
        }
        Test::OsRegex(pattern) => {
            let compiled = OsRegex::new(pattern).map_err(broken)?;
            (os_regex(pattern, &compiled, site)?, false)
        }
        Test::Pcre2(pattern) => (pcre2(pattern, site)?, false),
        Test::Equals(text) => match site {
            Site::Field(field) => {
                (Tested::exact(Formula::texts(field, "|cased", vec![sigma_text(text)])), false)
            }
            Site::Log | Site::Program => return Err("it compares the whole line".to_owned()),
        },
        Test::Networks(networks) => match site {
            Site::Field(field) => (Tested::exact(Formula::texts(field, "|cidr", cidrs(networks))), false),
            Site::Log | Site::Program => return Err("it looks for addresses in the line".to_owned()),
        },
        Test::List(_) => return Err("a look-up is no pattern".to_owned()),
    })
}

/// A literal in the letter case in which the pattern has it.
fn as_written(literal: &[u8], pattern: &str) -> String {
    let literal = String::from_utf8_lossy(literal);
    // Only ASCII letters change, so places stay what they are.
    let at = pattern.to_ascii_lowercase().find(&*literal);
    let written = at.and_then(|at| pattern.get(at..at + literal.len()));
    written.map_or_else(|| literal.into_owned(), str::to_owned)
}

/// A choice of literals; `None` where one of them holds for every text.
fn parts(parts: &[OsMatchPart], pattern: &str, site: Site<'_>) -> Option<Formula> {
    if parts.iter().any(|part| part.kind == OsMatchKind::Always) {
        return None;
    }
    let of = |kind: OsMatchKind| {
        let parts = parts.iter().filter(move |part| part.kind == kind);
        parts.map(|part| as_written(&part.literal, pattern)).collect::<Vec<String>>()
    };
    let kinds = [
        (OsMatchKind::Equals, ""),
        (OsMatchKind::Prefix, "|startswith"),
        (OsMatchKind::Suffix, "|endswith"),
        (OsMatchKind::Substring, "|contains"),
    ];
    Some(any(kinds.into_iter().map(|(kind, modifier)| match site {
        Site::Field(field) => {
            Formula::texts(field, modifier, of(kind).iter().map(|text| sigma_text(text)).collect())
        }
        Site::Log if kind == OsMatchKind::Substring => {
            Formula::texts("", "", of(kind).iter().map(|text| sigma_text(text)).collect())
        }
        Site::Log | Site::Program => {
            let start = matches!(kind, OsMatchKind::Equals | OsMatchKind::Prefix);
            let end = matches!(kind, OsMatchKind::Equals | OsMatchKind::Suffix);
            let regexes = of(kind).into_iter().map(|text| placed(&escaped(&text), start, end, site));
            Formula::texts("", "|re|i", regexes.collect())
        }
    })))
}

/// A regular expression that is looked for where the site has its text.
fn placed(regex: &str, start: bool, end: bool, site: Site<'_>) -> String {
    let (front, back) = match site {
        Site::Field(_) => ("^", r"\z"),
        // Behind the header, which ends with the program's name, or at the beginning of a line without one.
        Site::Log => (r"(?:^|[\]:] )", r"\z"),
        Site::Program => (r"(?:^|\s)", r"(?:\[\d+\])?:"),
    };
    let group = regex.contains('|') && (start || end);
    let inner = if group { format!("(?:{regex})") } else { regex.to_owned() };
    let open = match site {
        Site::Program if !end => r"[\w()./@-]*(?:\[\d+\])?:",
        _ => "",
    };
    format!("{}{inner}{}{open}", if start { front } else { "" }, if end { back } else { "" })
}

fn os_regex(pattern: &str, compiled: &OsRegex, site: Site<'_>) -> Result<Tested, String> {
    if let Some(literals) = compiled.as_literals() {
        return Ok(Tested { formula: parts(&literals, pattern, site), inexact: None });
    }
    if pattern == r"\.+"
        && let Site::Field(field) = site
    {
        return Ok(Tested::exact(Formula::texts(field, "", vec!["?*".to_owned()])));
    }
    let translated = translate(pattern).map_err(|_| "its pattern does not compile".to_owned())?;
    let regexes = translated.parts.iter().map(|part| placed(&part.regex, part.from_start, part.to_end, site));
    let field = if let Site::Field(field) = site { field } else { "" };
    let formula = Formula::texts(field, "|re|i", regexes.collect());
    Ok(Tested { formula: Some(formula), inexact: (!translated.exact).then(|| pattern.to_owned()) })
}

fn pcre2(pattern: &str, site: Site<'_>) -> Result<Tested, String> {
    let field = if let Site::Field(field) = site { field } else { "" };
    // What is looked for anywhere needs no regular expression.
    if let Some((literals, ignores_case)) = pcre2_literals::literals(pattern)
        && !field.is_empty()
        && literals.iter().all(|literal| matches!(literal.kind, OsMatchKind::Substring | OsMatchKind::Prefix))
        && literals.iter().all(|literal| !literal.literal.is_empty())
    {
        let of = |kind: OsMatchKind, modifiers: &'static str| {
            let texts = literals.iter().filter(|literal| literal.kind == kind);
            let texts = texts.map(|literal| sigma_text(&String::from_utf8_lossy(&literal.literal)));
            Formula::texts(field, modifiers, texts.collect())
        };
        let (prefix, substring) = match ignores_case {
            true => ("|startswith", "|contains"),
            false => ("|startswith|cased", "|contains|cased"),
        };
        return Ok(Tested::exact(any([
            of(OsMatchKind::Prefix, prefix),
            of(OsMatchKind::Substring, substring),
        ])));
    }
    let regex = match (site, pattern.strip_prefix('^')) {
        (Site::Log | Site::Program, Some(rest)) if !rest.contains('|') => placed(rest, true, false, site),
        (Site::Log | Site::Program, _) if pattern.contains('^') => {
            return Err("its regular expression is bound to the beginning of the log".to_owned());
        }
        _ => pattern.to_owned(),
    };
    Ok(Tested::exact(Formula::texts(field, "|re", vec![regex])))
}

fn cidrs(networks: &[Network]) -> Vec<String> {
    let mut texts = Vec::new();
    for network in networks {
        match *network {
            Network::Any => texts.extend(["0.0.0.0/0".to_owned(), "::/0".to_owned()]),
            Network::V4(address, mask) => {
                texts.push(format!("{}/{}", std::net::Ipv4Addr::from_bits(address), mask.count_ones()));
            }
            Network::V6(address, mask) => {
                texts.push(format!("{}/{}", std::net::Ipv6Addr::from_bits(address), mask.count_ones()));
            }
        }
    }
    texts
}

/// A text as Sigma writes it, where wildcards and backslashes before them have a meaning.
pub(super) fn sigma_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let is_escaped = match char {
            '*' | '?' => true,
            '\\' => matches!(chars.peek(), Some('*' | '?' | '\\') | None),
            _ => false,
        };
        if is_escaped {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

/// Every value of a field that is a text.
pub(super) fn present(field: &str) -> Formula {
    Formula::texts(field, "", vec!["*".to_owned()])
}

/// The record has the field, and be it null.
pub(super) fn exists(field: &str) -> Formula {
    Formula::item(field, "|exists", vec![Value::Bool(true)])
}

/// The record does not have the field, not even as null.
pub(super) fn missing(field: &str) -> Formula {
    Formula::item(field, "|exists", vec![Value::Bool(false)])
}

/// The field is null or not there.
pub(super) fn null(field: &str) -> Formula {
    Formula::item(field, "", vec![Value::Null])
}
