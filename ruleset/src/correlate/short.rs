//! Bytes that are mostly few: those stand in place.
//!
//! Enters: bytes. Leaves: the same. Memories hold millions of keys and values; what stands in place costs neither an allocation
//! nor a wait for memory when it is compared.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use super::room::allocated;

/// Any number of bytes; up to `SHORT` of them in place.
#[derive(Debug)]
pub(super) enum Bytes<const SHORT: usize> {
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    /// One pointer alone, so that few bytes are not padded to the length of two.
    Long(Box<Box<[u8]>>),
}

impl<const SHORT: usize> Bytes<SHORT> {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text);
                Self::Short { length, bytes }
            }
            _ => Self::Long(Box::new(text.into())),
        }
    }

    /// What it takes beside its place.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(text) => allocated(size_of::<Box<[u8]>>()) + allocated(text.len()),
        }
    }
}

impl<const SHORT: usize> Deref for Bytes<SHORT> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

impl<const SHORT: usize> Borrow<[u8]> for Bytes<SHORT> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<const SHORT: usize> Hash for Bytes<SHORT> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<const SHORT: usize> PartialEq for Bytes<SHORT> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const SHORT: usize> Eq for Bytes<SHORT> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_what_they_were_made_of<const SHORT: usize>() {
        for length in [0, 1, SHORT, SHORT + 1, 300] {
            let text: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let bytes = Bytes::<SHORT>::new(&text);
            assert_eq!((&*bytes, bytes.bytes() > 0), (&*text, length > SHORT));
            assert!(bytes == Bytes::new(&text) && bytes != Bytes::new(&[&text[..], &[7]].concat()));
        }
    }

    #[test]
    fn bytes_are_what_they_were_made_of() {
        are_what_they_were_made_of::<14>();
        are_what_they_were_made_of::<54>();
    }

    #[test]
    fn few_bytes_take_little_room() {
        const { assert!(size_of::<Bytes<14>>() == 16 && size_of::<Bytes<54>>() == 56) }
    }
}
