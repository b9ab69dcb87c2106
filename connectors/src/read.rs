//! Reads files at rest, and streams that end: for `scan`, and for standard input.
//!
//! Enters: paths or a reader. Leaves: units of one stream, whose sequence goes on from file to file, so that what comes
//! out at the end is in the order of what went in. There are no checkpoints: such a reading is repeated, not resumed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use threatlockdown_event::Context;
use threatlockdown_event::identity::hash;
use threatlockdown_topics::Closed;

use crate::compression::{Codec, Decompressed};
use crate::feed::{Feed, StreamCursor, origin_id};
use crate::formats::{Batch, Rejected};
use crate::metrics::add;
use crate::own::is_standard_output;
use crate::pump::{Pump, classify};
use crate::walk::Found;

/// What a reading found.
#[derive(Debug, Default)]
pub struct ReadSummary {
    /// Files or streams that were read, whole or in part.
    pub files: u64,
    /// Records published.
    pub events: u64,
    /// Bytes of those streams, after decompression.
    pub bytes: u64,
    /// What could not become a record.
    pub dead_letters: u64,
    /// What could not be read at all; each is a dead letter as well.
    pub failed: Vec<ReadError>,
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {cause}", .path.display())]
pub struct ReadError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// A reading at rest: one stream over any number of files.
pub struct AtRest<'a> {
    feed: &'a Feed,
    cursor: StreamCursor,
    /// How many files began with the same record.
    twins: HashMap<[u8; 16], u64>,
    /// Told the number of bytes that were read from a file, compressed as they are.
    progress: Box<dyn FnMut(u64) + 'a>,
    summary: ReadSummary,
}

impl<'a> AtRest<'a> {
    /// Publishes to the stream `<connector>/rest`.
    #[must_use]
    pub fn new(feed: &'a Feed, progress: Box<dyn FnMut(u64) + 'a>) -> Self {
        let cursor = StreamCursor::new(&format!("{}/rest", feed.connector));
        Self { feed, cursor, twins: HashMap::new(), progress, summary: ReadSummary::default() }
    }

    /// Reads a file, or all files below a directory.
    ///
    /// # Errors
    /// [`Closed`] when the topic takes no more. What cannot be read is in the summary, and a dead letter.
    pub fn read(&mut self, path: &Path) -> Result<(), Closed> {
        let mut found = Found::default();
        found.add(path);
        for (path, cause) in found.failed {
            self.unreadable(path, cause)?;
        }
        for path in found.files {
            if std::fs::metadata(&path).is_ok_and(|metadata| is_standard_output(&metadata)) {
                tracing::warn!(path = %path.display(), "not read: the output of this process goes there");
                continue;
            }
            match File::open(&path) {
                Ok(mut file) => self.read_stream(&mut file, &path.to_string_lossy())?,
                Err(cause) => self.unreadable(path, cause)?,
            }
        }
        Ok(())
    }

    /// Reads a stream to its end.
    ///
    /// # Errors
    /// [`Closed`] when the topic takes no more.
    pub fn read_stream(&mut self, reader: &mut dyn Read, name: &str) -> Result<(), Closed> {
        let mut watched = Watched { inner: reader, progress: &mut self.progress };
        let input = match Decompressed::new(&mut watched, self.feed.options.guards) {
            Ok(input) => input,
            Err(cause) => return self.unreadable(name.into(), cause),
        };
        self.summary.files += 1;
        let mut pump = Pump::new(input, &self.feed.source, &self.feed.options, None);
        let mut sender = Sender {
            feed: self.feed,
            cursor: &mut self.cursor,
            twins: &mut self.twins,
            summary: &mut self.summary,
            name,
            context: None,
            events: 0,
        };
        let mut failure = None;
        loop {
            while pump.is_full() {
                let batch = pump.take();
                sender.send(pump.first(), batch)?;
            }
            match pump.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        match failure {
            Some(error) => {
                add(&sender.feed.stats.errors, 1);
                let batch = pump.fail(&error, sender.events);
                sender.send(pump.first(), batch)?;
                sender.summary.bytes += pump.position();
                let unreadable = classify(&error, pump.codec()).0 == threatlockdown_event::Reason::Unreadable;
                if unreadable {
                    self.summary.failed.push(ReadError { path: name.into(), cause: error });
                }
            }
            None => {
                pump.finish();
                while !pump.is_empty() {
                    let batch = pump.take();
                    sender.send(pump.first(), batch)?;
                }
                sender.summary.bytes += pump.position();
            }
        }
        Ok(())
    }

    /// What was found in all.
    #[must_use]
    pub fn finish(self) -> ReadSummary {
        self.summary
    }

    fn unreadable(&mut self, path: PathBuf, cause: io::Error) -> Result<(), Closed> {
        add(&self.feed.stats.errors, 1);
        let name = path.to_string_lossy();
        let context = self.feed.context(&name, unreadable_id(&self.feed.source, &name));
        let batch = unreadable_batch(&cause);
        self.summary.dead_letters += 1;
        self.feed.publish(&mut self.cursor, &context, batch, None)?;
        self.summary.failed.push(ReadError { path, cause });
        Ok(())
    }
}

/// A batch with nothing but the news that the origin cannot be read.
pub(crate) fn unreadable_batch(cause: &io::Error) -> Batch {
    let (reason, what) = classify(cause, Codec::Plain);
    let detail = format!("{what}: {cause}");
    let rejected = Rejected { reason, detail, start: 0, bytes: Vec::new(), length: 0, sha256: None };
    Batch { rejected: vec![rejected], ..Batch::default() }
}

/// Identity of an origin of which nothing is known but its name.
pub(crate) fn unreadable_id(source: &str, name: &str) -> [u8; 16] {
    hash(&[b"unreadable", source.as_bytes(), name.as_bytes()])
}

struct Sender<'s, 'n> {
    feed: &'s Feed,
    cursor: &'s mut StreamCursor,
    twins: &'s mut HashMap<[u8; 16], u64>,
    summary: &'s mut ReadSummary,
    name: &'n str,
    context: Option<Arc<Context>>,
    /// Records of this stream.
    events: u64,
}

impl Sender<'_, '_> {
    fn send(&mut self, first: Option<&[u8]>, batch: Batch) -> Result<(), Closed> {
        let context = self.context.get_or_insert_with(|| {
            let id = match first {
                Some(first) => {
                    let twin = self.twins.entry(origin_id(&self.feed.source, first, 0)).or_default();
                    *twin += 1;
                    origin_id(&self.feed.source, first, *twin - 1)
                }
                None => unreadable_id(&self.feed.source, self.name),
            };
            self.feed.context(self.name, id)
        });
        self.events += batch.records.len() as u64;
        self.summary.events += batch.records.len() as u64;
        self.summary.dead_letters += batch.rejected.len() as u64;
        self.feed.publish(self.cursor, context, batch, None)
    }
}

struct Watched<'a, 'p> {
    inner: &'a mut dyn Read,
    progress: &'a mut (dyn FnMut(u64) + 'p),
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.progress)(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Mutex;

    use threatlockdown_event::{Reason, Unit};
    use threatlockdown_topics::{Consumer, raw_topic};

    use super::*;
    use crate::metrics::SourceStats;
    use crate::pump::ReadOptions;

    fn feed(source: &str) -> (Feed, Consumer) {
        let (publisher, mut consumers) = raw_topic(1, 1 << 30);
        let feed = Feed {
            source: source.into(),
            connector: "scan".into(),
            envelope: Vec::new(),
            options: ReadOptions::default(),
            publisher,
            stats: Arc::new(SourceStats::default()),
        };
        (feed, consumers.remove(0))
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads the path; units, summary, and the bytes told as progress.
    fn read(source: &str, path: &Path) -> (Vec<Unit>, ReadSummary, u64) {
        let (feed, consumer) = feed(source);
        let told = Mutex::new(0);
        let mut reading = AtRest::new(&feed, Box::new(|bytes| *told.lock().unwrap() += bytes));
        reading.read(path).unwrap();
        let summary = reading.finish();
        drop(feed);
        let units = std::iter::from_fn(|| consumer.next()).map(|delivered| delivered.unit).collect();
        (units, summary, told.into_inner().unwrap())
    }

    fn texts(units: &[Unit]) -> Vec<String> {
        let records = units.iter().flat_map(|unit| unit.records.iter().map(|record| unit.bytes(record)));
        records.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    #[test]
    fn a_directory_is_one_stream_in_order() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        std::fs::write(dir.path().join("a.json"), "{\"Records\":[{\"n\":1},{\"n\":2}]}").unwrap();
        std::fs::write(dir.path().join("b/x.json.gz"), gzip(b"{\"n\":3}\n{\"n\":4}\n")).unwrap();
        std::fs::write(dir.path().join("c"), zstd::encode_all(&b"[{\"n\":5}]"[..], 1).unwrap()).unwrap();
        std::fs::write(dir.path().join(".hidden"), "{\"n\":0}").unwrap();
        std::fs::write(dir.path().join("empty"), "").unwrap();
        let (units, summary, told) = read("aws.cloudtrail", dir.path());
        assert_eq!(texts(&units), [1, 2, 3, 4, 5].map(|n| format!("{{\"n\":{n}}}")));
        let sequence: Vec<_> = units.iter().map(|unit| (&*unit.stream, unit.sequence)).collect();
        assert_eq!(sequence, [("scan/rest", 0), ("scan/rest", 1), ("scan/rest", 2)]);
        assert_eq!((summary.files, summary.events, summary.dead_letters), (4, 5, 0));
        assert!(summary.failed.is_empty() && summary.bytes == 29 + 16 + 9 && told > 0);
        assert!(units[0].context.location.ends_with("/a.json"));
        let again = read("aws.cloudtrail", dir.path()).0;
        assert!(units.iter().zip(&again).all(|(one, two)| one.context.origin_id == two.context.origin_id));
    }

    #[test]
    fn equal_files_are_two_origins() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "same\n").unwrap();
        std::fs::write(dir.path().join("b"), "same\n").unwrap();
        let units = read("syslog", dir.path()).0;
        assert_ne!(units[0].context.origin_id, units[1].context.origin_id);
    }

    #[test]
    fn what_cannot_be_read_is_a_dead_letter_and_an_error() {
        let (units, summary, _) = read("syslog", Path::new("/nowhere/at/all"));
        assert_eq!(units[0].dead_letters[0].reason, Reason::Unreadable);
        assert_eq!(summary.failed.len(), 1);
        assert!(summary.failed[0].to_string().starts_with("cannot read /nowhere/at/all: "));
    }

    #[test]
    fn a_truncated_object_gives_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let records: Vec<_> = (0..20_000).map(|n| format!("{{\"n\":{n}}}")).collect();
        let whole = gzip(format!("{{\"Records\":[{}]}}", records.join(",")).as_bytes());
        std::fs::write(dir.path().join("a.gz"), &whole[..whole.len() / 2]).unwrap();
        std::fs::write(dir.path().join("b"), "{\"after\":1}").unwrap();
        let (units, summary, _) = read("aws.cloudtrail", dir.path());
        let mut texts = texts(&units);
        assert_eq!(texts.pop().unwrap(), "{\"after\":1}");
        assert!(texts.len() > 5_000);
        assert_eq!(texts, records[..texts.len()]);
        let letters: Vec<_> = units.iter().flat_map(|unit| &unit.dead_letters).collect();
        assert_eq!((letters.len(), letters[0].reason), (1, Reason::Truncated));
        assert!(
            letters[0].detail.contains(&format!("decoded_records={}", texts.len())),
            "{}",
            letters[0].detail
        );
        assert_eq!(summary.dead_letters, 1);
    }

    #[test]
    fn a_bomb_is_stopped() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.gz"), gzip(&vec![b'x'; 50_000_000])).unwrap();
        let (units, _, _) = read("syslog", dir.path());
        let letters: Vec<_> = units.iter().flat_map(|unit| &unit.dead_letters).collect();
        assert_eq!((letters.len(), letters[0].reason), (1, Reason::Decompression));
    }
}
