//! Alerts on standard output (or any other writer), one per line, at least once.
//!
//! Nothing that was written to a pipe can be taken back, so after a kill the alerts since the last cursor, of a second
//! at most, come again. A reader that goes away (`| head`) ends the sink, not the process.

use std::io::{self, Write};

use threatlockdown_topics::Commit;

use crate::pretty;
use crate::sink::{Sink, SinkError};

/// How an alert is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The alert's JSON.
    Json,
    /// Time, level, rule, description and source, for people.
    Pretty,
}

/// Writes alerts to standard output.
pub struct StdoutSink<W = io::Stdout> {
    name: String,
    format: Format,
    out: W,
    lines: Vec<u8>,
}

impl StdoutSink {
    /// To the standard output of this process.
    #[must_use]
    pub fn new(name: String, format: Format) -> Self {
        Self::to(name, format, io::stdout())
    }
}

impl<W: Write + Send> StdoutSink<W> {
    /// To another writer.
    #[must_use]
    pub fn to(name: String, format: Format, out: W) -> Self {
        Self { name, format, out, lines: Vec::new() }
    }
}

impl<W: Write + Send> Sink for StdoutSink<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn resume(&mut self, _state: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError> {
        self.lines.clear();
        for alert in &commit.alerts {
            match self.format {
                Format::Json => self.lines.extend_from_slice(&alert.json),
                Format::Pretty => self.lines.extend_from_slice(pretty::line(&alert.json).as_bytes()),
            }
            self.lines.push(b'\n');
        }
        self.out.write_all(&self.lines).and_then(|()| self.out.flush()).map_err(failed)
    }

    fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
        Ok(Vec::new())
    }
}

fn failed(source: io::Error) -> SinkError {
    if source.kind() == io::ErrorKind::BrokenPipe {
        return SinkError::Finished(String::from("nobody reads the output any more"));
    }
    SinkError::Io { action: "write to", target: String::from("standard output"), source }
}

#[cfg(test)]
mod tests {
    use threatlockdown_event::{Alert, AlertId};

    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(self.0))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn commit() -> Commit {
        let json = br#"{"rule":{"id":"7"}}"#.to_vec();
        Commit { alerts: vec![Alert { id: AlertId([1; 16]), level: 3, json }; 2], ..Commit::default() }
    }

    #[test]
    fn one_line_per_alert() {
        let mut sink = StdoutSink::to(String::from("stdout"), Format::Json, Vec::new());
        sink.deliver(&commit()).unwrap();
        assert_eq!(sink.out, b"{\"rule\":{\"id\":\"7\"}}\n{\"rule\":{\"id\":\"7\"}}\n");
        let mut sink = StdoutSink::to(String::from("stdout"), Format::Pretty, Vec::new());
        sink.deliver(&commit()).unwrap();
        assert_eq!(String::from_utf8(sink.out).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_reader_that_has_gone_finishes_the_sink() {
        let deliver = |kind| StdoutSink::to(String::new(), Format::Json, Broken(kind)).deliver(&commit());
        assert!(matches!(deliver(io::ErrorKind::BrokenPipe), Err(SinkError::Finished(_))));
        assert!(matches!(deliver(io::ErrorKind::StorageFull), Err(SinkError::Io { .. })));
    }
}
