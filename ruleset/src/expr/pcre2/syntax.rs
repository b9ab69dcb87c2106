//! The syntax of PCRE2, as far as it is understood here.
//!
//! Enters: a pattern. Leaves: a tree, or nothing where a construct is unknown: such a pattern is the library's alone.
//! What automata cannot do but can be delimited (look-around, back-references, possessive and atomic parts) stands in
//! the tree as [`Ast::Opaque`] or [`Ast::Ahead`], so that the literals beside it are still found. Every rule here is
//! that of PCRE2 10 without options; where its versions differ, the construct counts as unknown. The library checks
//! every pattern before, so that this parser may take a few things that are errors.

use super::super::bytes::ByteSet;
use super::class;

/// Deeper nesting is left to the library.
const MAX_DEPTH: usize = 40;
/// Higher counts, too.
const MAX_COUNT: u32 = 1_000;

/// A pattern as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ast {
    /// Matches the empty text.
    Empty,
    /// One byte of a set, which folding has gone into.
    Class(ByteSet),
    Look(Look),
    Repeat {
        inner: Box<Ast>,
        min: u32,
        max: Option<u32>,
        greedy: bool,
    },
    /// A capture group and its number.
    Group(u32, Box<Ast>),
    Concat(Vec<Ast>),
    Alternate(Vec<Ast>),
    /// Look-ahead.
    Ahead {
        negative: bool,
        inner: Box<Ast>,
    },
    /// Something that matches as a part of the pattern in a way that only the library knows; at least what is inside.
    Opaque(Box<Ast>),
}

/// Assertions about a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The start of the text.
    Start,
    /// As above or after a line feed, but not at the end of the text.
    StartLine,
    /// The end of the text.
    End,
    /// The end of the text, or before a line feed that ends it.
    EndOrLastFeed,
    /// The end of the text, or before a line feed.
    EndLine,
    Word,
    NotWord,
}

/// A pattern that was understood.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) ast: Ast,
    /// How many capture groups it has.
    pub(super) groups: u32,
    /// It begins with `(*UTF)`: it matches only texts that are UTF-8.
    pub(super) utf: bool,
}

/// Inline options.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_all: bool,
    swap_greed: bool,
}

pub(super) fn parse(pattern: &str) -> Option<Parsed> {
    let (pattern, utf) = match pattern.strip_prefix("(*UTF)") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let mut parser =
        Parser { bytes: pattern.as_bytes(), at: 0, flags: Flags::default(), utf, groups: 0, depth: 0 };
    let ast = parser.alternatives()?;
    (parser.at == parser.bytes.len()).then_some(Parsed { ast, groups: parser.groups, utf })
}

struct Parser<'p> {
    bytes: &'p [u8],
    at: usize,
    flags: Flags,
    utf: bool,
    groups: u32,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, text: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Up to the `)` of the group that it stands in, or the end. Options that are set inside end with the group.
    fn alternatives(&mut self) -> Option<Ast> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let flags = self.flags;
        let mut branches = vec![self.branch()?];
        while self.eat(b"|") {
            branches.push(self.branch()?);
        }
        self.flags = flags;
        self.depth -= 1;
        if branches.len() == 1 { branches.pop() } else { Some(Ast::Alternate(branches)) }
    }

    fn branch(&mut self) -> Option<Ast> {
        let mut parts = Vec::new();
        while let Some(byte) = self.peek() {
            if matches!(byte, b'|' | b')') {
                break;
            }
            let atom = self.atom()?;
            parts.push(self.quantified(atom)?);
        }
        Some(match parts.len() {
            0 => Ast::Empty,
            1 => parts.pop()?,
            _ => Ast::Concat(parts),
        })
    }

    fn atom(&mut self) -> Option<Ast> {
        let multi_line = self.flags.multi_line;
        Some(match self.next()? {
            b'(' => self.group()?,
            b'[' => {
                let (set, length) = class::parse(&self.bytes[self.at..], self.flags.fold, self.utf)?;
                self.at += length;
                self.set(set)
            }
            b'\\' => self.escape()?,
            b'^' => Ast::Look(if multi_line { Look::StartLine } else { Look::Start }),
            b'$' => Ast::Look(if multi_line { Look::EndLine } else { Look::EndOrLastFeed }),
            b'.' if self.flags.dot_all => self.set(ByteSet::ALL),
            b'.' => self.set(class::not_line_feed()),
            b'*' | b'+' | b'?' => return None,
            // The versions differ in what a quantifier is: `{,3}` and `{ 1, 2 }` are newer.
            b'{' if self.peek().is_some_and(|next| next.is_ascii_digit() || b", \t".contains(&next)) => {
                return None;
            }
            byte if byte < 0x80 => self.byte(byte),
            byte => self.non_ascii(byte)?,
        })
    }

    /// A character of the pattern beyond ASCII: one atom with `(*UTF)`, else each of its bytes is one.
    fn non_ascii(&mut self, byte: u8) -> Option<Ast> {
        if !self.utf {
            return Some(self.byte(byte));
        }
        let text = std::str::from_utf8(&self.bytes[self.at - 1..]).ok()?;
        let character = text.chars().next()?;
        self.at += character.len_utf8() - 1;
        Some(self.character(character))
    }

    fn byte(&self, byte: u8) -> Ast {
        // With `(*UTF)` letters fold to characters beyond ASCII: k and s have such partners.
        let mut set = ByteSet::default();
        set.insert(byte);
        if !self.flags.fold {
            return Ast::Class(set);
        }
        if self.utf && b"kKsS".contains(&byte) {
            return Ast::Opaque(Box::new(Ast::Empty));
        }
        Ast::Class(set.folded())
    }

    fn character(&self, character: char) -> Ast {
        if character.is_ascii() {
            return self.byte(character as u8);
        }
        if self.flags.fold {
            return Ast::Opaque(Box::new(Ast::Empty));
        }
        Ast::Concat(
            character
                .to_string()
                .bytes()
                .map(|byte| {
                    let mut set = ByteSet::default();
                    set.insert(byte);
                    Ast::Class(set)
                })
                .collect(),
        )
    }

    /// With `(*UTF)` a class takes characters: a set with bytes beyond ASCII is not what it says.
    fn set(&self, set: ByteSet) -> Ast {
        let beyond = self.utf && set.iter().any(|byte| byte >= 0x80);
        let folds = self.utf && self.flags.fold && b"kKsS".iter().any(|&byte| set.contains(byte));
        if beyond || folds { Ast::Opaque(Box::new(Ast::Empty)) } else { Ast::Class(set) }
    }

    fn code_point(&self, code: u32) -> Option<Ast> {
        if self.utf {
            return char::from_u32(code).map(|character| self.character(character));
        }
        u8::try_from(code).ok().map(|byte| self.byte(byte))
    }

    fn escape(&mut self) -> Option<Ast> {
        let letter = self.next()?;
        if let Some(set) = class::of_escape(letter) {
            return Some(self.set(set));
        }
        if let Some(byte) = class::byte_of_escape(letter) {
            return Some(self.byte(byte));
        }
        let opaque = || Some(Ast::Opaque(Box::new(Ast::Empty)));
        match letter {
            b'N' if self.eat(b"{U+") => {
                let code = self.braced_hex()?;
                if self.utf { self.code_point(code) } else { None }
            }
            b'N' if self.peek() == Some(b'{') => None,
            b'N' => Some(self.set(class::not_line_feed())),
            b'x' if self.eat(b"{") => {
                let code = self.braced_hex()?;
                self.code_point(code)
            }
            b'x' => {
                let digits = self.bytes.get(self.at..self.at + 2)?;
                self.at += 2;
                let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
                if digits.iter().all(u8::is_ascii_hexdigit) { self.code_point(code) } else { None }
            }
            b'A' => Some(Ast::Look(Look::Start)),
            b'z' => Some(Ast::Look(Look::End)),
            b'Z' => Some(Ast::Look(Look::EndOrLastFeed)),
            b'b' => Some(Ast::Look(Look::Word)),
            b'B' => Some(Ast::Look(Look::NotWord)),
            b'G' | b'K' | b'R' | b'X' => opaque(),
            // A single digit that no other follows is a back-reference.
            b'1'..=b'9' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => opaque(),
            _ if letter < 0x80 && !letter.is_ascii_alphanumeric() => Some(self.byte(letter)),
            _ => None,
        }
    }

    fn braced_hex(&mut self) -> Option<u32> {
        let end = self.bytes[self.at..].iter().position(|&byte| byte == b'}')?;
        let digits = &self.bytes[self.at..self.at + end];
        self.at += end + 1;
        if digits.is_empty() || digits.len() > 6 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    /// After the `(`.
    fn group(&mut self) -> Option<Ast> {
        if self.peek() == Some(b'*') {
            return None;
        }
        if !self.eat(b"?") {
            return self.capture();
        }
        if self.eat(b"P<") || (self.peek() == Some(b'<') && !self.lookbehind() && self.eat(b"<")) {
            while self.peek()? != b'>' {
                let byte = self.next()?;
                if !byte.is_ascii_alphanumeric() && byte != b'_' {
                    return None;
                }
            }
            self.at += 1;
            return self.capture();
        }
        if self.eat(b"=") || self.eat(b"!") {
            let negative = self.bytes[self.at - 1] == b'!';
            return Some(Ast::Ahead { negative, inner: Box::new(self.closed()?) });
        }
        if self.eat(b"<=") || self.eat(b"<!") {
            self.closed()?;
            return Some(Ast::Opaque(Box::new(Ast::Empty)));
        }
        if self.eat(b">") {
            return Some(Ast::Opaque(Box::new(self.closed()?)));
        }
        self.options()
    }

    fn lookbehind(&self) -> bool {
        matches!(self.bytes.get(self.at + 1), Some(b'=' | b'!'))
    }

    fn capture(&mut self) -> Option<Ast> {
        self.groups += 1;
        let number = self.groups;
        Some(Ast::Group(number, Box::new(self.closed()?)))
    }

    fn closed(&mut self) -> Option<Ast> {
        let inner = self.alternatives()?;
        self.eat(b")").then_some(inner)
    }

    /// `(?i)`, which holds to the end of the group, later alternatives included, or `(?i:…)`.
    fn options(&mut self) -> Option<Ast> {
        let before = self.flags;
        let mut on = true;
        loop {
            let flag = match self.next()? {
                b'i' => &mut self.flags.fold,
                b'm' => &mut self.flags.multi_line,
                b's' => &mut self.flags.dot_all,
                b'U' => &mut self.flags.swap_greed,
                b'-' if on => {
                    on = false;
                    continue;
                }
                b')' => return Some(Ast::Empty),
                b':' => break,
                _ => return None,
            };
            *flag = on;
        }
        let inner = self.closed()?;
        self.flags = before;
        Some(inner)
    }

    fn quantified(&mut self, atom: Ast) -> Option<Ast> {
        let (min, max) = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => match self.counted()? {
                Some(counts) => counts,
                None => return Some(atom),
            },
            _ => return Some(atom),
        };
        self.at += 1;
        if matches!(atom, Ast::Look(_) | Ast::Ahead { .. } | Ast::Empty) || max == Some(0) {
            return None;
        }
        let lazy = self.eat(b"?");
        let possessive = !lazy && self.eat(b"+");
        if matches!(self.peek(), Some(b'*' | b'+' | b'?'))
            || (self.peek() == Some(b'{') && self.counted()?.is_some())
        {
            return None;
        }
        let greedy = lazy == self.flags.swap_greed;
        let repeat = Ast::Repeat { inner: Box::new(atom), min, max, greedy };
        Some(if possessive { Ast::Opaque(Box::new(repeat)) } else { repeat })
    }

    /// `{2}`, `{2,}`, `{2,3}`: the counts, and it stands before the `}`; `Some(None)` where the brace is a character.
    #[allow(clippy::option_option)]
    fn counted(&mut self) -> Option<Option<(u32, Option<u32>)>> {
        let rest = &self.bytes[self.at + 1..];
        if !rest.first().is_some_and(|next| next.is_ascii_digit() || b", \t".contains(next)) {
            return Some(None);
        }
        let end = rest.iter().position(|&byte| byte == b'}')?;
        let text = std::str::from_utf8(&rest[..end]).ok()?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse::<u32>().ok().filter(|&count| count <= MAX_COUNT) } else { None }
        };
        let counts = match text.split_once(',') {
            None => (number(text)?, Some(number(text)?)),
            Some((min, "")) => (number(min)?, None),
            Some((min, max)) => (number(min)?, Some(number(max)?)),
        };
        if counts.1.is_some_and(|max| max < counts.0) {
            return None;
        }
        self.at += 1 + end;
        Some(Some(counts))
    }
}

impl Ast {
    /// The shortest text that it can match; a lower bound where it is opaque.
    pub(super) fn min_len(&self) -> usize {
        match self {
            Self::Empty | Self::Look(_) | Self::Ahead { .. } => 0,
            Self::Class(_) => 1,
            Self::Repeat { inner, min, .. } => inner.min_len().saturating_mul(*min as usize),
            Self::Group(_, inner) | Self::Opaque(inner) => inner.min_len(),
            Self::Concat(parts) => parts.iter().fold(0, |sum, part| sum.saturating_add(part.min_len())),
            Self::Alternate(branches) => branches.iter().map(Self::min_len).min().unwrap_or(0),
        }
    }
}
