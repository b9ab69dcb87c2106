//! The attributes of `<rule>`.

use super::super::source::Faults;
use super::super::syntax::RuleSyntax;
use super::super::vocabulary as words;
use super::super::xml::{Attribute, Element};
use super::tag;

/// What is left of level 0 in the reference when the accuracy is 0, too.
const LEVEL_WITHOUT_ACCURACY: u8 = 99;

/// Reads the attributes into `rule`; gives the id, where there is one.
pub(super) fn read(rule: &mut RuleSyntax, element: &Element<'_>, faults: &mut Faults<'_>) -> Option<u32> {
    let mut reader = Reader { rule, faults };
    let mut id = None;
    for attribute in &element.attributes {
        let name = attribute.name.to_ascii_lowercase();
        if name == "id" {
            id = reader.number(attribute, "a number of at most six digits", 0..=999_999);
        } else {
            reader.attribute(attribute, &name);
        }
    }
    rule.id = id.unwrap_or_default();
    if rule.tried_last && rule.level == 0 {
        rule.level = LEVEL_WITHOUT_ACCURACY;
        let message = "accuracy 0 together with level 0 makes a level-99 rule, as in the reference";
        faults.warning(element.at, &tag(element), message, "remove the attribute accuracy");
    }
    id
}

struct Reader<'r, 'f, 's> {
    rule: &'r mut RuleSyntax,
    faults: &'f mut Faults<'s>,
}

impl Reader<'_, '_, '_> {
    fn attribute(&mut self, attribute: &Attribute<'_>, name: &str) {
        match name {
            "level" => {
                let level = self.number(attribute, "a number from 0 to 16", 0..=16);
                self.rule.level = level.and_then(|level| u8::try_from(level).ok()).unwrap_or_default();
            }
            "maxsize" => self.rule.maxsize = self.cut(attribute, 4),
            "timeframe" => self.rule.counting.timeframe = self.cut(attribute, 5),
            "ignore" => self.rule.ignore_seconds = self.cut(attribute, 6).unwrap_or_default(),
            "frequency" => {
                self.rule.counting.frequency = self.number(attribute, "a number from 2 to 9999", 2..=9999);
                let needs = (attribute.at, format!("the attribute {}", attribute.name));
                self.rule.counting.needs_source.get_or_insert(needs);
            }
            "noalert" => self.noalert(attribute),
            "accuracy" => self.rule.tried_last = self.cut(attribute, 6) == Some(0),
            "overwrite" => self.overwrite(attribute),
            _ => {
                let message = format!("<rule> has no attribute {name}");
                let help = words::suggest(name, words::RULE_ATTRIBUTES);
                self.faults.error(attribute.at, attribute.name, message, help);
            }
        }
    }

    fn number(
        &mut self,
        attribute: &Attribute<'_>,
        wanted: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let text = attribute.value.value.as_str();
        let number = text.parse().ok().filter(|number| is_digits(text) && range.contains(number));
        if number.is_none() {
            let name = attribute.name;
            let message = format!("the attribute {name} is not {wanted}");
            self.faults.error(attribute.at, text, message, format!("write {name}=\"…\" with {wanted}"));
        }
        number
    }

    /// As in the reference, digits after the first `most` are cut off.
    fn cut(&mut self, attribute: &Attribute<'_>, most: usize) -> Option<u32> {
        let (name, text) = (attribute.name, attribute.value.value.as_str());
        if !is_digits(text) {
            let message = format!("the attribute {name} is not a number");
            let help = format!("write {name}=\"…\" with a number of at most {most} digits");
            self.faults.error(attribute.at, text, message, help);
            return None;
        }
        let kept = text.get(..most).unwrap_or(text);
        if kept != text {
            let message = format!("the attribute {name} is cut to its first {most} digits: {kept}");
            self.faults.warning(attribute.at, text, message, format!("write at most {most} digits"));
        }
        kept.parse().ok()
    }

    fn noalert(&mut self, attribute: &Attribute<'_>) {
        let number = self.cut(attribute, 6);
        self.rule.noalert = number.is_some_and(|number| number > 0);
        if number.is_some_and(|number| number > 1) {
            let text = attribute.value.value.as_str();
            let message = "the attribute noalert is not 0 or 1, it is taken as 1";
            self.faults.warning(attribute.at, text, message, "write 0 or 1");
        }
    }

    fn overwrite(&mut self, attribute: &Attribute<'_>) {
        let value = attribute.value.value.as_str();
        self.rule.overwrite = value.eq_ignore_ascii_case("yes");
        if !self.rule.overwrite && !value.eq_ignore_ascii_case("no") {
            let message = "the attribute overwrite is neither yes nor no";
            self.faults.error(attribute.at, value, message, "write yes or no");
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
