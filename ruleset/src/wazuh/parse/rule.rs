//! One `<rule>`: its elements.

use super::super::source::Faults;
use super::super::syntax::{Language, RuleFile, RuleSyntax};
use super::super::vocabulary as words;
use super::super::xml::Element;
use super::patterns::{self, PATTERNS};
use super::texts::{check_length, field_pattern, join, no_attributes, pattern, text_of};
use super::{addresses, attributes, clock, counting, is, keys, lists, mitre, tag};
use crate::ir::{BuiltinCheck, Category};

/// Fields tested by one rule.
const MAX_FIELDS: usize = 256;

/// Values of `<compiled_rule>`.
const COMPILED: [(&str, BuiltinCheck); 5] = [
    ("check_id_size", BuiltinCheck::CheckIdSize),
    ("comp_srcuser_dstuser", BuiltinCheck::SrcuserDstuser),
    ("comp_mswin_targetuser_calleruser_diff", BuiltinCheck::TargetuserCalleruserDiff),
    ("is_simple_http_request", BuiltinCheck::SimpleHttpRequest),
    ("is_valid_crawler", BuiltinCheck::ValidCrawler),
];

/// Reads `element` into `file`; `group` is the name of the group around it.
pub(super) fn parse(element: &Element<'_>, group: &str, file: &mut RuleFile, faults: &mut Faults<'_>) {
    let errors = faults.errors();
    let mut rule = RuleSyntax { at: element.at, group: group.to_owned(), ..RuleSyntax::default() };
    let id = attributes::read(&mut rule, element, faults);
    let mut reader = Reader { has_description: false, rule, faults };
    for child in &element.children {
        // What a fault of the XML did to the rest of the rule was told with that fault.
        if !(element.broken && is(child, "rule")) {
            reader.element(child);
        }
    }
    if !element.broken {
        reader.check_complete(element, id);
    }
    let Reader { rule, .. } = reader;
    if faults.errors() == errors && !element.broken && element.children.iter().all(|child| !child.broken) {
        file.rules.push(rule);
    } else {
        file.broken.push((id, rule));
    }
}

struct Reader<'f, 's> {
    has_description: bool,
    rule: RuleSyntax,
    faults: &'f mut Faults<'s>,
}

impl Reader<'_, '_> {
    fn element(&mut self, element: &Element<'_>) {
        let name = element.name.to_ascii_lowercase();
        if !words::RULE_ELEMENTS.contains(&name.as_str())
            || (words::minds_case(&name) && name != element.name)
        {
            self.unknown_element(element, &name);
            return;
        }
        if name != "mitre" {
            self.no_children(element);
        }
        if let Some(number) = patterns::number(&name) {
            self.pattern(number, element);
            return;
        }
        let (rule, faults) = (&mut self.rule, &mut *self.faults);
        match name.as_str() {
            "if_sid" | "if_level" | "if_group" => self.parent(element, &name),
            "if_matched_sid" | "if_matched_group" | "if_matched_regex" => self.counted(element, &name),
            "decoded_as" => self.decoded_as(element),
            "category" => self.category(element),
            "field" => self.field(element),
            "srcip" => addresses::read(&mut rule.srcip, element, faults),
            "dstip" => addresses::read(&mut rule.dstip, element, faults),
            "list" => rule.lists.extend(lists::read(element, rule.lists.len(), faults)),
            "compiled_rule" | "time" | "weekday" => self.one_of_a_kind(element, &name),
            "if_fts" => rule.if_fts = true,
            "check_diff" => rule.check_diff = true,
            "ignore" => keys::read(&mut rule.ignore, element, faults),
            "check_if_ignored" => keys::read(&mut rule.check_if_ignored, element, faults),
            "group" => self.group(element),
            "description" => self.description(element),
            "mitre" => mitre::read(rule, element, faults),
            "cve" => rule.cve = Some(element.content.value.clone()),
            "info" => self.info(element),
            "options" => self.options(element),
            name => counting::read(&mut rule.counting, element, name, faults),
        }
    }

    fn unknown_element(&mut self, element: &Element<'_>, name: &str) {
        let help = match words::minds_case(name) {
            true => format!("this name is compared with case: write <{name}>"),
            false => words::suggest(name, words::RULE_ELEMENTS),
        };
        let message = format!("a rule has no element <{}>", element.name);
        self.faults.error(element.at, &tag(element), message, help);
    }

    /// The reference takes the text after the last element inside for the whole content.
    fn no_children(&mut self, element: &Element<'_>) {
        if let Some(child) = element.children.first().filter(|_| !element.broken) {
            let message = format!("<{}> cannot hold elements: only the text after them counts", element.name);
            self.faults.warning(child.at, &tag(child), message, "write \\< for a < that belongs to the text");
        }
    }

    fn pattern(&mut self, number: usize, element: &Element<'_>) {
        let default = PATTERNS.get(number).map_or(Language::OsMatch, |(_, _, language)| *language);
        let mut joined = self.rule.patterns.remove(&number);
        pattern(&mut joined, self.faults, element, default);
        if let Some(joined) = joined {
            self.rule.patterns.insert(number, joined);
        }
    }

    fn parent(&mut self, element: &Element<'_>, name: &str) {
        if name == "if_sid" {
            self.check_glued(element);
        }
        let parents = &mut self.rule.parents;
        let text = match name {
            "if_sid" => &mut parents.sid,
            "if_level" => &mut parents.level,
            _ => &mut parents.group,
        };
        join(text, self.faults, element, &[]);
    }

    /// What makes the rule count events. Only the sid is not joined, the last one counts.
    fn counted(&mut self, element: &Element<'_>, name: &str) {
        let counting = &mut self.rule.counting;
        let text = match name {
            "if_matched_sid" => &mut counting.sid,
            "if_matched_group" => &mut counting.group,
            _ => &mut counting.regex,
        };
        if name == "if_matched_sid" {
            Self::only_one(text.take().is_some(), element, self.faults);
        }
        join(text, self.faults, element, &[]);
    }

    fn only_one(stood_before: bool, element: &Element<'_>, faults: &mut Faults<'_>) {
        if stood_before {
            let message = format!("<{}> stands twice, the last one counts", element.name);
            faults.warning(element.at, &element.content.value, message, "remove one of them");
        }
    }

    /// `<if_sid>1</if_sid><if_sid>2</if_sid>` reads as 12.
    fn check_glued(&mut self, element: &Element<'_>) {
        let before = self.rule.parents.sid.as_ref().map(|text| text.value.as_str()).unwrap_or_default();
        let next = element.content.value.as_str();
        let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        if is_digit(before.bytes().last()) && is_digit(next.bytes().next()) {
            let message = "repeated <if_sid> are joined without anything between, so two ids become one";
            let help = "write all ids in one <if_sid>, with commas between";
            self.faults.warning(element.at, next, message, help);
        }
    }

    fn decoded_as(&mut self, element: &Element<'_>) {
        no_attributes(self.faults, element, &[]);
        Self::only_one(self.rule.decoded_as.is_some(), element, self.faults);
        self.rule.decoded_as = Some(text_of(element));
    }

    fn category(&mut self, element: &Element<'_>) {
        no_attributes(self.faults, element, &[]);
        let name = element.content.value.as_str();
        self.rule.category = Category::by_name(name);
        if self.rule.category.is_none() {
            let known = Category::ALL.map(Category::name);
            self.no_such(element, "category", &known);
        }
    }

    fn no_such(&mut self, element: &Element<'_>, what: &str, known: &[&str]) {
        let name = element.content.value.as_str();
        let (at, help) = (text_of(element).origin(0), words::suggest(name.trim(), known));
        self.faults.error(at, name, format!("there is no {what} {}", name.trim()), help);
    }

    fn one_of_a_kind(&mut self, element: &Element<'_>, name: &str) {
        no_attributes(self.faults, element, &[]);
        let text = element.content.value.as_str();
        let at = text_of(element).origin(0);
        match name {
            "time" => {
                self.rule.time = clock::time(text);
                if self.rule.time.is_none() {
                    let help = "write hh:mm - hh:mm, each with am or pm if you like, such as 6 pm - 8:30 am";
                    self.faults.error(at, text, "this is no span of the day", help);
                }
            }
            "weekday" => {
                self.rule.weekdays = clock::weekday(text);
                if self.rule.weekdays.is_none() {
                    let help = "write names of days, weekdays or weekends, with commas between, without !";
                    self.faults.error(at, text, "these are no days of the week", help);
                }
            }
            _ => {
                let found = COMPILED.iter().find(|(known, _)| *known == text);
                self.rule.builtin_check = found.map(|(_, check)| *check);
                if self.rule.builtin_check.is_none() {
                    self.no_such(element, "compiled rule", &COMPILED.map(|(known, _)| known));
                }
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
            let help = match name {
                "srcuser" | "dstuser" => {
                    "use <user>, which looks at dstuser and, without one, at srcuser".to_owned()
                }
                _ => format!("use the element of its own: <{name}>…</{name}>"),
            };
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
            self.faults.advice(element.at, &names, message, "end each list of groups with a comma");
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

    fn info(&mut self, element: &Element<'_>) {
        no_attributes(self.faults, element, &["type"]);
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
            _ => self.no_such(element, "option", words::OPTIONS),
        }
    }

    fn check_complete(&mut self, element: &Element<'_>, id: Option<u32>) {
        let has =
            |name: &str| element.attributes.iter().any(|attribute| attribute.name.eq_ignore_ascii_case(name));
        for (name, value) in [("id", "100000"), ("level", "3")] {
            if !has(name) {
                let help = format!("write {name}=\"{value}\" into the tag");
                self.faults.error(element.at, &tag(element), format!("the rule has no {name}"), help);
            }
        }
        if !self.has_description {
            let id = id.map_or_else(|| tag(element), |id| format!("rule {id}"));
            let help = "add <description>what happened</description>";
            self.faults.error(element.at, &id, "the rule has no description", help);
        }
        let counting = &self.rule.counting;
        if let Some((at, written)) = &counting.needs_source
            && counting.sid.is_none()
            && counting.group.is_none()
            && counting.regex.is_none()
        {
            let message = format!("{written} means nothing in a rule that counts no events");
            let help = "add <if_matched_sid>, <if_matched_group> or <if_matched_regex>, or remove it";
            self.faults.error(*at, written, message, help);
        }
    }
}
