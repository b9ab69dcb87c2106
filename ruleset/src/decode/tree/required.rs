//! Literals that a text must contain to match a PCRE2 pattern.
//!
//! Enters: a pattern. Leaves: for each alternative a literal, in lower case, that every match contains in some case.
//! Only what is plainly read is used: fixed characters outside groups and classes. Groups and classes are stepped over
//! as something unknown; a pattern with a construct that could change the meaning of the rest is given up.

/// One literal for each alternative; `None` when an alternative has none or the pattern is not understood.
pub(super) fn required(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let mut reader = Reader { pattern: pattern.as_bytes(), at: 0 };
    let mut found = Vec::new();
    loop {
        found.push(reader.alternative()?);
        if reader.at == pattern.len() {
            return Some(found);
        }
        reader.at += 1;
    }
}

struct Reader<'p> {
    pattern: &'p [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    /// Reads up to a `|` or the end; the longest run of fixed characters.
    fn alternative(&mut self) -> Option<Vec<u8>> {
        let (mut longest, mut run) = (Vec::new(), Vec::new());
        while let Some(byte) = self.peek().filter(|&byte| byte != b'|') {
            let fixed = self.item(byte)?;
            let repeat = self.repeat()?;
            if let Some(byte) = fixed.filter(|_| repeat != Repeat::Optional) {
                run.push(byte.to_ascii_lowercase());
            }
            if (fixed.is_none() || repeat != Repeat::Once) && run.len() > longest.len() {
                longest = std::mem::take(&mut run);
            } else if fixed.is_none() || repeat != Repeat::Once {
                run.clear();
            }
        }
        let longest = if run.len() > longest.len() { run } else { longest };
        (!longest.is_empty()).then_some(longest)
    }

    /// Steps over one item and tells its byte if it is a fixed one; `None`: not understood.
    fn item(&mut self, byte: u8) -> Option<Option<u8>> {
        self.at += 1;
        match byte {
            b'\\' => {
                let escaped = self.peek()?;
                self.at += 1;
                match escaped {
                    b'd' | b'D' | b'w' | b'W' | b's' | b'S' | b'b' | b'B' => Some(None),
                    b't' => Some(Some(b'\t')),
                    _ if escaped.is_ascii_punctuation() || escaped == b' ' => Some(Some(escaped)),
                    _ => None,
                }
            }
            b'[' => self.class().map(|()| None),
            b'(' => self.group().map(|()| None),
            b')' | b'*' | b'+' | b'?' | b'{' => None,
            b'.' | b'^' | b'$' => Some(None),
            _ => Some(Some(byte)),
        }
    }

    /// After `[`: to behind the closing bracket.
    fn class(&mut self) -> Option<()> {
        self.at += usize::from(self.peek() == Some(b'^'));
        // A bracket in the first place stands for itself.
        self.at += usize::from(self.peek() == Some(b']'));
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b']' => return Some(()),
                b'\\' => {
                    // `\Q` changes how the rest is read.
                    (self.peek()? != b'Q').then_some(())?;
                    self.at += 1;
                }
                // Named classes have a bracket of their own.
                b'[' => return None,
                _ => {}
            }
        }
    }

    /// After `(`: to behind its `)`. Verbs, comments and options that change the syntax are given up.
    fn group(&mut self) -> Option<()> {
        let mut depth = 1_usize;
        self.group_head()?;
        while depth > 0 {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'(' => {
                    self.group_head()?;
                    depth += 1;
                }
                b')' => depth -= 1,
                b'[' => self.class()?,
                b'\\' => {
                    (self.peek()? != b'Q').then_some(())?;
                    self.at += 1;
                }
                _ => {}
            }
        }
        Some(())
    }

    fn group_head(&self) -> Option<()> {
        let head = &self.pattern[self.at..];
        let plain = match head {
            [b'*', ..] => false,
            [b'?', b':' | b'=' | b'!' | b'>' | b'|' | b'<', ..] | [b'?', b'P', b'<', ..] => true,
            [b'?', b'i', b')' | b':', ..] | [b'?', b's', b')' | b':', ..] => true,
            [b'?', ..] => false,
            _ => true,
        };
        plain.then_some(())
    }

    /// Steps over a quantifier; `None`: a brace that may stand for itself.
    fn repeat(&mut self) -> Option<Repeat> {
        let repeat = match self.peek() {
            Some(b'*' | b'?') => Repeat::Optional,
            Some(b'{') => {
                let rest = &self.pattern[self.at + 1..];
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b',').count();
                (digits > 0 && rest.get(digits) == Some(&b'}')).then_some(())?;
                self.at += digits + 1;
                // How often is not read: perhaps not at all.
                Repeat::Optional
            }
            Some(b'+') => Repeat::More,
            _ => return Some(Repeat::Once),
        };
        self.at += 1;
        // Lazy and possessive.
        self.at += usize::from(matches!(self.peek(), Some(b'?' | b'+')));
        Some(repeat)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Once,
    More,
    /// Perhaps not at all.
    Optional,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::expr::Pcre2;

    fn texts(pattern: &str) -> Option<Vec<String>> {
        Some(required(pattern)?.into_iter().map(|literal| String::from_utf8(literal).unwrap()).collect())
    }

    #[test]
    fn the_longest_plain_run_counts() {
        for (pattern, expected) in [
            (r"^CEF:0\|Fi\|(\w+)\|", "cef:0|fi|"),
            (r"src=(\S+)? dst", "src="),
            (r"ab?cd", "cd"),
            (r"ab+c", "ab"),
            (r"(?i)Name[^\]x]tail", "name"),
            (r"a{2}bc", "bc"),
            (r"x(?:long(er)|\)) y", " y"),
            (r#"\{.*?\"user\""#, "\"user\""),
        ] {
            assert_eq!(texts(pattern), Some(vec![expected.to_owned()]), "{pattern}");
        }
        assert_eq!(texts("ab|c(d|e)"), Some(vec!["ab".into(), "c".into()]));
    }

    #[test]
    fn what_is_not_understood_is_given_up() {
        for pattern in [
            r"a\Qb\E",
            "(*UTF)ab",
            "(?x)a b",
            "a(?#)b",
            r"a\x41b",
            "a|",
            r"\d+",
            "[[:alpha:]]b",
            "(?P>n)ab",
            "a(b",
            "xy a{b|c",
            "a{2}{3}",
        ] {
            assert_eq!(required(pattern), None, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_text_without_the_literals_matches(
            tokens in prop::collection::vec(prop::sample::select(vec![
                "a", "b", "ab", "|", "(", ")", "?", "*", "+", "{2}", "{", "}", "[a]", "[^a]", r"\d", r"\.", ".", "^", "$", "(?:", "(?i)", "(?=", "\\(", "B",
            ]), 0..8),
            text in "[abAB.({}1]{0,8}",
        ) {
            let pattern = tokens.concat();
            let (Ok(regex), Some(literals)) = (Pcre2::new(&pattern), required(&pattern)) else { return Ok(()) };
            let folded = text.to_ascii_lowercase();
            let possible = literals.iter().any(|literal| folded.as_bytes().windows(literal.len()).any(|part| part == literal));
            prop_assert!(possible || !regex.is_match(text.as_bytes()), "{} {}", pattern, text);
        }
    }
}
