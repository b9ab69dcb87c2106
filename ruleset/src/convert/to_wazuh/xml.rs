//! Rules as text.
//!
//! The reference's dialect has no entities: content counts byte for byte, so nothing can be escaped in it. Patterns come
//! without `<`; in what people read, characters that would end a text are replaced.

use std::fmt::Write as _;

use super::formula::Subject;

/// A rule to be written.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) comments: Vec<String>,
    pub(super) id: u32,
    pub(super) level: u8,
    pub(super) noalert: bool,
    pub(super) frequency: Option<u32>,
    pub(super) timeframe: Option<u64>,
    pub(super) parents: Vec<u32>,
    pub(super) matched: Option<Matched>,
    /// Lines with a fixed element: name and content.
    pub(super) elements: Vec<(&'static str, String)>,
    pub(super) conditions: Vec<Condition>,
    pub(super) same: Vec<Same>,
    pub(super) different: Vec<Same>,
    pub(super) description: String,
    pub(super) mitre: Vec<String>,
    pub(super) groups: String,
    pub(super) link: Option<String>,
    pub(super) options: Vec<&'static str>,
}

/// A condition with a PCRE2 pattern.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) subject: Subject,
    pub(super) pattern: String,
    pub(super) negate: bool,
}

/// Whose matches are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Matched {
    Rule(u32),
    Group(String),
}

/// A field that counted events have in common, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Same {
    /// A dynamic field.
    Field(String),
    /// The last part of the element for a static one.
    Static(&'static str),
}

/// The text of a file with these rules.
pub(super) fn file(source: &str, rules: &[Draft]) -> String {
    let mut out = format!(
        "<!-- Sigma rules as Wazuh rules, written by threatlockdown rules convert from {}. -->\n<group name=\"sigma,\">\n",
        comment(source)
    );
    for rule in rules {
        out.push('\n');
        write(rule, &mut out);
    }
    out.push_str("\n</group>\n");
    out
}

fn write(rule: &Draft, out: &mut String) {
    for text in &rule.comments {
        let _ = writeln!(out, "  <!-- {} -->", comment(text));
    }
    let _ = write!(out, "  <rule id=\"{}\" level=\"{}\"", rule.id, rule.level);
    if rule.noalert {
        out.push_str(" noalert=\"1\"");
    }
    if let Some(frequency) = rule.frequency {
        let _ = write!(out, " frequency=\"{frequency}\"");
    }
    if let Some(timeframe) = rule.timeframe {
        let _ = write!(out, " timeframe=\"{timeframe}\"");
    }
    out.push_str(">\n");
    let mut line = |text: String| {
        let _ = writeln!(out, "    {text}");
    };
    if !rule.parents.is_empty() {
        let ids: Vec<String> = rule.parents.iter().map(u32::to_string).collect();
        line(format!("<if_sid>{}</if_sid>", ids.join(", ")));
    }
    match &rule.matched {
        Some(Matched::Rule(id)) => line(format!("<if_matched_sid>{id}</if_matched_sid>")),
        Some(Matched::Group(name)) => line(format!("<if_matched_group>{name}</if_matched_group>")),
        None => {}
    }
    for (name, content) in &rule.elements {
        line(if content.is_empty() { format!("<{name} />") } else { format!("<{name}>{content}</{name}>") });
    }
    rule.conditions.iter().for_each(|condition| line(condition_line(condition)));
    for (word, fields) in [("same", &rule.same), ("different", &rule.different)] {
        for field in fields {
            line(match field {
                Same::Field(name) => format!("<{word}_field>{name}</{word}_field>"),
                Same::Static(name) => format!("<{word}_{name} />"),
            });
        }
    }
    line(format!("<description>{}</description>", description(&rule.description)));
    if let Some(link) = &rule.link {
        line(format!("<info type=\"link\">{link}</info>"));
    }
    if !rule.mitre.is_empty() {
        let ids: Vec<String> = rule.mitre.iter().map(|id| format!("<id>{id}</id>")).collect();
        line(format!("<mitre>{}</mitre>", ids.concat()));
    }
    if !rule.groups.is_empty() {
        line(format!("<group>{}</group>", rule.groups));
    }
    rule.options.iter().for_each(|option| line(format!("<options>{option}</options>")));
    out.push_str("  </rule>\n");
}

fn condition_line(condition: &Condition) -> String {
    let negate = if condition.negate { " negate=\"yes\"" } else { "" };
    let pattern = &condition.pattern;
    match &condition.subject {
        Subject::Field(name) => format!("<field name=\"{name}\" type=\"pcre2\"{negate}>{pattern}</field>"),
        Subject::Element(name) => format!("<{name} type=\"pcre2\"{negate}>{pattern}</{name}>"),
        Subject::Log => format!("<regex type=\"pcre2\"{negate}>{pattern}</regex>"),
    }
}

/// A text that ends no comment and has no two hyphens in a row; there is a space behind it.
fn comment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in one_line(text).chars() {
        match char {
            '-' if out.ends_with('-') => out.push_str(" -"),
            '<' => out.push('('),
            '>' => out.push(')'),
            char => out.push(char),
        }
    }
    out
}

/// A text that opens no tag and names no field.
pub(super) fn description(text: &str) -> String {
    one_line(text).replace('<', "(").replace('>', ")").replace("$(", "(")
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .map(|char| if is_allowed(char) { char } else { char::REPLACEMENT_CHARACTER })
        .collect()
}

/// Whether XML may have this character as it is, and gives it back unchanged.
pub(super) fn is_allowed(char: char) -> bool {
    !char.is_control() && !matches!(char, '\u{fffe}' | '\u{ffff}')
}

/// A link that can stand in a rule.
pub(super) fn is_link(text: &str) -> bool {
    text.starts_with("http")
        && text.len() < 1024
        && !text.chars().any(|char| char.is_ascii_whitespace() || char == '<' || !is_allowed(char))
}

/// A name as part of a group's name.
pub(super) fn group_word(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_ascii_alphanumeric() || "._-".contains(char) { char } else { '_' })
        .collect()
}
