//! Standard input as a source.
//!
//! A thread of its own does the reading, because nothing can interrupt it; it hands over what it got through a bounded
//! channel. What has come is published when no more is waiting, so a line that a person types is seen at once. There is
//! no checkpoint: a pipe cannot be read again.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use threatlockdown_topics::Closed;

use crate::compression::Decompressed;
use crate::feed::{Feed, StreamCursor, origin_id};
use crate::metrics::add;
use crate::pump::Pump;
use crate::read::{unreadable_batch, unreadable_id};
use crate::stop::Stop;

const CHUNK: usize = 64 * 1024;

/// How long a stop may go unnoticed.
const WAIT: Duration = Duration::from_millis(50);

/// Reads `input` to its end, or until told to stop.
///
/// # Errors
/// [`Closed`] when the topic takes no more.
pub fn read_stdin(input: impl Read + Send + 'static, feed: &Feed, stop: &Stop) -> Result<(), Closed> {
    const NAME: &str = "stdin";
    let mut cursor = StreamCursor::new(&format!("{}/stdin", feed.connector));
    let waiting = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = sync_channel(4);
    let counter = Arc::clone(&waiting);
    let reader = thread::Builder::new().name("stdin".into()).spawn(move || forward(input, &sender, &counter));
    let unreadable = |error: &io::Error, cursor: &mut StreamCursor| {
        add(&feed.stats.errors, 1);
        let context = feed.context(NAME, unreadable_id(&feed.source, NAME));
        feed.publish(cursor, &context, unreadable_batch(error), None)
    };
    if let Err(error) = reader {
        return unreadable(&error, &mut cursor);
    }
    let chunks =
        Chunks { receiver, waiting: Arc::clone(&waiting), current: Vec::new(), at: 0, stop: stop.clone() };
    let input = match Decompressed::new(chunks, feed.options.guards) {
        Ok(input) => input,
        Err(_) if stop.is_set() => return Ok(()),
        Err(error) => return unreadable(&error, &mut cursor),
    };
    let mut pump = Pump::new(input, &feed.source, &feed.options, None);
    let mut context = None;
    let mut published = 0;
    loop {
        let mut end = None;
        if !pump.is_full() {
            match pump.fill() {
                Ok(0) => end = Some(None),
                Ok(_) if waiting.load(Ordering::Acquire) > 0 => continue,
                Ok(_) => {}
                Err(_) if stop.is_set() => return Ok(()),
                Err(error) => end = Some(Some(error)),
            }
        }
        let batch = match &end {
            Some(Some(error)) => {
                add(&feed.stats.errors, 1);
                pump.fail(error, published)
            }
            Some(None) => {
                pump.finish();
                pump.take()
            }
            None => pump.take(),
        };
        if !batch.records.is_empty() || !batch.rejected.is_empty() {
            published += batch.records.len() as u64;
            let context = context.get_or_insert_with(|| {
                let id = pump.first().map(|first| origin_id(&feed.source, first, 0));
                feed.context(NAME, id.unwrap_or_else(|| unreadable_id(&feed.source, NAME)))
            });
            feed.publish(&mut cursor, context, batch, None)?;
        }
        if end.is_some() {
            return Ok(());
        }
    }
}

fn forward(mut input: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>, waiting: &AtomicUsize) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match input.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => Ok(chunk[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = read.is_err();
        waiting.fetch_add(1, Ordering::Release);
        if sender.send(read).is_err() || failed {
            return;
        }
    }
}

struct Chunks {
    receiver: Receiver<io::Result<Vec<u8>>>,
    /// Chunks that were sent and not received.
    waiting: Arc<AtomicUsize>,
    current: Vec<u8>,
    at: usize,
    stop: Stop,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            match self.receiver.recv_timeout(WAIT) {
                Ok(chunk) => {
                    self.waiting.fetch_sub(1, Ordering::Release);
                    self.current = chunk?;
                    self.at = 0;
                }
                Err(RecvTimeoutError::Timeout) if self.stop.is_set() => {
                    return Err(io::Error::other("told to stop"));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let count = (&self.current[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use threatlockdown_topics::raw_topic;

    use super::*;
    use crate::metrics::SourceStats;

    #[test]
    fn publishes_what_has_come_while_more_may_come() {
        let (publisher, consumers) = raw_topic(1, 1 << 20);
        let feed = Feed {
            source: "syslog".into(),
            connector: "in".into(),
            envelope: Vec::new(),
            options: Default::default(),
            publisher,
            stats: Arc::new(SourceStats::default()),
        };
        let (reader, mut writer) = std::io::pipe().unwrap();
        let stop = Stop::default();
        let source = thread::spawn(move || read_stdin(reader, &feed, &stop));
        let next = || {
            let unit = consumers[0].next().unwrap().unit;
            let texts =
                unit.records.iter().map(|record| String::from_utf8_lossy(unit.bytes(record)).into_owned());
            (unit.sequence, unit.context.origin_id, texts.collect::<Vec<_>>())
        };
        writer.write_all(b"first\nsec").unwrap();
        let (sequence, id, texts) = next();
        assert_eq!((sequence, texts), (0, vec!["first".to_owned()]));
        writer.write_all(b"ond\nlast").unwrap();
        assert_eq!(next(), (1, id, vec!["second".to_owned()]));
        drop(writer);
        assert_eq!(next(), (2, id, vec!["last".to_owned()]));
        source.join().unwrap().unwrap();
    }

    #[test]
    fn stops_while_nothing_comes() {
        let (publisher, _consumers) = raw_topic(1, 1 << 20);
        let feed = Feed {
            source: "syslog".into(),
            connector: "in".into(),
            envelope: Vec::new(),
            options: Default::default(),
            publisher,
            stats: Arc::new(SourceStats::default()),
        };
        let (reader, _writer) = std::io::pipe().unwrap();
        let stop = Stop::default();
        let other = stop.clone();
        let source = thread::spawn(move || read_stdin(reader, &feed, &other));
        stop.set();
        source.join().unwrap().unwrap();
    }
}
