//! Where a scan's commits go: alerts to stdout, dead letters to a file.
//!
//! Enters: commits, in the order of the streams. Leaves: lines; what depends on earlier events comes at the end, in the order
//! of time, when all of them are known. A reader of stdout that leaves (`| head`) ends the scan
//! quietly; any other write error ends it with an error, for a scan can be repeated and need not wait for a full disk.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use threatlockdown_analysis::correlator::Span;
use threatlockdown_analysis::{Correlator, Target, TargetError};
use threatlockdown_event::Alert;
use threatlockdown_topics::{Commit, Marker};

/// The target of a scan.
pub(super) struct Output {
    stdout: Box<dyn Write + Send>,
    dead_letters: Option<BufWriter<File>>,
    delivered: Delivered,
    /// Alerts so far, for the progress line.
    alerts: Arc<AtomicU64>,
    correlator: Correlator,
    /// Nobody takes lines any more.
    is_gone: bool,
    failure: Option<anyhow::Error>,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) alerts: u64,
    pub(super) dead_letters: u64,
    /// What rules had to forget for want of room, and which.
    pub(super) forgotten: Option<String>,
}

impl Output {
    /// Writes dead letters to `path`, which is made anew; candidates go to the correlator, which is new.
    pub(super) fn open(path: Option<&Path>, correlator: Correlator) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            File::create(path).map(BufWriter::new).with_context(|| format!("cannot write {}", path.display()))
        };
        let dead_letters = path.map(create).transpose()?;
        let stdout = Box::new(BufWriter::with_capacity(256 * 1024, io::stdout()));
        Self::to(stdout, dead_letters, correlator)
    }

    /// For those who only count.
    pub(super) fn to_nowhere(correlator: Correlator) -> anyhow::Result<Self> {
        Self::to(Box::new(io::sink()), None, correlator)
    }

    fn to(
        stdout: Box<dyn Write + Send>,
        dead_letters: Option<BufWriter<File>>,
        correlator: Correlator,
    ) -> anyhow::Result<Self> {
        let mut output = Self {
            stdout,
            dead_letters,
            delivered: Delivered::default(),
            alerts: Arc::default(),
            correlator,
            is_gone: false,
            failure: None,
        };
        output.correlate(Commit { markers: vec![Marker::Hold], ..Commit::default() })?;
        Ok(output)
    }

    /// The number of alerts as it grows.
    pub(super) fn alerts(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.alerts)
    }

    /// What was written in all, or why it could not be.
    pub(super) fn finish(mut self) -> anyhow::Result<Delivered> {
        if !self.is_gone {
            self.correlate(Commit { markers: vec![Marker::End], ..Commit::default() })?;
            let flushed = self.stdout.flush();
            self.written(flushed).ok();
        }
        self.delivered.forgotten = self.correlator.forgotten();
        match self.failure {
            Some(error) => Err(error),
            None => Ok(self.delivered),
        }
    }

    /// Gives a commit to the correlator and writes what is due.
    fn correlate(&mut self, commit: Commit) -> anyhow::Result<()> {
        let Self { correlator, stdout, delivered, .. } = self;
        let mut result = Ok(());
        let sorted = correlator.apply(Span::default(), commit, &mut |alert| {
            if result.is_ok() {
                delivered.alerts += 1;
                result = write_line(stdout, &alert);
            }
        });
        sorted.context("cannot sort the events that are counted: there has to be room in the folder for temporary files (TMPDIR)")?;
        self.written(result).ok();
        Ok(())
    }

    fn write(&mut self, commit: &Commit) -> io::Result<()> {
        commit.alerts.iter().try_for_each(|alert| write_line(&mut self.stdout, alert))?;
        self.stdout.flush()
    }

    /// What a failed write to stdout means.
    fn written(&mut self, result: io::Result<()>) -> Result<(), TargetError> {
        result.map_err(|error| {
            let text = error.to_string();
            self.is_gone = true;
            if error.kind() != ErrorKind::BrokenPipe {
                self.failure = Some(anyhow::Error::new(error).context("cannot write alerts to stdout"));
            }
            TargetError::Gone(text)
        })
    }

    fn write_dead_letters(&mut self, commit: &Commit) -> io::Result<()> {
        let Some(file) = &mut self.dead_letters else { return Ok(()) };
        for letter in &commit.dead_letters {
            file.write_all(letter)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}

impl Target for Output {
    fn dedupes(&self) -> bool {
        false
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), TargetError> {
        self.delivered.alerts += commit.alerts.len() as u64;
        self.delivered.dead_letters += commit.dead_letters.len() as u64;
        self.alerts.store(self.delivered.alerts, Ordering::Relaxed);
        if let Err(error) = self.write_dead_letters(commit) {
            self.is_gone = true;
            self.failure = Some(anyhow::Error::new(error).context("cannot write dead letters"));
            return Err(TargetError::Gone("cannot write dead letters".into()));
        }
        let candidates = Commit { candidates: commit.candidates.clone(), ..Commit::default() };
        if let Err(error) = self.correlate(candidates) {
            (self.is_gone, self.failure) = (true, Some(error));
            return Err(TargetError::Gone("cannot sort candidates".into()));
        }
        let result = self.write(commit);
        self.written(result)
    }
}

fn write_line(out: &mut dyn Write, alert: &Alert) -> io::Result<()> {
    out.write_all(&alert.json)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use threatlockdown_analysis::{ActiveProgram, CorrelatorOptions, Metrics};
    use threatlockdown_event::AlertId;

    use super::*;

    /// Fails each write with one kind of error.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    fn correlator() -> Correlator {
        let program = threatlockdown_ruleset::load(threatlockdown_ruleset::Texts::builtin()).program.unwrap();
        let options = CorrelatorOptions {
            min_level: 3,
            host: "test".into(),
            memory: threatlockdown_ruleset::correlate::MemoryOptions::default(),
            max_bytes: 1 << 20,
            buffer_bytes: 1 << 20,
            folder: std::env::temp_dir(),
        };
        Correlator::new(&options, &ActiveProgram::new(program), &Metrics::unregistered())
    }

    fn commit() -> Commit {
        let alert = Alert { id: AlertId([0; 16]), level: 3, json: b"{}".to_vec() };
        Commit { alerts: vec![alert], dead_letters: vec![b"{\"a\":1}".to_vec()], ..Commit::default() }
    }

    #[test]
    fn a_reader_that_leaves_is_no_error_and_a_full_disk_is() {
        for (kind, is_error) in [(ErrorKind::BrokenPipe, false), (ErrorKind::StorageFull, true)] {
            let mut output =
                Output { stdout: Box::new(Broken(kind)), ..Output::open(None, correlator()).unwrap() };
            assert!(matches!(output.commit(&commit()), Err(TargetError::Gone(_))));
            assert_eq!(output.finish().is_err(), is_error, "{kind}");
        }
    }

    #[test]
    fn dead_letters_are_lines_of_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.jsonl");
        let mut output =
            Output { stdout: Box::new(Vec::new()), ..Output::open(Some(&path), correlator()).unwrap() };
        output.commit(&commit()).unwrap();
        output.commit(&commit()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\":1}\n");
        assert_eq!(output.finish().unwrap(), Delivered { alerts: 2, dead_letters: 2, forgotten: None });
    }
}
