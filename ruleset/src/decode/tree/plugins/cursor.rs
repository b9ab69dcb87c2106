//! A place in a text that moves forward.

/// Reads a text from its beginning; every part is a range of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'t> {
    text: &'t [u8],
    pub(super) at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t [u8], at: usize) -> Self {
        Self { text, at: at.min(text.len()) }
    }

    pub(super) fn rest(&self) -> &'t [u8] {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over `expected`; `None`, without a step, if something else is here.
    pub(super) fn skip(&mut self, expected: &[u8]) -> Option<()> {
        self.rest().starts_with(expected).then_some(())?;
        self.at += expected.len();
        Some(())
    }

    /// Reads up to the next `end` and steps over it; `None`, without a step, if there is none.
    pub(super) fn until(&mut self, end: u8) -> Option<(usize, usize)> {
        let length = memchr::memchr(end, self.rest())?;
        let start = self.at;
        self.at += length + 1;
        Some((start, start + length))
    }

    pub(super) fn skip_blanks(&mut self) {
        self.at += self.rest().iter().take_while(|&&byte| byte == b' ').count();
    }
}
