//! The bytes that a splitter is looking at, and the last ones before them.
//!
//! A splitter looks back only here, and as far whether the bytes came with this call or with earlier ones: so the cut of
//! the stream makes no difference.

use memchr::memchr;

use crate::formats::blocks::Stop;

/// The bytes of one call.
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    /// How many are used.
    pub(super) at: usize,
    /// Offset of the first one in the stream.
    pub(super) base: u64,
}

impl<'a> Input<'a> {
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The last used byte.
    pub(super) fn last(&self) -> u8 {
        self.at.checked_sub(1).and_then(|index| self.bytes.get(index)).copied().unwrap_or_default()
    }

    /// Goes behind the byte that a scan of the rest stopped at; its offset.
    pub(super) fn stop_at(&mut self, stop: Stop) -> u64 {
        match stop {
            Stop::End => {
                self.at = self.bytes.len();
                self.offset()
            }
            Stop::Array(index) | Stop::Close(index) | Stop::LineEnd(index) | Stop::BrokenString(index) => {
                self.at += index + 1;
                self.offset() - 1
            }
        }
    }

    /// Goes to the line end, if there is one; its offset.
    pub(super) fn skip_to_line_end(&mut self) -> Option<u64> {
        let found = memchr(b'\n', self.rest());
        self.at = found.map_or(self.bytes.len(), |index| self.at + index);
        found.map(|_| self.offset())
    }

    /// The used bytes, last first, without the last `skip`, as far back as the history goes.
    pub(super) fn before<'b>(&'b self, skip: usize, history: &'b History) -> impl Iterator<Item = u8> + 'b {
        let used = self.bytes[..self.at].iter().rev().copied();
        // The same reach however the stream is cut.
        used.chain(history.newest_first()).skip(skip).take(History::LEN - skip)
    }
}

/// The last used bytes of the calls before.
#[derive(Debug, Clone, Copy)]
pub(super) struct History {
    bytes: [u8; Self::LEN],
    len: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { bytes: [0; Self::LEN], len: 0 }
    }
}

impl History {
    pub(super) const LEN: usize = 64;

    pub(super) fn push(&mut self, used: &[u8]) {
        let new = &used[used.len().saturating_sub(Self::LEN)..];
        let kept = self.len.min(Self::LEN - new.len());
        self.bytes.copy_within(self.len - kept..self.len, 0);
        self.bytes[kept..kept + new.len()].copy_from_slice(new);
        self.len = kept + new.len();
    }

    fn newest_first(&self) -> impl Iterator<Item = u8> + '_ {
        self.bytes[..self.len].iter().rev().copied()
    }
}
