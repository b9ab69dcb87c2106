//! Random records: the fields that the rules name, in every form that JSON has for them.

use crate::rng::Rng;
use crate::rules::{NAMES, word};

/// How the records of a source may look so that the reference's envelope of them is what its collector would make.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Lines that the reference reads as they are.
    Plain,
    /// Records that its collector reads and writes anew: of a repeated member the last one stays, so there are none.
    Rewritten,
    /// The same for CloudTrail, whose members have special places by their exact names.
    CloudTrail,
}

/// Without the integer `-0`: the reference keeps its sign within arrays, and the engine does not.
const NUMBERS: [&str; 27] = [
    "0",
    "1",
    "-7",
    "10",
    "1.5",
    "1.50",
    "0.1",
    "1e3",
    "1E+2",
    "10e-1",
    "-1.5e-3",
    "1e-9",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "9007199254740993",
    "18446744073709551615",
    "-9223372036854775808",
    "1e22",
    "1e300",
    "1e999",
    "-1e999",
    "0.30000000000000004",
    "123456789012",
    "-0.0",
    "5e-324",
];
/// More than any integer type holds: texts of CloudTrail's free-form lists would keep all digits.
const HUGE: [&str; 3] = ["18446744073709551616", "123456789012345678901234567890", "-9223372036854775809"];

/// A JSON object.
pub(crate) fn record(rng: &mut Rng, style: Style) -> String {
    let mut writer = Writer { rng, style, text: String::new(), arrays: 0 };
    writer.top();
    writer.text
}

struct Writer<'r> {
    rng: &'r mut Rng,
    style: Style,
    text: String,
    /// How many arrays are open.
    arrays: usize,
}

impl Writer<'_> {
    fn top(&mut self) {
        let mut keys: Vec<String> = Vec::new();
        self.text.push('{');
        for _ in 0..self.rng.below(9) {
            let (key, path) = self.key();
            if !self.may_have(&key, &keys) {
                continue;
            }
            if !keys.is_empty() {
                self.text.push(',');
            }
            self.write_key(&key);
            self.text.push(':');
            match path {
                Some(rest) => self.nested(&rest),
                None => self.value(3),
            }
            keys.push(key);
        }
        self.text.push('}');
    }

    fn may_have(&self, key: &str, keys: &[String]) -> bool {
        match self.style {
            Style::Plain => true,
            Style::Rewritten => !keys.iter().any(|known| known == key),
            // The collector makes this member itself.
            Style::CloudTrail if key == "source_ip_address" => false,
            Style::CloudTrail => !keys.iter().any(|known| known.eq_ignore_ascii_case(key)),
        }
    }

    /// A key for the top, and the rest of the name when the name was cut there.
    fn key(&mut self) -> (String, Option<String>) {
        if self.style != Style::CloudTrail && self.rng.one_in(10) {
            return (
                self.rng.pick(&["id", "status", "user", "dstuser", "srcip", "Id", "system_name"]).to_owned(),
                None,
            );
        }
        if self.rng.one_in(12) {
            return (self.rng.pick(&["other", "z.z", "", "k\\u0000x", "\\u007a", "ü"]).to_owned(), None);
        }
        let name = NAMES[self.rng.below(NAMES.len())];
        // Collectors go by the exact names of what they change.
        let is_fixed = self.style == Style::CloudTrail
            || (self.style == Style::Rewritten && name.starts_with("initiatedBy"));
        let name = match self.rng.below(6) {
            0 if !is_fixed => name.to_ascii_uppercase(),
            1 if !is_fixed => name.to_ascii_lowercase(),
            _ => name.to_owned(),
        };
        let dots: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
        if dots.is_empty() || (self.style != Style::CloudTrail && self.rng.one_in(8)) {
            return (name, None);
        }
        let cut = dots[self.rng.below(dots.len())];
        let cut = if self.style == Style::CloudTrail { dots[0] } else { cut };
        (name[..cut].to_owned(), Some(name[cut + 1..].to_owned()))
    }

    fn write_key(&mut self, key: &str) {
        self.text.push('"');
        self.text.push_str(key);
        self.text.push('"');
    }

    /// Mostly an object that has the rest of the name.
    fn nested(&mut self, rest: &str) {
        if self.rng.one_in(4) {
            self.value(2);
            return;
        }
        let listed = self.rng.one_in(6);
        self.text.push_str(if listed { "[{" } else { "{" });
        let (first, after) = match rest.split_once('.') {
            Some((first, after)) if !self.rng.one_in(4) || self.style == Style::CloudTrail => {
                (first, Some(after))
            }
            _ => (rest, None),
        };
        if self.rng.one_in(3) {
            self.write_key("before");
            self.text.push(':');
            self.value(1);
            self.text.push(',');
        }
        self.write_key(first);
        self.text.push(':');
        match after {
            Some(after) => self.nested(after),
            None => self.value(2),
        }
        if self.style == Style::Plain && self.rng.one_in(4) {
            self.text.push(',');
            self.write_key(first);
            self.text.push(':');
            self.value(2);
        }
        self.text.push_str(if listed { "}]" } else { "}" });
    }

    fn value(&mut self, depth: usize) {
        match self.rng.below(if depth == 0 { 9 } else { 12 }) {
            0..=4 => self.string(),
            5 | 6 => self.number(),
            7 => self.text.push_str("null"),
            8 => {
                let word = self.rng.pick(&["true", "false"]);
                self.text.push_str(word);
            }
            9 | 10 => self.array(depth),
            _ => self.object(depth),
        }
    }

    fn object(&mut self, depth: usize) {
        let keys = ["a", "b", "id", "x", "A", ""];
        let count = self.rng.below(4);
        self.text.push('{');
        let mut used: Vec<&str> = Vec::new();
        for _ in 0..count {
            let key = self.rng.pick(&keys);
            if self.style != Style::Plain && used.contains(&key) {
                continue;
            }
            if !used.is_empty() {
                self.text.push(',');
            }
            used.push(key);
            self.write_key(key);
            self.text.push(':');
            self.value(depth - 1);
        }
        self.text.push('}');
    }

    fn array(&mut self, depth: usize) {
        self.text.push('[');
        self.arrays += 1;
        let count = self.rng.pick(&[&0_usize, &1, &1, &1, &2, &3]);
        for index in 0..*count {
            if index > 0 {
                self.text.push(',');
            }
            self.value(depth - 1);
        }
        self.arrays -= 1;
        self.text.push(']');
    }

    fn number(&mut self) {
        if self.style != Style::CloudTrail && self.rng.one_in(10) {
            self.text.push_str(HUGE[self.rng.below(HUGE.len())]);
        } else if self.rng.one_in(4) {
            let value = f64::from_bits(self.rng.next());
            let value = if value.is_finite() { value } else { 0.5 };
            self.text.push_str(&format!("{value:?}"));
        } else {
            self.text.push_str(NUMBERS[self.rng.below(NUMBERS.len())]);
        }
    }

    /// A word of the rules, as it is or changed a little, with JSON's escapes.
    fn string(&mut self) {
        let mut text = word(self.rng).to_owned();
        match self.rng.below(12) {
            0 => text.insert(0, 'q'),
            1 => text.push('q'),
            2 => text = text.to_ascii_uppercase(),
            7 => text = text.chars().skip(1).collect(),
            3 | 4 => text.push('\n'),
            5 => text = format!("{text} {}", word(self.rng)),
            6 => text.clear(),
            _ => {}
        }
        self.text.push('"');
        for char in text.chars() {
            match char {
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                char if self.rng.one_in(30) => {
                    let mut units = [0; 2];
                    for unit in char.encode_utf16(&mut units) {
                        self.text.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                char => self.text.push(char),
            }
        }
        if self.rng.one_in(40) {
            // Lists that the collector turns into text keep a NUL, as an escape of its own.
            let is_list = self.style == Style::CloudTrail && self.arrays > 0;
            let tails = ["\\/", "\\ud83d\\ude00", "\\\\u0000", "\\u0000", "\\u0000x"];
            let tails = if is_list { &tails[..3] } else { &tails[..] };
            self.text.push_str(self.rng.pick(tails));
        }
        self.text.push('"');
    }
}
