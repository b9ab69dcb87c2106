//! Which file is which, when names, inodes and contents all may change.
//!
//! A file is known by device and inode as long as it is open, and by two fingerprints when it is met again: of its first
//! bytes, and of the last bytes that were read of it. The first tells another file with the same inode, the second a
//! file that was cut and has grown again. Both are taken after decompression, so that a rotated and compressed file is
//! known as the one it was.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use threatlockdown_event::identity::hash;

use crate::compression::{Decompressed, Guards};

/// How much of a file's beginning is its fingerprint.
pub(super) const HEAD_BYTES: usize = 1024;

/// How much before the committed offset is its other one.
pub(super) const TAIL_BYTES: usize = 256;

/// Hash of some bytes and how many they were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Print {
    pub(super) len: usize,
    pub(super) hash: Hex,
}

impl Print {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { len: bytes.len(), hash: Hex(hash(&[b"print", bytes])) }
    }

    /// Whether a file that begins with `head` begins like the one that this was taken of.
    pub(super) fn begins(&self, head: &[u8]) -> bool {
        head.get(..self.len).is_some_and(|head| Self::of(head) == *self)
    }
}

/// 16 bytes, hexadecimal in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Hex(pub(super) [u8; 16]);

impl From<Hex> for String {
    fn from(hex: Hex) -> String {
        hex.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 16 || !rest.is_empty() {
            return Err("not 32 hexadecimal digits");
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or("not a hexadecimal digit");
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(Hex(bytes))
    }
}

/// Reads a file from a place of its own, so that several can share the open file.
pub(super) struct Positioned {
    pub(super) file: Arc<File>,
    pub(super) at: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// The first bytes after decompression; fewer than there are going to be if the file is still being written.
pub(super) fn head(file: &Arc<File>) -> io::Result<Vec<u8>> {
    let reader = Positioned { file: Arc::clone(file), at: 0 };
    let mut input = Decompressed::new(reader, Guards::default())?;
    let mut head = vec![0; HEAD_BYTES];
    let mut len = 0;
    while len < head.len() {
        match input.read(&mut head[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What the decoder says of an incomplete object is said again when it is read.
            Err(error) if error.raw_os_error().is_none() => break,
            Err(error) => return Err(error),
        }
    }
    head.truncate(len);
    Ok(head)
}

/// The `tail.len` bytes before `offset` of a plain file still are those that were read.
pub(super) fn tail_is(file: &File, offset: u64, tail: &Print) -> io::Result<bool> {
    let mut bytes = vec![0; tail.len];
    match file.read_exact_at(&mut bytes, offset.saturating_sub(tail.len as u64)) {
        Ok(()) => Ok(Print::of(&bytes) == *tail),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same for any file, by decompressing up to there.
pub(super) fn decompressed_tail_is(file: &Arc<File>, offset: u64, tail: &Print, guards: Guards) -> bool {
    let reader = Positioned { file: Arc::clone(file), at: 0 };
    let Ok(mut input) = Decompressed::new(reader, guards) else { return false };
    let Ok(before) = skip(&mut input, offset.saturating_sub(tail.len as u64)) else { return false };
    let mut bytes = vec![0; tail.len];
    before && input.read_exact(&mut bytes).is_ok() && Print::of(&bytes) == *tail
}

/// Reads and forgets `count` bytes; whether there were so many.
pub(super) fn skip(reader: &mut dyn Read, count: u64) -> io::Result<bool> {
    Ok(io::copy(&mut reader.take(count), &mut io::sink())? == count)
}

/// Numbers that tell apart files which begin with the same record.
#[derive(Debug, Default)]
pub(super) struct Ordinals(HashMap<Hex, Vec<u64>>);

impl Ordinals {
    pub(super) fn note(&mut self, first: Hex, ordinal: u64) {
        self.0.entry(first).or_default().push(ordinal);
    }

    /// 0, or the next number after those in use.
    pub(super) fn assign(&mut self, first: Hex) -> u64 {
        let used = self.0.entry(first).or_default();
        let ordinal = used.iter().max().map_or(0, |last| last + 1);
        used.push(ordinal);
        ordinal
    }

    pub(super) fn release(&mut self, first: Hex, ordinal: u64) {
        if let Some(used) = self.0.get_mut(&first) {
            if let Some(index) = used.iter().position(|&other| other == ordinal) {
                used.swap_remove(index);
            }
            if used.is_empty() {
                self.0.remove(&first);
            }
        }
    }
}
