//! The header `v`: whether a record was written by a later release.
//!
//! Enters: a header's value, and the version that this release writes. Leaves: the version, where it is a later one. A record of
//! a later release waits for a copy of that release; what is nobody's version is somebody else's record, for which nobody
//! ever comes, so the two are told apart by what their writer says and not by what cannot be read.

/// The version that a header tells, where it is above the one that is known here.
pub(super) fn later(value: &[u8], known: u64) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let version = std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()?;
    (version > known).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_above_is_a_later_release() {
        assert_eq!(later(b"2", 1), Some(2));
        assert_eq!(later(b"10", 9), Some(10));
        for other in ["", "0", "1", "-2", "+2", "2.0", " 2", "2 ", "two", "99999999999999999999999"] {
            assert_eq!(later(other.as_bytes(), 1), None, "{other:?}");
        }
        assert_eq!(later(&[0xff, b'2'], 1), None);
    }
}
