//! Searches one literal in a text, ASCII letters compared without case.
//!
//! Enters: a lower-cased literal, then texts. Leaves: whether and where it occurs. Most texts do not have it, so the search looks
//! for the literal's rarest byte (in either case, many bytes at once) and compares the whole only there. A text made to
//! have that byte everywhere would cost length × literal; after a few such disappointments the search goes on with a
//! border table (Knuth, Morris, Pratt), which is slower per byte but never looks back.

/// Literals up to this length need no border table: the product is small anyhow.
const SHORT: usize = 16;

/// A compiled literal.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    literal: Box<[u8]>,
    /// The index of the rarest byte in the literal, and that byte in both cases.
    rare_at: usize,
    rare: [u8; 2],
    /// For each prefix of a long literal the length of its longest border.
    borders: Box<[u32]>,
}

impl Finder {
    /// `literal` must be in lower case.
    pub(crate) fn new(literal: &[u8]) -> Self {
        debug_assert!(!literal.iter().any(u8::is_ascii_uppercase));
        let rare_at = (0..literal.len()).min_by_key(|&at| commonness(literal[at])).unwrap_or(0);
        let rare = literal.get(rare_at).copied().unwrap_or(0);
        let borders = if literal.len() > SHORT { borders(literal) } else { Box::default() };
        Self { literal: literal.into(), rare_at, rare: [rare, rare.to_ascii_uppercase()], borders }
    }

    /// Bytes of the literal.
    pub(crate) fn len(&self) -> usize {
        self.literal.len()
    }

    /// Whether the literal occurs in the text; the empty one occurs everywhere.
    #[inline]
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        self.find(text).is_some()
    }

    /// Where the literal first occurs in the text.
    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        let length = self.literal.len();
        if length == 0 || text.len() < length {
            return (length == 0).then_some(0);
        }
        // Index `i` in the window means that the literal would start at `i` of the text.
        let window = &text[self.rare_at..=text.len() - (length - self.rare_at)];
        let mut patience = text.len() / 2 + 64;
        for start in memchr::memchr2_iter(self.rare[0], self.rare[1], window) {
            if text[start..start + length].eq_ignore_ascii_case(&self.literal) {
                return Some(start);
            }
            if length > SHORT {
                patience = patience.saturating_sub(length);
                if patience == 0 {
                    return self.find_by_borders(&text[start + 1..]).map(|at| start + 1 + at);
                }
            }
        }
        None
    }

    fn find_by_borders(&self, text: &[u8]) -> Option<usize> {
        let mut matched = 0;
        for (at, byte) in text.iter().enumerate() {
            let byte = byte.to_ascii_lowercase();
            while matched > 0 && self.literal[matched] != byte {
                matched = self.borders[matched - 1] as usize;
            }
            if self.literal[matched] == byte {
                matched += 1;
            }
            if matched == self.literal.len() {
                return Some(at + 1 - matched);
            }
        }
        None
    }
}

fn borders(literal: &[u8]) -> Box<[u32]> {
    let mut borders = vec![0_u32; literal.len()];
    let mut length = 0_usize;
    for at in 1..literal.len() {
        while length > 0 && literal[length] != literal[at] {
            length = borders[length - 1] as usize;
        }
        if literal[length] == literal[at] {
            length += 1;
        }
        // A pattern is at most a few kilobytes long.
        borders[at] = u32::try_from(length).unwrap_or(u32::MAX);
    }
    borders.into()
}

/// How common a byte is in cloud logs (JSON of API names, numbers, quotes), most common first; judged by eye, only
/// speed depends on it.
pub(super) fn commonness(byte: u8) -> usize {
    const COMMON: &[u8] = b"\"eatnrisoc,:l0dmu-pg1/2 .34y59678fhvb_kwx{}jzq[]()=";
    COMMON.iter().position(|&common| common == byte).map_or(0, |rank| COMMON.len() - rank)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(literal: &[u8], text: &[u8]) -> Option<usize> {
        if literal.is_empty() {
            return Some(0);
        }
        text.windows(literal.len()).position(|part| part.eq_ignore_ascii_case(literal))
    }

    #[test]
    fn finds_at_both_ends_and_in_any_case() {
        let finder = Finder::new(b"cloudtrail");
        for text in ["cloudtrail", "CloudTrail.x", "xx CLOUDTRAIL", "clcloudtrail"] {
            assert!(finder.is_in(text.as_bytes()), "{text}");
        }
        for text in ["", "cloudtrai", "loudtrail", "cloudtraicloud"] {
            assert!(!finder.is_in(text.as_bytes()), "{text}");
        }
        assert!(Finder::new(b"").is_in(b""));
    }

    #[test]
    fn a_long_periodic_text_is_searched_to_its_end() {
        let mut literal = vec![b'z'; 300];
        literal.push(b'!');
        let finder = Finder::new(&literal);
        let mut text = vec![b'Z'; 1 << 20];
        assert!(!finder.is_in(&text));
        text.push(b'!');
        assert_eq!(finder.find(&text), Some((1 << 20) - 300));
    }

    proptest! {
        #[test]
        fn equals_the_naive_search(literal in "[ab@!]{0,40}", text in "[abAB@!]{0,400}") {
            prop_assert_eq!(Finder::new(literal.as_bytes()).find(text.as_bytes()), naive(literal.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn equals_the_naive_search_when_it_occurs(period in "[ab]{1,3}", times in 6_usize..20, tail in "[ab]{0,3}", text in "[abAB]{0,40}") {
            let literal = period.repeat(times) + &tail;
            let text = format!("{text}{}{literal}{text}", period.repeat(times * 20));
            prop_assert_eq!(Finder::new(literal.as_bytes()).find(text.as_bytes()), naive(literal.as_bytes(), text.as_bytes()));
            let other = literal + "a!";
            prop_assert_eq!(Finder::new(other.as_bytes()).find(text.as_bytes()), naive(other.as_bytes(), text.as_bytes()));
        }
    }
}
