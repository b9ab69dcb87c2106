//! The events of stdin, one a line.
//!
//! Enters: bytes. Leaves: lines without their ends. Empty ones are no events. Of an endless one only as much is read as
//! shows that it is too long.

use std::io::{self, BufRead as _, BufReader, Read};

use threatlockdown_event::unit::DEFAULT_MAX_EVENT_BYTES;

const BUFFER_BYTES: usize = 256 << 10;

/// See the module.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(BUFFER_BYTES, input), line: Vec::new() }
    }

    /// The next line that is not empty.
    pub(super) fn next_event(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            self.line.clear();
            if self.read_line()? == 0 {
                return Ok(None);
            }
            if !trim_line_end(&self.line).is_empty() {
                return Ok(Some(trim_line_end(&self.line)));
            }
        }
    }

    /// Whether a further line can be had without waiting.
    pub(super) fn is_another_here(&self) -> bool {
        let buffer = self.input.buffer();
        let start = buffer.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(buffer.len());
        memchr::memchr(b'\n', &buffer[start..]).is_some()
    }

    fn read_line(&mut self) -> io::Result<usize> {
        let limit = DEFAULT_MAX_EVENT_BYTES as u64 + 2;
        let taken = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        if taken as u64 == limit && self.line.last() != Some(&b'\n') {
            self.input.skip_until(b'\n')?;
        }
        Ok(taken)
    }
}

fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_line_is_one_line_and_empty_ones_are_none() {
        let mut text = vec![b'a'; DEFAULT_MAX_EVENT_BYTES * 2];
        text.extend_from_slice(b"\n\n\r\nnext\r\nlast");
        let mut lines = Lines::new(text.as_slice());
        let length = lines.next_event().unwrap().unwrap().len();
        assert!(length > DEFAULT_MAX_EVENT_BYTES && length < DEFAULT_MAX_EVENT_BYTES + 10);
        assert!(lines.is_another_here());
        assert_eq!(lines.next_event().unwrap().unwrap(), b"next");
        assert!(!lines.is_another_here(), "the last line has no end, more of it may come");
        assert_eq!(lines.next_event().unwrap().unwrap(), b"last");
        assert!(lines.next_event().unwrap().is_none());
        let mut lines = Lines::new(b"a\n\n\r\n".as_slice());
        lines.next_event().unwrap();
        assert!(!lines.is_another_here(), "empty lines are not waited for");
    }
}
