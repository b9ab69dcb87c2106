//! Words that were probably meant.
//!
//! Enters: a word that is not known, and those that are. Leaves: what to say about it.

/// Distances cost the product of the lengths; a word that long is no slip of the pen.
const LONGEST: usize = 64;
/// Of shorter words each is near to many others.
const SHORTEST: usize = 3;
/// So many words are listed.
const LISTED: usize = 32;

/// The known word that `word` was probably meant to be.
pub(super) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if !(SHORTEST..=LONGEST).contains(&word.len()) {
        return None;
    }
    let word = word.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&word, &known.to_lowercase());
    known
        .into_iter()
        .filter(|known| (SHORTEST..=LONGEST).contains(&known.len()))
        .map(|known| (distance(known), known))
        .filter(|(distance, known)| *distance <= (known.len().min(word.len()) / 3).clamp(1, 4))
        .min()
        .map(|(_, known)| known)
}

/// Help for an unknown word: the nearest known one, or all of them when they are few.
pub(super) fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if known.is_empty() => "there is none to choose from".to_owned(),
        None if known.len() <= LISTED => format!("possible here: {}", known.join(", ")),
        None => "remove it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_word_that_was_meant() {
        assert_eq!(nearest("contians", ["contains", "cased"]), Some("contains"));
        assert_eq!(nearest("Contains", ["contains"]), Some("contains"));
        assert_eq!(nearest("banana", ["contains", "cased"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["x"]), None);
        assert_eq!(suggest("banana", &["a", "b"]), "possible here: a, b");
        assert_eq!(suggest("a", &[]), "there is none to choose from");
        assert_eq!((nearest("x", ["i", "m", "s"]), nearest("ge", ["gte", "re"])), (None, None));
        assert_eq!(nearest("starts_with", ["startswith", "endswith"]), Some("startswith"));
        let many: Vec<&str> = std::iter::repeat_n("word", 33).collect();
        assert_eq!(suggest("banana", &many), "remove it");
    }
}
