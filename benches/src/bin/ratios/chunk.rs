//! What one round is measured on: fresh events, so that time goes on and nothing is seen twice.
//!
//! Enters: a kind of corpus. Leaves: chunks of it, one after another; making them is not measured.

use std::sync::Arc;

use threatlockdown_benches::clock::Clock;
use threatlockdown_benches::cloudtrail::CloudTrail;
use threatlockdown_benches::envelope::Enveloped;
use threatlockdown_benches::failures::Failures;
use threatlockdown_benches::logins::Logins;
use threatlockdown_benches::mix::Mix;
use threatlockdown_benches::syslog::Syslog;
use threatlockdown_event::{Context, Millis, Record, Unit};

/// A run of events in one buffer.
#[derive(Default)]
pub(crate) struct Chunk {
    text: String,
    lines: Vec<(usize, usize, usize)>,
    pub(crate) received: i64,
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The events with the number of their source in [`Corpus::sources`].
    pub(crate) fn events(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.part(0, self.lines.len())
    }

    /// The events from `start` on, up to `end`.
    pub(crate) fn part(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, &[u8])> {
        let lines = self.lines.get(start..end.min(self.lines.len())).unwrap_or_default();
        lines.iter().map(|(source, from, to)| (*source, &self.text.as_bytes()[*from..*to]))
    }

    /// The chunk as a connector would publish it.
    pub(crate) fn unit(&self, context: &Arc<Context>) -> Unit {
        let record = |(_, from, to): &(usize, usize, usize)| Record {
            start: u32::try_from(*from).unwrap_or(u32::MAX),
            len: u32::try_from(to - from).unwrap_or(u32::MAX),
            origin: *from as u64,
        };
        Unit {
            stream: "bench".into(),
            sequence: 0,
            checkpoint: None,
            context: Arc::clone(context),
            ingested: Millis(self.received),
            buffer: self.text.as_bytes().to_vec(),
            records: self.lines.iter().map(record).collect(),
            dead_letters: Vec::new(),
        }
    }
}

/// Where chunks come from.
pub(crate) enum Corpus {
    CloudTrail(CloudTrail),
    Enveloped(Enveloped),
    Failures(Failures),
    Logins(Logins),
    Mix(Mix),
    Syslog(Box<Syslog>),
}

const SEED: u64 = 1;

impl Corpus {
    pub(crate) fn cloudtrail() -> Self {
        Self::CloudTrail(CloudTrail::new(SEED))
    }

    pub(crate) fn enveloped() -> Self {
        Self::Enveloped(Enveloped::new(SEED))
    }

    pub(crate) fn failures() -> Self {
        Self::Failures(Failures::new(SEED))
    }

    pub(crate) fn logins(users: u64) -> Self {
        Self::Logins(Logins::new(SEED, users))
    }

    pub(crate) fn mix() -> Self {
        Self::Mix(Mix::new(SEED))
    }

    pub(crate) fn syslog() -> Self {
        Self::Syslog(Box::new(Syslog::new(SEED)))
    }

    /// Names of the sources of its events.
    pub(crate) fn sources(&self) -> &'static [&'static str] {
        match self {
            Self::CloudTrail(_) | Self::Logins(_) => &["aws.cloudtrail"],
            Self::Enveloped(_) | Self::Failures(_) | Self::Syslog(_) => &["syslog"],
            Self::Mix(_) => threatlockdown_benches::mix::SOURCES,
        }
    }

    /// Fills `chunk` with the next events.
    pub(crate) fn fill(&mut self, chunk: &mut Chunk, events: usize) {
        chunk.text.clear();
        chunk.lines.clear();
        let mut clock = Clock::default();
        for _ in 0..events {
            let from = chunk.text.len();
            let mut source = 0;
            match self {
                Self::CloudTrail(generator) => generator.write(&mut chunk.text),
                Self::Enveloped(generator) => generator.write(&mut chunk.text),
                Self::Failures(generator) => {
                    clock = generator.clock();
                    generator.write(&mut chunk.text);
                }
                Self::Logins(generator) => {
                    generator.write(&mut chunk.text);
                    clock = generator.clock();
                }
                Self::Mix(generator) => source = generator.write(&mut chunk.text),
                Self::Syslog(generator) => {
                    generator.write(&mut chunk.text);
                    clock = generator.clock();
                }
            }
            chunk.lines.push((source, from, chunk.text.len()));
        }
        chunk.received = i64::try_from(clock.millis()).unwrap_or(i64::MAX);
    }
}
