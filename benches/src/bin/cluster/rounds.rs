//! The steps in turn, on the same records.
//!
//! Enters: the arguments. Leaves: what each step took in each round.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use threatlockdown_benches::cloudtrail::CloudTrail;
use threatlockdown_services::kafka::{Cluster, Options};
use threatlockdown_topics::kafka::Names;

use crate::arguments::{Arguments, BARE, PLAIN, Reading};
use crate::group::Group;
use crate::latency::{self, Latency};
use crate::roles::{Roles, Running};
use crate::{Fault, usage};

const LONGEST: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(20);
/// So long a process with nothing to do is watched.
const SETTLE: Duration = Duration::from_secs(4);

/// What a step took, for an event.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Events in a second; `scan`'s are not measured so.
    pub(crate) rate: f64,
    /// Microseconds of processor time.
    pub(crate) processor: f64,
    /// MiB in memory at the end, and the most.
    pub(crate) memory: (f64, f64),
}

/// What came of all.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// By step, in the order of rounds.
    pub(crate) rounds: BTreeMap<&'static str, Vec<Taken>>,
    /// Microseconds of an event by thread, of the last round with one worker.
    pub(crate) threads: BTreeMap<String, f64>,
    /// With load, and without.
    pub(crate) latencies: Vec<Latency>,
}

struct Bench<'a> {
    arguments: &'a Arguments,
    roles: Roles,
    group: Group,
    topic: String,
    /// What `scan` takes for an empty file, and a worker that has nothing to read.
    idle: [Duration; 2],
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Measured, Fault> {
    let cluster = Cluster::start(&Options::default());
    let names = Names::default();
    let topic = names.raw("aws.cloudtrail")?;
    let roles = Roles {
        binary: arguments.binary.clone(),
        folder: cluster.folder().join("bench"),
        brokers: cluster.bootstrap(),
        partitions: arguments.partitions,
        compression: arguments.compression.clone(),
    };
    fs::create_dir_all(&roles.folder)?;
    roles.topics()?;
    let mut measured = Measured { events: arguments.events, ..Measured::default() };
    measured.bytes = corpus(&roles, arguments.events)?;
    let idle = [scan_of_nothing(&roles)?, worker_of_nothing(&roles)?];
    fill(&roles, &topic, arguments.events)?;
    let group = Group::new(&roles.brokers, &names.group("analyze"), &topic)?;
    let bench = Bench { arguments, roles, group, topic, idle };
    for round in 0..arguments.rounds {
        for step in ["scan", "bare", "plain", "one", "two"] {
            if arguments.wants(step) {
                let taken = bench.step(step, round, &mut measured)?;
                say(&format!("round {round} {step}: {taken:?}"));
                measured.rounds.entry(step).or_default().push(taken);
            }
        }
    }
    if !arguments.skips_latency {
        let rate = bench.capacity()?;
        say(&format!("beside the producer: {rate:.0} events a second"));
        for (name, rate) in [("70 % load", rate * 0.7), ("one event at a time", 0.0)] {
            let running = bench.roles.start("analyze", "worker", 1)?;
            let latency = latency::measure(&bench.roles.brokers, &bench.topic, name, rate)?;
            say(&format!("{latency:?}"));
            measured.latencies.push(latency);
            running.stop()?;
        }
    }
    Ok(measured)
}

pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The middle one of a figure of a step.
pub(crate) fn middle(taken: Option<&Vec<Taken>>, of: impl Fn(&Taken) -> f64) -> Option<f64> {
    let mut all: Vec<f64> = taken?.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

fn corpus(roles: &Roles, events: u64) -> Result<u64, Fault> {
    let mut generator = CloudTrail::new(1);
    let mut out = BufWriter::new(File::create(roles.corpus())?);
    let (mut line, mut bytes) = (String::new(), 0);
    for _ in 0..events {
        line.clear();
        generator.write(&mut line);
        bytes += line.len() as u64;
        line.push('\n');
        out.write_all(line.as_bytes())?;
    }
    out.flush()?;
    Ok(bytes)
}

/// `collect` brings the corpus into Kafka.
fn fill(roles: &Roles, topic: &str, events: u64) -> Result<(), Fault> {
    let mut running = roles.start("collect", "filler", 1)?;
    let began = Instant::now();
    let (brokers, group) = (roles.brokers.clone(), "bench.fill".to_owned());
    let reading = Reading { brokers, group, topic: topic.to_owned(), events };
    // A bare consumer ends when it has all of them.
    call(BARE, &reading)?;
    running.look()?;
    say(&format!("filled in {:.1} s, {:?}", began.elapsed().as_secs_f64(), usage::of(running.process())?));
    running.stop()
}

fn scan_of_nothing(roles: &Roles) -> Result<Duration, Fault> {
    let path = roles.folder.join("empty.log");
    File::create(&path)?;
    let before = usage::of_ended()?;
    roles.scan(&path)?;
    Ok(usage::of_ended()? - before)
}

fn worker_of_nothing(roles: &Roles) -> Result<Duration, Fault> {
    let running = roles.start("analyze", "worker", 1)?;
    std::thread::sleep(SETTLE);
    let taken = usage::of(running.process())?;
    running.stop()?;
    Ok(taken)
}

/// Seconds and processor time of this program in another mode.
fn call(mode: &str, reading: &Reading) -> Result<(f64, f64), Fault> {
    let output = Command::new(std::env::current_exe()?)
        .arg(mode)
        .args(reading.words())
        .stderr(Stdio::inherit())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [seconds, processor, _] => Ok((seconds, processor)),
        _ => Err(format!("{mode} failed").into()),
    }
}

impl Bench<'_> {
    fn step(&self, step: &str, round: usize, measured: &mut Measured) -> Result<Taken, Fault> {
        let events = self.arguments.events as f64;
        let reading = Reading {
            brokers: self.roles.brokers.clone(),
            group: format!("bench.{step}.{round}"),
            topic: self.topic.clone(),
            events: self.arguments.events,
        };
        match step {
            "scan" => {
                let (before, began) = (usage::of_ended()?, Instant::now());
                self.roles.scan(&self.roles.corpus())?;
                let processor = (usage::of_ended()? - before).saturating_sub(self.idle[0]);
                let rate = events / began.elapsed().as_secs_f64();
                Ok(Taken { rate, processor: micros(processor, events), ..Taken::default() })
            }
            "bare" => self.called(BARE, &reading),
            "plain" => self.called(PLAIN, &reading),
            "one" => self.analyze(1, measured),
            _ => self.analyze(2, measured),
        }
    }

    fn called(&self, mode: &str, reading: &Reading) -> Result<Taken, Fault> {
        let (seconds, processor) = call(mode, reading)?;
        let events = self.arguments.events as f64;
        let processor = micros(Duration::from_secs_f64(processor), events);
        Ok(Taken { rate: events / seconds, processor, ..Taken::default() })
    }

    /// The product's worker, from the topic's beginning to its end.
    fn analyze(&self, workers: usize, measured: &mut Measured) -> Result<Taken, Fault> {
        self.group.forget()?;
        let mut running = self.roles.start("analyze", "worker", workers)?;
        let began = Instant::now();
        let (mut first, mut share) = (None, 0.0);
        while share < 1.0 {
            std::thread::sleep(LOOK);
            running.look()?;
            share = self.group.share()?;
            if share > 0.0 && first.is_none() {
                first = Some((Instant::now(), share));
            }
            if began.elapsed() > LONGEST {
                return Err(format!("the worker has committed {share} of the topic").into());
            }
        }
        let (at, before) = first.unwrap_or((began, 0.0));
        let events = self.arguments.events as f64;
        let rate = events * (1.0 - before) / at.elapsed().as_secs_f64();
        let taken = self.account(&running, rate, workers, measured)?;
        running.stop()?;
        Ok(taken)
    }

    /// What the worker takes in a second while more is sent than it takes; it is left with nothing to do.
    fn capacity(&self) -> Result<f64, Fault> {
        let (brokers, topic) = (&self.roles.brokers, &self.topic);
        let mut running = self.roles.start("analyze", "worker", 1)?;
        let rate = latency::capacity(brokers, topic, || self.group.committed())?;
        let group = Group::new(brokers, &Names::default().group("analyze"), topic)?;
        let began = Instant::now();
        while group.share()? < 1.0 {
            std::thread::sleep(LOOK);
            running.look()?;
            if began.elapsed() > LONGEST {
                return Err("the worker does not end".into());
            }
        }
        running.stop()?;
        Ok(rate)
    }

    fn account(
        &self,
        running: &Running,
        rate: f64,
        workers: usize,
        measured: &mut Measured,
    ) -> Result<Taken, Fault> {
        // The owner of counts is done a moment later.
        std::thread::sleep(Duration::from_millis(500));
        let events = self.arguments.events as f64;
        let process = running.process();
        let processor = usage::of(process)?.saturating_sub(self.idle[1]);
        if workers == 1 {
            let threads = usage::by_thread(process)?;
            measured.threads = threads.into_iter().map(|(name, time)| (name, micros(time, events))).collect();
        }
        Ok(Taken { rate, processor: micros(processor, events), memory: usage::memory(process)? })
    }
}

fn micros(time: Duration, events: f64) -> f64 {
    time.as_secs_f64() * 1e6 / events
}
