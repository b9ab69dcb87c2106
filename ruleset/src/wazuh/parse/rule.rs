//! One `<rule>`: its attributes and elements.

use super::super::source::Faults;
use super::super::syntax::{Language, Parents, RuleFile, RuleSyntax};
use super::super::vocabulary as words;
use super::super::xml::{Attribute, Element};
use super::texts::{check_length, field_pattern, join, no_attributes, pattern, text_of};
use super::{is, tag};
use crate::ir::{Category, Options};

/// Fields tested by one rule.
const MAX_FIELDS: usize = 256;

/// Reads `element` into `file`; `group` is the name of the group around it.
pub(super) fn parse(element: &Element<'_>, group: &str, file: &mut RuleFile, faults: &mut Faults<'_>) {
    let errors = faults.errors();
    let mut rule =
        Reader { id: None, level: None, has_description: false, rule: empty(element.at, group), faults };
    rule.attributes(element);
    for child in &element.children {
        // What a fault of the XML did to the rest of the rule was told with that fault.
        if !(element.broken && is(child, "rule")) {
            rule.element(child);
        }
    }
    rule.check_complete(element);
    let Reader { id, rule, .. } = rule;
    if faults.errors() == errors && !element.broken && element.children.iter().all(|child| !child.broken) {
        file.rules.push(rule);
    } else {
        file.broken.push((id, rule));
    }
}

fn empty(at: usize, group: &str) -> RuleSyntax {
    RuleSyntax {
        at,
        id: 0,
        level: 0,
        maxsize: None,
        noalert: false,
        overwrite: false,
        tried_last: false,
        parents: Parents::default(),
        decoded_as: None,
        category: Category::Syslog,
        log_match: None,
        log_regex: None,
        fields: Vec::new(),
        group: group.to_owned(),
        description: String::new(),
        mitre: Vec::new(),
        info: Vec::new(),
        options: Options::default(),
    }
}

struct Reader<'f, 's> {
    id: Option<u32>,
    level: Option<u8>,
    has_description: bool,
    rule: RuleSyntax,
    faults: &'f mut Faults<'s>,
}

impl Reader<'_, '_> {
    fn attributes(&mut self, element: &Element<'_>) {
        for attribute in &element.attributes {
            let name = attribute.name.to_ascii_lowercase();
            match name.as_str() {
                "id" => {
                    self.id = self.number(attribute, "a number of at most six digits", |id| id <= 999_999);
                }
                "level" => {
                    let level = self.number(attribute, "a number from 0 to 16", |level| level <= 16);
                    self.level = level.and_then(|level| u8::try_from(level).ok());
                }
                "maxsize" => self.maxsize(attribute),
                "noalert" => {
                    self.rule.noalert = self.number(attribute, "0 or 1", |value| value <= 1) == Some(1);
                }
                "accuracy" => {
                    self.rule.tried_last = self.number(attribute, "a number", |_| true) == Some(0);
                }
                "overwrite" => self.overwrite(attribute),
                _ => self.unknown_attribute(attribute, &name),
            }
        }
        self.rule.id = self.id.unwrap_or_default();
        self.rule.level = self.level.unwrap_or_default();
    }

    fn number(&mut self, attribute: &Attribute<'_>, wanted: &str, fits: impl Fn(u32) -> bool) -> Option<u32> {
        let text = attribute.value.value.as_str();
        let is_digits = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_digits && fits(*number));
        if number.is_none() {
            let name = attribute.name;
            let message = format!("the attribute {name} is not {wanted}");
            self.faults.error(attribute.at, text, message, format!("write {name}=\"…\" with {wanted}"));
        }
        number
    }

    /// The reference cuts longer numbers, here they are refused: what a cut number does is never what was meant.
    fn maxsize(&mut self, attribute: &Attribute<'_>) {
        self.rule.maxsize = self.number(attribute, "a number of at most four digits", |size| size <= 9999);
    }

    fn overwrite(&mut self, attribute: &Attribute<'_>) {
        let value = attribute.value.value.as_str();
        self.rule.overwrite = value.eq_ignore_ascii_case("yes");
        if !self.rule.overwrite && !value.eq_ignore_ascii_case("no") {
            self.faults.error(
                attribute.at,
                value,
                "the attribute overwrite is neither yes nor no",
                "write yes or no",
            );
        }
    }

    fn unknown_attribute(&mut self, attribute: &Attribute<'_>, name: &str) {
        let (message, help) = if words::LATER_RULE_ATTRIBUTES.contains(&name) {
            let message = format!("the attribute {name} of <rule> is not supported by this version");
            (
                message,
                "take the rule out, or leave the attribute away if the rule makes sense without it"
                    .to_owned(),
            )
        } else {
            let known: Vec<&str> =
                words::RULE_ATTRIBUTES.iter().chain(words::LATER_RULE_ATTRIBUTES).copied().collect();
            (format!("<rule> has no attribute {name}"), words::suggest(name, &known))
        };
        self.faults.error(attribute.at, attribute.name, message, help);
    }

    fn element(&mut self, element: &Element<'_>) {
        let name = element.name.to_ascii_lowercase();
        if name != "mitre" && words::RULE_ELEMENTS.contains(&name.as_str()) {
            self.no_children(element);
        }
        match name.as_str() {
            "if_sid" => {
                self.check_glued(element);
                join(&mut self.rule.parents.sid, self.faults, element, &[]);
            }
            "if_level" => join(&mut self.rule.parents.level, self.faults, element, &[]),
            "if_group" => join(&mut self.rule.parents.group, self.faults, element, &[]),
            "decoded_as" => self.decoded_as(element),
            "category" => self.category(element),
            "match" => pattern(&mut self.rule.log_match, self.faults, element, Language::OsMatch),
            "regex" => pattern(&mut self.rule.log_regex, self.faults, element, Language::OsRegex),
            "field" => self.field(element),
            "group" => self.group(element),
            "description" => self.description(element),
            "mitre" => self.mitre(element),
            "info" => self.info(element),
            "options" => self.options(element),
            _ => self.unknown_element(element, &name),
        }
    }

    fn unknown_element(&mut self, element: &Element<'_>, name: &str) {
        let (message, help) = if words::LATER_RULE_ELEMENTS.contains(&name) {
            let message = format!("<{name}> is not supported by this version");
            (message, "take the rule out; without this element it would match other events".to_owned())
        } else {
            let known: Vec<&str> =
                words::RULE_ELEMENTS.iter().chain(words::LATER_RULE_ELEMENTS).copied().collect();
            (format!("a rule has no element <{}>", element.name), words::suggest(name, &known))
        };
        self.faults.error(element.at, &tag(element), message, help);
    }

    fn no_children(&mut self, element: &Element<'_>) {
        if let Some(child) = element.children.first().filter(|_| !element.broken) {
            let message = format!("<{}> cannot hold elements", element.name);
            self.faults.error(child.at, &tag(child), message, "write \\< for a < that belongs to the text");
        }
    }

    /// `<if_sid>1</if_sid><if_sid>2</if_sid>` reads as 12.
    fn check_glued(&mut self, element: &Element<'_>) {
        let before = self.rule.parents.sid.as_ref().map(|text| text.value.as_str()).unwrap_or_default();
        let next = element.content.value.as_str();
        let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        if is_digit(before.bytes().last()) && is_digit(next.bytes().next()) {
            let message = "repeated <if_sid> are joined without anything between, so two ids become one";
            self.faults.error(
                element.at,
                next,
                message,
                "write all ids in one <if_sid>, with commas between",
            );
        }
    }

    fn decoded_as(&mut self, element: &Element<'_>) {
        no_attributes(self.faults, element, &[]);
        if self.rule.decoded_as.is_some() {
            let message = "<decoded_as> stands twice, the last one counts";
            self.faults.warning(element.at, &element.content.value, message, "remove one of them");
        }
        self.rule.decoded_as = Some(text_of(element));
    }

    fn category(&mut self, element: &Element<'_>) {
        no_attributes(self.faults, element, &[]);
        let name = element.content.value.as_str();
        match Category::by_name(name) {
            Some(category) => self.rule.category = category,
            None => {
                let known: Vec<&str> = Category::ALL.iter().map(|category| category.name()).collect();
                let at = text_of(element).origin(0);
                self.faults.error(
                    at,
                    name,
                    format!("there is no category {name}"),
                    words::suggest(name, &known),
                );
            }
        }
    }

    fn field(&mut self, element: &Element<'_>) {
        let attribute = element.attributes.iter().find(|attribute| attribute.name == "name");
        let name = attribute.map(|attribute| attribute.value.value.as_str()).unwrap_or_default();
        if name.is_empty() {
            self.faults.error(element.at, &tag(element), "<field> has no name", "write <field name=\"…\">");
        } else if words::STATIC_FIELDS.contains(&name) {
            let message = format!("{name} is a static field, <field> looks at dynamic fields only");
            let help =
                format!("the language has an element for it, which this version does not support: <{name}>");
            self.faults.error(attribute.map_or(element.at, |attribute| attribute.at), name, message, help);
        } else if self.rule.fields.len() == MAX_FIELDS {
            let message = format!("the rule tests more than {MAX_FIELDS} fields");
            self.faults.error(element.at, name, message, "split the rule");
            return;
        }
        let condition = field_pattern(self.faults, element);
        self.rule.fields.push((name.to_ascii_lowercase(), condition));
    }

    /// Names are appended to those of the outer group as they stand: `aa` and `bb` become `aabb`.
    fn group(&mut self, element: &Element<'_>) {
        let names: String = element.content.value.chars().filter(|char| *char != '\n').collect();
        self.check_length(element);
        let before = &mut self.rule.group;
        if !(before.is_empty() || names.is_empty() || before.ends_with(',') || names.starts_with(',')) {
            let glued = format!("{}{}", before.rsplit(',').next().unwrap_or_default(), names);
            let glued = glued.split(',').next().unwrap_or_default().to_owned();
            let message = format!("the group names before and here are joined to the one name {glued}");
            self.faults.warning(element.at, &names, message, "end each list of groups with a comma");
        }
        before.push_str(&names);
    }

    fn description(&mut self, element: &Element<'_>) {
        self.has_description = true;
        self.check_length(element);
        self.rule.description.push_str(&element.content.value.replacen('\n', " ", 1));
    }

    fn check_length(&mut self, element: &Element<'_>) {
        no_attributes(self.faults, element, &[]);
        check_length(self.faults, element);
    }

    /// Technique ids; with pairs of tactic and technique, the technique.
    fn mitre(&mut self, element: &Element<'_>) {
        for child in &element.children {
            let id = child.content.value.trim();
            match child.name.to_ascii_lowercase().as_str() {
                "id" | "techniqueid" => {
                    let (head, digits) = id.split_at_checked(1).unwrap_or_default();
                    let is_technique =
                        head == "T" && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                    if !is_technique || digits.is_empty() {
                        let message = "this is not the id of an ATT&CK technique";
                        self.faults.warning(child.at, id, message, "write an id like T1078 or T1098.004");
                    }
                    if !(id.is_empty() || self.rule.mitre.iter().any(|known| known == id)) {
                        self.rule.mitre.push(id.to_owned());
                    }
                }
                "tacticid" => {}
                _ => {
                    let message = format!("<mitre> has no element <{}>", child.name);
                    let help = words::suggest(child.name, &["id", "tacticID", "techniqueID"]);
                    self.faults.error(child.at, &tag(child), message, help);
                }
            }
        }
        if element.children.is_empty() {
            let message = "<mitre> names no technique";
            self.faults.warning(element.at, &tag(element), message, "write <mitre><id>T1078</id></mitre>");
        }
    }

    fn info(&mut self, element: &Element<'_>) {
        no_attributes(self.faults, element, &["type"]);
        check_length(self.faults, element);
        let kind = element.attributes.iter().find(|attribute| attribute.name == "type");
        let mut name = "text";
        if let Some(kind) = kind {
            let value = kind.value.value.as_str();
            match words::INFO_TYPES.iter().find(|known| known.eq_ignore_ascii_case(value)) {
                Some(known) => name = known,
                None => {
                    let message = format!("<info> has no type {value}, it is taken as text");
                    self.faults.warning(kind.at, value, message, words::suggest(value, words::INFO_TYPES));
                }
            }
        }
        self.rule.info.push((element.content.value.clone(), name.to_owned()));
    }

    fn options(&mut self, element: &Element<'_>) {
        no_attributes(self.faults, element, &[]);
        let options = &mut self.rule.options;
        match element.content.value.as_str() {
            "alert_by_email" => options.mail = true,
            "no_email_alert" => options.no_mail = true,
            "log_alert" => (options.log_alert, options.no_log) = (true, false),
            "no_log" => (options.log_alert, options.no_log) = (false, true),
            // There are no active responses.
            "no_ar" => {}
            "no_full_log" => options.no_full_log = true,
            "no_counter" => options.no_counter = true,
            other => {
                let at = text_of(element).origin(0);
                let help = words::suggest(other.trim(), words::OPTIONS);
                self.faults.error(at, other, format!("there is no option {}", other.trim()), help);
            }
        }
    }

    fn check_complete(&mut self, element: &Element<'_>) {
        let has =
            |name: &str| element.attributes.iter().any(|attribute| attribute.name.eq_ignore_ascii_case(name));
        if element.broken {
            return;
        }
        for (name, value) in [("id", "100000"), ("level", "3")] {
            if !has(name) {
                let message = format!("the rule has no {name}");
                self.faults.error(
                    element.at,
                    &tag(element),
                    message,
                    format!("write {name}=\"{value}\" into the tag"),
                );
            }
        }
        if !self.has_description {
            let id = self.id.map_or_else(|| tag(element), |id| format!("rule {id}"));
            let help = "add <description>what happened</description>";
            self.faults.error(element.at, &id, "the rule has no description", help);
        }
        if self.rule.tried_last && self.rule.level == 0 {
            let message = "accuracy 0 together with level 0 makes a level-99 rule in the reference";
            self.faults.error(element.at, &tag(element), message, "remove the attribute accuracy");
        }
    }
}
