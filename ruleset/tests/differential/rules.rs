//! Random rule sets: every element that exists, in every combination that loads.

use std::fmt::Write as _;

use crate::elements;
use crate::rng::Rng;

/// Names of fields, as the records of [`crate::events`] have them.
pub(crate) const NAMES: [&str; 28] = [
    "a",
    "A.b",
    "a.b.c",
    "k.k2",
    "k",
    "eventName",
    "userIdentity.type",
    "requestParameters.x",
    "requestParameters.string",
    "requestParameters.disableApiTermination.value",
    "responseElements.string",
    "tags.value",
    "tags.a",
    "sourceIPAddress",
    "source_ip_address",
    "initiatedBy.user",
    "initiatedBy.app.id",
    "list",
    "list.a",
    "größe",
    ".a",
    "b.",
    "ID",
    "systemname",
    "service.additionalInfo.unusual.value",
    "service.action.portProbeAction.portProbeDetails",
    "service.action.portProbeAction.portProbeDetails.x",
    "trigger",
];

/// Names that only the mappings give.
const GIVEN: [&str; 11] = [
    "integration",
    "aws.source",
    "aws.aws_account_id",
    "aws.log_info.log_file",
    "aws.log_info.aws_account_alias",
    "azure_tag",
    "log_analytics_tag",
    "azure_storage_tag",
    "tag",
    "office365.Subscription",
    "ms-graph.resource",
];

/// Texts that both patterns and values are made of.
pub(crate) const WORDS: [&str; 30] = [
    "alpha",
    "Beta",
    "be",
    "GetObject",
    "getobject",
    "ConsoleLogin",
    "x",
    "1",
    "10",
    "1.500000",
    "2147483648.000000",
    "-7",
    "true",
    "null",
    "inf",
    "a.b",
    "über",
    "r oot",
    "a|b",
    "^a",
    "a$",
    "!a",
    "10.0.0.1",
    "203.0.113.9:80",
    "aws",
    "cloudtrail",
    "posture",
    "[\"a\", \"b\"]",
    "'x'",
    "azure-storage",
];

/// Half of the time one of a few, so that patterns and values meet.
pub(crate) fn word(rng: &mut Rng) -> &'static str {
    let among = if rng.one_in(2) { 5 } else { WORDS.len() };
    WORDS[rng.below(among)]
}

/// What the rules of a set may do.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// They look at the log and its size: not comparable where the record is not what the reference sees.
    pub(crate) on_log: bool,
    /// The name below which the fields are.
    pub(crate) below: Option<&'static str>,
    /// They demand something of static fields, lists, the clock and earlier events, see [`crate::elements`].
    pub(crate) stateful: bool,
}

/// A rule file.
pub(crate) fn file(rng: &mut Rng, shape: Shape) -> String {
    let mut writer = Writer { rng, shape, text: String::new(), ids: Vec::new(), groups: Vec::new() };
    writer.text.push_str("<group name=\"r,\">\n");
    if shape.stateful {
        writer.ids.extend(elements::base(writer.rng, &mut writer.text, &mut writer.groups));
    }
    let rules = 2 + writer.rng.below(14);
    for _ in 0..rules {
        if writer.rng.one_in(6) && !writer.ids.is_empty() {
            writer.fan();
        } else {
            writer.rule();
        }
    }
    writer.text.push_str("</group>\n");
    writer.text
}

struct Writer<'r> {
    rng: &'r mut Rng,
    shape: Shape,
    text: String,
    ids: Vec<u32>,
    groups: Vec<String>,
}

impl Writer<'_> {
    /// One parent with many children that look at one field: what the index of a node is for.
    fn fan(&mut self) {
        let parent = self.ids[self.rng.below(self.ids.len())];
        let name = self.name();
        let children = 1 + self.rng.below(60);
        for _ in 0..children {
            let id = self.id();
            let level = self.rng.below(17);
            let _ = write!(self.text, "<rule id=\"{id}\" level=\"{level}\"><if_sid>{parent}</if_sid>");
            if self.rng.one_in(8) {
                self.condition();
            } else {
                let language = self.rng.pick(&["osmatch", "osregex", "pcre2"]);
                let pattern = self.literals(language);
                let negate = if self.rng.one_in(12) { " negate=\"yes\"" } else { "" };
                let _ =
                    write!(self.text, "<field name=\"{name}\" type=\"{language}\"{negate}>{pattern}</field>");
            }
            self.text.push_str("<description>d</description></rule>\n");
        }
    }

    fn rule(&mut self) {
        let overwrite = !self.ids.is_empty() && self.rng.one_in(12);
        let id = match overwrite {
            true => self.ids[self.rng.below(self.ids.len())],
            false => self.id(),
        };
        let level = self.rng.below(17);
        let _ = write!(self.text, "<rule id=\"{id}\" level=\"{level}\"");
        if overwrite {
            self.text.push_str(" overwrite=\"yes\"");
        }
        if self.rng.one_in(8) {
            self.text.push_str(" noalert=\"1\"");
        }
        if level > 0 && self.rng.one_in(8) {
            self.text.push_str(" accuracy=\"0\"");
        }
        if self.shape.on_log && self.rng.one_in(8) {
            let _ = write!(self.text, " maxsize=\"{}\"", self.rng.below(200));
        }
        let counting = match self.shape.stateful && !overwrite && self.rng.one_in(2) {
            true => elements::counting(self.rng, &self.ids[..self.ids.len() - 1], &self.groups),
            false => None,
        };
        let (attributes, elements) = counting.unwrap_or_default();
        self.text.push_str(&attributes);
        if self.shape.stateful && self.rng.one_in(6) {
            let _ = write!(self.text, " ignore=\"{}\"", 1 + self.rng.below(60));
        }
        self.text.push('>');
        self.text.push_str(&elements);
        if !overwrite && (elements.is_empty() || self.rng.one_in(4)) {
            self.parent();
        }
        if self.shape.stateful && (elements.is_empty() || self.rng.one_in(3)) {
            elements::conditions(self.rng, &mut self.text);
        }
        if self.rng.one_in(5) {
            let decoder = self.rng.pick(&["json", "json", "json", "json-msgraph", "azure-storage"]);
            let _ = write!(self.text, "<decoded_as>{decoder}</decoded_as>");
        }
        let conditions = if self.shape.stateful { self.rng.below(5) / 4 } else { self.rng.below(4) };
        for _ in 0..conditions {
            self.condition();
        }
        if self.rng.one_in(3) {
            let group = format!("g{},", self.rng.below(6));
            let _ = write!(self.text, "<group>{group}</group>");
            self.groups.push(group);
        }
        let _ = writeln!(
            self.text,
            "<description>d $({})</description></rule>",
            NAMES[self.rng.below(NAMES.len())]
        );
    }

    fn id(&mut self) -> u32 {
        let id = 100_000 + self.ids.len() as u32;
        self.ids.push(id);
        id
    }

    /// Its own id is the last and no parent.
    fn parent(&mut self) {
        let earlier = &self.ids[..self.ids.len() - 1];
        match self.rng.below(10) {
            0..=5 if !earlier.is_empty() => {
                let count = 1 + self.rng.below(3);
                let ids: Vec<String> =
                    (0..count).map(|_| earlier[self.rng.below(earlier.len())].to_string()).collect();
                let _ = write!(self.text, "<if_sid>{}</if_sid>", ids.join(", "));
            }
            6 if !self.groups.is_empty() => {
                let group = self.groups[self.rng.below(self.groups.len())].trim_end_matches(',').to_owned();
                let caret = if self.rng.one_in(4) { "|^r" } else { "" };
                let _ = write!(self.text, "<if_group>{group}{caret}</if_group>");
            }
            7 if !earlier.is_empty() => {
                let _ = write!(self.text, "<if_level>{}</if_level>", 1 + self.rng.below(9));
            }
            8 => {
                let category = self.rng.pick(&["syslog", "syslog", "ids", "ossec"]);
                let _ = write!(self.text, "<category>{category}</category>");
            }
            _ => {}
        }
    }

    fn condition(&mut self) {
        let negate = if self.rng.one_in(4) { " negate=\"yes\"" } else { "" };
        let language = self.rng.pick(&["osmatch", "osregex", "pcre2"]);
        let pattern = if self.rng.one_in(2) { self.literals(language) } else { self.expression(language) };
        if self.shape.on_log && self.rng.one_in(3) {
            let element = self.rng.pick(&["match", "regex"]);
            let _ = write!(self.text, "<{element} type=\"{language}\"{negate}>{pattern}</{element}>");
        } else {
            let name = self.name();
            let _ = write!(self.text, "<field name=\"{name}\" type=\"{language}\"{negate}>{pattern}</field>");
        }
    }

    fn name(&mut self) -> String {
        if self.rng.one_in(10) {
            return GIVEN[self.rng.below(GIVEN.len())].to_owned();
        }
        let name = NAMES[self.rng.below(NAMES.len())];
        let name = match self.shape.below {
            Some(below) => format!("{below}.{name}"),
            None => name.to_owned(),
        };
        if self.rng.one_in(5) { name.to_ascii_uppercase() } else { name }
    }

    /// A choice of literals with anchors.
    fn literals(&mut self, language: &str) -> String {
        let count = 1 + self.rng.below(3);
        let group = language == "pcre2" && self.rng.one_in(2);
        let parts: Vec<String> = (0..count)
            .map(|_| {
                let word = escape(word(self.rng), language);
                match self.rng.below(4) {
                    _ if group => word,
                    0 => format!("^{word}"),
                    1 => format!("{word}$"),
                    2 => format!("^{word}$"),
                    _ => word,
                }
            })
            .collect();
        let choice = parts.join("|");
        match self.rng.below(12) {
            0 if language == "osmatch" => format!("!{choice}"),
            1 if !group => format!("{choice}|"),
            _ if group => {
                let case = if self.rng.one_in(2) { "(?i)" } else { "" };
                let [open, close] = if self.rng.one_in(2) { ["^(?:", ")$"] } else { ["(", ")"] };
                format!("{case}{open}{choice}{close}")
            }
            _ => choice,
        }
    }

    /// More than literals.
    fn expression(&mut self, language: &str) -> String {
        let word = escape(word(self.rng), language);
        match language {
            "osmatch" => self
                .rng
                .pick(&["^$", "^", "$", "a|", "!", "!^$", "be|", "^1$|^10$", "\"a\"", "{", ":"])
                .to_owned(),
            "osregex" => match self.rng.below(8) {
                0 => r"^\d+$".to_owned(),
                1 => r"\w+.\w*".to_owned(),
                2 => r"\.+$".to_owned(),
                3 => format!(r"{word}\p*"),
                4 => format!(r"^\S+{word}"),
                5 => format!(r"(\w+)|{word}"),
                6 => r"\d\d\.\d".to_owned(),
                _ => format!(r"\W{word}\s*|\t"),
            },
            _ => match self.rng.below(8) {
                0 => r"^\d+$".to_owned(),
                1 => r"(?i)^be".to_owned(),
                2 => format!("^(?!{word})"),
                3 => format!(".+{word}"),
                4 => "[a-c]{2,}".to_owned(),
                5 => r"(\w)\1".to_owned(),
                6 => format!("(?s).*{word}$"),
                _ => "^$".to_owned(),
            },
        }
    }
}

/// The word as a literal of the language; what has no literal form in it becomes a wildcard.
fn escape(word: &str, language: &str) -> String {
    let mut out = String::new();
    for char in word.chars() {
        match (language, char) {
            ("osmatch", _) => out.push(char),
            ("osregex", '$' | '|' | '(' | ')' | '\\') => out.extend(['\\', char]),
            ("osregex", '^') => out.push_str(r"\."),
            ("osregex", _) => out.push(char),
            (_, '.' | '$' | '|' | '(' | ')' | '^' | '[' | ']' | '{' | '}' | '+' | '*' | '?' | '\\') => {
                out.extend(['\\', char]);
            }
            _ => out.push(char),
        }
    }
    out
}
