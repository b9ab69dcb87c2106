//! Conditions: `selection and not 1 of filter*`.
//!
//! Enters: the text of a condition. Leaves: its tree over names, or the fault with its byte. `not` binds closest, then
//! `and`, then `or`. The same grammar serves the conditions of rules, of filters and of temporal correlations.

/// Nesting by brackets and `not`; guards recursion here and in all that walks the tree.
const MAX_DEPTH: usize = 64;
/// Words in one condition.
const MAX_WORDS: usize = 20_000;

/// A condition over names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition<'t> {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// A name, and where it begins.
    Name(&'t str, usize),
    /// `1 of …` or `all of …`.
    Of {
        every: bool,
        pattern: &'t str,
        at: usize,
    },
}

/// What is wrong with a condition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ConditionFault {
    /// Byte of the condition.
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Reads a condition.
pub(super) fn parse(text: &str) -> Result<Condition<'_>, ConditionFault> {
    if let Some(at) = text.find('|') {
        let message = "conditions with `| count() …` or `| near …` are no longer part of Sigma".to_owned();
        let help = "write a correlation rule: `correlation:` with type event_count, value_count or temporal";
        return Err(ConditionFault { at, message, help });
    }
    let words = words(text);
    if let Some((at, _)) = words.get(MAX_WORDS) {
        let message = format!("the condition has more than {MAX_WORDS} words");
        return Err(ConditionFault { at: *at, message, help: "use `1 of pattern*`" });
    }
    let mut parser = Parser { words: &words, next: 0, end: text.len() };
    let condition = parser.or(0)?;
    match parser.peek() {
        None => Ok(condition),
        Some((at, ")")) => {
            let message = "a bracket closes that was not opened".to_owned();
            Err(ConditionFault { at, message, help: "remove it, or open it with (" })
        }
        Some((at, word)) => {
            let message = format!("`and` or `or` is missing before {word}");
            Err(ConditionFault { at, message, help: "join selections with `and`, `or`, `not`" })
        }
    }
}

/// Brackets and runs of what is neither blank nor bracket, each with its byte.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, char) in text.char_indices() {
        let is_bracket = matches!(char, '(' | ')');
        if (is_bracket || char.is_whitespace())
            && let Some(from) = start.take()
        {
            words.push((from, text.get(from..at).unwrap_or_default()));
        }
        if is_bracket {
            words.push((at, text.get(at..=at).unwrap_or_default()));
        } else if !char.is_whitespace() && start.is_none() {
            start = Some(at);
        }
    }
    if let Some(from) = start {
        words.push((from, text.get(from..).unwrap_or_default()));
    }
    words
}

struct Parser<'w, 't> {
    words: &'w [(usize, &'t str)],
    next: usize,
    /// Where the text ends.
    end: usize,
}

impl<'t> Parser<'_, 't> {
    fn peek(&self) -> Option<(usize, &'t str)> {
        self.words.get(self.next).copied()
    }

    fn takes(&mut self, word: &str) -> bool {
        let is = self.peek().is_some_and(|(_, found)| found.eq_ignore_ascii_case(word));
        self.next += usize::from(is);
        is
    }

    fn or(&mut self, depth: usize) -> Result<Condition<'t>, ConditionFault> {
        let mut operands = vec![self.and(depth)?];
        while self.takes("or") {
            operands.push(self.and(depth)?);
        }
        Ok(if operands.len() == 1 { operands.remove(0) } else { Condition::Or(operands) })
    }

    fn and(&mut self, depth: usize) -> Result<Condition<'t>, ConditionFault> {
        let mut operands = vec![self.not(depth)?];
        while self.takes("and") {
            operands.push(self.not(depth)?);
        }
        Ok(if operands.len() == 1 { operands.remove(0) } else { Condition::And(operands) })
    }

    fn not(&mut self, depth: usize) -> Result<Condition<'t>, ConditionFault> {
        let Some((at, word)) = self.peek() else {
            let message = match self.words.is_empty() {
                true => "the condition is empty",
                false => "the condition ends where a selection should stand",
            };
            return Err(ConditionFault {
                at: self.end,
                message: message.to_owned(),
                help: "name a selection",
            });
        };
        if depth > MAX_DEPTH {
            let message = format!("the condition is nested deeper than {MAX_DEPTH}");
            return Err(ConditionFault { at, message, help: "make selections of its parts" });
        }
        if self.takes("not") {
            return Ok(Condition::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.takes("(") {
            let inner = self.or(depth + 1)?;
            return match self.takes(")") {
                true => Ok(inner),
                false => {
                    let message = "the bracket is not closed".to_owned();
                    Err(ConditionFault { at, message, help: "close it with )" })
                }
            };
        }
        if word == ")" || word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or") {
            let message = format!("a selection is missing before {word}");
            return Err(ConditionFault { at, message, help: "name a selection" });
        }
        self.next += 1;
        let is_of = self.peek().is_some_and(|(_, next)| next.eq_ignore_ascii_case("of"));
        if is_of { self.of(at, word) } else { Ok(Condition::Name(word, at)) }
    }

    fn of(&mut self, at: usize, quantity: &str) -> Result<Condition<'t>, ConditionFault> {
        self.next += 1;
        let every = match quantity.to_ascii_lowercase().as_str() {
            "1" | "any" => false,
            "all" => true,
            _ => {
                let message = format!("{quantity} of … is not part of Sigma");
                return Err(ConditionFault { at, message, help: "write `1 of …` or `all of …`" });
            }
        };
        match self.peek() {
            Some((_, pattern)) if !matches!(pattern, "(" | ")") => {
                self.next += 1;
                Ok(Condition::Of { every, pattern, at })
            }
            _ => {
                let message = "behind `of` a name is missing".to_owned();
                Err(ConditionFault { at, message, help: "write `them` or a pattern: `1 of selection_*`" })
            }
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any characters.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(condition: &Condition<'_>) -> String {
        let join = |parts: &[Condition<'_>], word: &str| {
            format!("({})", parts.iter().map(shown).collect::<Vec<_>>().join(word))
        };
        match condition {
            Condition::And(parts) => join(parts, " & "),
            Condition::Or(parts) => join(parts, " | "),
            Condition::Not(inner) => format!("!{}", shown(inner)),
            Condition::Name(name, _) => (*name).to_owned(),
            Condition::Of { every, pattern, .. } => {
                format!("{}:{pattern}", if *every { "all" } else { "any" })
            }
        }
    }

    #[test]
    fn precedence_and_shapes() {
        for (text, expected) in [
            ("selection", "selection"),
            ("a and b", "(a & b)"),
            ("a or b and not c", "(a | (b & !c))"),
            ("(a or b) and c", "((a | b) & c)"),
            ("not (a or b)", "!(a | b)"),
            ("not not a", "!!a"),
            ("a AND NOT b OR c", "((a & !b) | c)"),
            ("1 of them", "any:them"),
            ("any of sel*", "any:sel*"),
            ("all of selection_* and not 1 of filter_main_*", "(all:selection_* & !any:filter_main_*)"),
            ("(a)and(b)", "(a & b)"),
            ("a\n  and\tb", "(a & b)"),
            ("a-1 or b.2", "(a-1 | b.2)"),
            ("((((a))))", "a"),
            ("of or 1", "(of | 1)"),
        ] {
            assert_eq!(shown(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn faults_have_their_byte() {
        for (text, at, message) in [
            ("", 0, "is empty"),
            ("  ", 2, "is empty"),
            ("a and", 5, "ends where a selection"),
            ("a b", 2, "missing before b"),
            ("a or or b", 5, "missing before or"),
            ("(a or b", 0, "not closed"),
            ("a)", 1, "not opened"),
            ("()", 1, "missing before )"),
            ("2 of sel*", 0, "2 of …"),
            ("1 of", 0, "name is missing"),
            ("1 of (a)", 0, "name is missing"),
            ("a | count() > 5", 2, "no longer part of Sigma"),
            ("a and not", 9, "ends where a selection"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.at, at, "{text}");
            assert!(fault.message.contains(message), "{text}: {}", fault.message);
        }
        assert!(parse(&format!("{}a", "(".repeat(19_000))).unwrap_err().message.contains("nested deeper"));
        assert!(parse(&format!("{}a", "not ".repeat(19_000))).unwrap_err().message.contains("nested deeper"));
        assert!(parse(&"a or ".repeat(20_000)).unwrap_err().message.contains("more than 20000 words"));
    }

    #[test]
    fn patterns_of_names() {
        for (pattern, name, expected) in [
            ("sel*", "selection", true),
            ("sel*", "sel", true),
            ("sel*", "xsel", false),
            ("*ion", "selection", true),
            ("s*t*n", "selection", true),
            ("s*t*x", "selection", false),
            ("selection", "selection", true),
            ("selection", "selection_1", false),
            ("a*a", "a", false),
            ("*", "x", true),
            ("*a*b*", "xaxbx", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
