//! Decompresses by what the bytes are, not by what the file is called.
//!
//! Enters: any reader. Leaves: the plain bytes, streamed: all members of a gzip file, all frames of a zstd file, anything
//! else as it is. Two guards keep a small malicious object from becoming a flood: a ratio, and a total.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

/// How compressed bytes are bounded.
#[derive(Debug, Clone, Copy)]
pub struct Guards {
    /// Most bytes of output for one of input, once there is more than [`RATIO_FREE_BYTES`] of output.
    pub max_ratio: u64,
    /// Most bytes of output.
    pub max_output: u64,
}

/// Output that is let through whatever its ratio: short texts compress better than long ones.
pub const RATIO_FREE_BYTES: u64 = 1024 * 1024;

impl Default for Guards {
    fn default() -> Self {
        Self { max_ratio: 200, max_output: 64 * 1024 * 1024 * 1024 }
    }
}

/// The compression of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// None.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Codec {
    /// By the first bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        if head.starts_with(&[0x1f, 0x8b, 8]) {
            Codec::Gzip
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Codec::Zstd
        } else {
            Codec::Plain
        }
    }
}

/// A guard was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// Too much output for the input.
    #[error("expands to more than {0} times its size")]
    Ratio(u64),
    /// Too much output.
    #[error("expands to more than {0} bytes")]
    Output(u64),
}

/// The plain bytes of a stream.
pub struct Decompressed<R: Read> {
    codec: Codec,
    decoder: Decoder<Counted<R>>,
    guards: Guards,
    consumed: Arc<AtomicU64>,
    produced: u64,
}

enum Decoder<R: Read> {
    Plain(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(ZstdDecoder<'static, BufReader<R>>),
}

/// Room for what is read at a time of compressed bytes. Plain bytes bypass it.
const BUFFER: usize = 64 * 1024;

impl<R: Read> Decompressed<R> {
    /// Looks at the first bytes and chooses the decoder.
    ///
    /// # Errors
    /// What the reader says.
    pub fn new(reader: R, guards: Guards) -> io::Result<Self> {
        let consumed = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: reader, head: Vec::new(), head_at: 0, count: Arc::clone(&consumed) };
        let (counted, codec) = counted.sniff()?;
        let reader = BufReader::with_capacity(BUFFER, counted);
        let decoder = match codec {
            Codec::Plain => Decoder::Plain(reader),
            Codec::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(reader))),
            Codec::Zstd => Decoder::Zstd(ZstdDecoder::with_buffer(reader)?),
        };
        Ok(Self { codec, decoder, guards, consumed, produced: 0 })
    }

    /// Bytes that are known to be plain, whatever they begin with: a file that is read on in its middle.
    pub fn plain(reader: R) -> Self {
        let consumed = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: reader, head: Vec::new(), head_at: 0, count: Arc::clone(&consumed) };
        let decoder = Decoder::Plain(BufReader::with_capacity(BUFFER, counted));
        Self { codec: Codec::Plain, decoder, guards: Guards::default(), consumed, produced: 0 }
    }

    /// The compression found.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Bytes taken from the reader so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), GuardError> {
        if self.codec == Codec::Plain {
            return Ok(());
        }
        if self.produced > self.guards.max_output {
            return Err(GuardError::Output(self.guards.max_output));
        }
        let allowed = self.consumed.load(Ordering::Relaxed).saturating_mul(self.guards.max_ratio);
        if self.produced > RATIO_FREE_BYTES && self.produced > allowed {
            return Err(GuardError::Ratio(self.guards.max_ratio));
        }
        Ok(())
    }
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.decoder {
            Decoder::Plain(reader) => reader.read(buffer),
            Decoder::Gzip(reader) => reader.read(buffer),
            Decoder::Zstd(reader) => reader.read(buffer),
        }?;
        self.produced += count as u64;
        self.check().map_err(io::Error::other)?;
        Ok(count)
    }
}

/// Whether an error of [`Decompressed`] is a guard's.
#[must_use]
pub fn guard_error(error: &io::Error) -> Option<GuardError> {
    error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
}

/// Counts, and gives the first bytes a second time.
struct Counted<R> {
    inner: R,
    head: Vec<u8>,
    head_at: usize,
    count: Arc<AtomicU64>,
}

impl<R: Read> Counted<R> {
    fn sniff(mut self) -> io::Result<(Self, Codec)> {
        let mut head = Vec::with_capacity(4);
        Read::take(&mut self.inner, 4).read_to_end(&mut head)?;
        let codec = Codec::of(&head);
        self.count.store(head.len() as u64, Ordering::Relaxed);
        self.head = head;
        Ok((self, codec))
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.head_at < self.head.len() {
            let count = (&self.head[self.head_at..]).read(buffer)?;
            self.head_at += count;
            return Ok(count);
        }
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Read> fmt::Debug for Decompressed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressed").field("codec", &self.codec).field("produced", &self.produced).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn plain(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Decompressed::new(bytes, Guards::default())?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn takes_bytes_for_what_they_are() {
        assert_eq!(plain(b"").unwrap(), b"");
        assert_eq!(plain(b"\x1f").unwrap(), b"\x1f");
        assert_eq!(plain(b"text").unwrap(), b"text");
        assert_eq!(plain(&gzip(b"text")).unwrap(), b"text");
        assert_eq!(plain(&zstd::encode_all(&b"text"[..], 1).unwrap()).unwrap(), b"text");
    }

    #[test]
    fn reads_all_members_and_frames() {
        let members = [gzip(b"one"), gzip(b""), gzip(b"two")].concat();
        assert_eq!(plain(&members).unwrap(), b"onetwo");
        let frame = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        assert_eq!(plain(&[frame(b"one"), frame(b"two")].concat()).unwrap(), b"onetwo");
    }

    #[test]
    fn an_early_end_is_an_error() {
        let text: Vec<u8> =
            (0..100_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for whole in [gzip(&text), zstd::encode_all(&text[..], 1).unwrap()] {
            assert!(plain(&whole[..whole.len() / 2]).is_err());
            assert!(plain(&whole[..whole.len() - 1]).is_err());
        }
        let mut corrupt = gzip(&text);
        let last = corrupt.len() - 5;
        corrupt[last] ^= 1;
        assert!(plain(&corrupt).is_err());
    }

    #[test]
    fn guards_stop_a_bomb() {
        let zeros = vec![0; 8 * 1024 * 1024];
        for bomb in [gzip(&zeros), zstd::encode_all(&zeros[..], 1).unwrap()] {
            let error = plain(&bomb).unwrap_err();
            assert_eq!(guard_error(&error), Some(GuardError::Ratio(200)));
            let guards = Guards { max_ratio: 1_000_000, max_output: 100_000 };
            let error =
                Decompressed::new(&bomb[..], guards).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(guard_error(&error), Some(GuardError::Output(100_000)));
        }
        assert_eq!(plain(&gzip(&zeros[..1_000_000])).unwrap().len(), 1_000_000);
    }
}
