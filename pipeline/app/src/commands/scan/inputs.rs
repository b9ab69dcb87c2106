//! The inputs of a scan: which files, of which log source, in which order; and reading them.
//!
//! Enters: the paths as given. Leaves: units in the raw topic, for each log source in the order of its files. A path
//! that is not there ends the scan before it begins; what lies in a folder and cannot be read becomes a dead letter.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use threatlockdown_connectors::walk::Found;
use threatlockdown_connectors::{AtRest, Feed, ReadError, ReadOptions, SourceStats};
use threatlockdown_topics::{Closed, Publisher};

use super::progress::Progress;
use crate::guess;

/// What is to be read.
pub(in crate::commands) struct Inputs {
    entries: Vec<Entry>,
    /// Log sources; entries refer to them by position.
    sources: Vec<String>,
    total_bytes: u64,
}

struct Entry {
    from: From,
    source: usize,
}

enum From {
    Path(PathBuf),
    /// Stdin, with what was read of it to find out what it is.
    Stdin(Vec<u8>),
}

/// What was read.
#[derive(Default)]
pub(in crate::commands) struct Reading {
    pub(in crate::commands) sources: Vec<String>,
    pub(in crate::commands) files: u64,
    /// After decompression.
    pub(in crate::commands) bytes: u64,
    pub(in crate::commands) failed: Vec<ReadError>,
}

impl Inputs {
    /// Looks up all paths; `source` is the log source of all of them, or each is guessed.
    pub(in crate::commands) fn find(paths: &[PathBuf], source: Option<&str>) -> anyhow::Result<Self> {
        let mut inputs = Self { entries: Vec::new(), sources: Vec::new(), total_bytes: 0 };
        for path in paths {
            if path.as_os_str() == "-" {
                inputs.add_stdin(source)?;
                continue;
            }
            let open = std::fs::metadata(path)
                .and_then(|found| if found.is_dir() { Ok(()) } else { File::open(path).map(drop) });
            open.with_context(|| format!("cannot read {}", path.display()))?;
            let mut found = Found::default();
            found.add(path);
            for file in found.files {
                inputs.total_bytes += std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
                let guessed = if source.is_none() { guess::log_source_of_file(&file) } else { "" };
                inputs.add(From::Path(file), source.unwrap_or(guessed));
            }
            for (file, _) in found.failed {
                // Found to be unreadable once more when it is read, and then a dead letter.
                inputs.add(From::Path(file), source.unwrap_or("json"));
            }
        }
        Ok(inputs)
    }

    /// The log sources, in the order in which they were found.
    pub(in crate::commands) fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Bytes of all files, compressed as they are; what stdin will give is not known.
    pub(in crate::commands) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Reads everything, or until nobody takes it any more.
    pub(in crate::commands) fn read(self, publisher: &Publisher, progress: &Progress) -> Reading {
        let feeds: Vec<Feed> = self.sources.iter().map(|source| feed(source, publisher)).collect();
        let at_rest = |feed| AtRest::new(feed, Box::new(|bytes| progress.advance(bytes)));
        let mut readers: Vec<AtRest<'_>> = feeds.iter().map(at_rest).collect();
        for entry in self.entries {
            let reader = &mut readers[entry.source];
            let result = match entry.from {
                From::Path(path) => reader.read(&path),
                From::Stdin(head) => {
                    reader.read_stream(&mut Cursor::new(head).chain(std::io::stdin().lock()), "stdin")
                }
            };
            if let Err(Closed) = result {
                break;
            }
        }
        let mut reading = Reading { sources: self.sources, ..Reading::default() };
        for summary in readers.into_iter().map(AtRest::finish) {
            reading.files += summary.files;
            reading.bytes += summary.bytes;
            reading.failed.extend(summary.failed);
        }
        reading
    }

    fn add_stdin(&mut self, source: Option<&str>) -> anyhow::Result<()> {
        let mut head = Vec::new();
        if source.is_none() {
            let limit = guess::HEAD_BYTES as u64;
            std::io::stdin().lock().take(limit).read_to_end(&mut head).context("cannot read stdin")?;
        }
        let guessed = guess::log_source("", &guess::plain_head(&mut head.as_slice()));
        self.add(From::Stdin(head), source.unwrap_or(guessed));
        Ok(())
    }

    fn add(&mut self, from: From, source: &str) {
        let known = self.sources.iter().position(|known| known == source);
        let source = known.unwrap_or_else(|| {
            self.sources.push(source.to_owned());
            self.sources.len() - 1
        });
        self.entries.push(Entry { from, source });
    }
}

fn feed(source: &str, publisher: &Publisher) -> Feed {
    Feed {
        source: source.into(),
        connector: source.into(),
        envelope: Vec::new(),
        options: ReadOptions::default(),
        publisher: publisher.clone(),
        stats: Arc::new(SourceStats::default()),
    }
}
