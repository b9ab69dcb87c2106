//! The same over Kafka: topics between the threads, any number of these, partitions that change hands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use threatlockdown_analysis::cluster::{Analyzer, ClusterOptions, Owner, Shared, Status};
use threatlockdown_analysis::correlator::Patience;
use threatlockdown_analysis::{ActiveProgram, Composites, CorrelatorOptions, Latest, Metrics};
use threatlockdown_event::{AlertId, Unit};
use threatlockdown_services::kafka::Cluster;
use threatlockdown_topics::kafka::{
    Admin, Names, Outgoing, Polled, RawReader, ReaderOptions, Settings, TopicPlan, Writer, decode_alert,
    encode_head,
};

use crate::rng::Rng;
use crate::run::worker_options;
use crate::trial::{SOURCE, STREAMS, Trial, memory_options, trials};

pub(crate) const PARTITIONS: u32 = 3;
pub(crate) const IDLE: Duration = Duration::from_millis(1500);
/// A rebalance, the silence at the end, and much room for a machine that has more to do.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);

/// All copies have the same rules for ever.
#[derive(Debug)]
struct Unchanging;

impl Latest for Unchanging {
    fn catch_up(&self) {}
}

/// Threads of one process, as it were.
pub(crate) struct Copy {
    pub(crate) shared: Shared,
    threads: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Copy {
    pub(crate) fn start(trial: &Trial, settings: &Settings, instance: &str, workers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = ClusterOptions {
            settings: Settings { instance: instance.to_owned(), ..settings.clone() },
            partitions: PARTITIONS,
            worker: worker_options(Composites::Add),
            correlator: CorrelatorOptions {
                min_level: 0,
                host: "host".into(),
                memory: memory_options(),
                max_bytes: 1 << 26,
                buffer_bytes: 12_000,
                folder: folder.path().to_path_buf(),
            },
            patience: Patience { idle: IDLE, ..Patience::default() },
            catch_up: LONGEST,
            ahead_bytes: 1 << 20,
        };
        let shared = Shared {
            options: Arc::new(options),
            active: ActiveProgram::new(Arc::clone(&trial.program)),
            latest: Arc::new(Unchanging),
            metrics: Metrics::unregistered(),
            status: Status::default(),
        };
        let mut threads = vec![Owner::spawn(&shared, 0).unwrap()];
        threads.extend((0..workers).map(|number| Analyzer::spawn(&shared, number).unwrap()));
        Self { shared, threads, _folder: folder }
    }

    pub(crate) fn stop(self) {
        self.shared.status.stop();
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(self.shared.status.why_ended(), None);
    }
}

pub(crate) fn settings(cluster: &Cluster, prefix: &str) -> Settings {
    Settings {
        brokers: vec![cluster.bootstrap()],
        names: Names::new(prefix).unwrap(),
        instance: "test".to_owned(),
        ..Settings::default()
    }
}

pub(crate) fn make_topics(settings: &Settings) {
    let names = &settings.names;
    let plan = |name: String, partitions: u32, is_compacted: bool| TopicPlan {
        name,
        partitions,
        is_compacted,
        is_fixed: false,
        retention: None,
        least_retention: 0,
        largest: settings.largest,
    };
    let plans = [
        plan(names.raw(SOURCE).unwrap(), STREAMS as u32, false),
        plan(names.correlate(), PARTITIONS, false),
        plan(names.memory(), PARTITIONS, true),
        plan(names.alerts(), 1, false),
        plan(names.dead_letters(), 1, false),
    ];
    Admin::open(settings).unwrap().create(&plans, 1).unwrap();
}

/// Writes the units of each stream into a partition of its own, those of one round behind those of another.
pub(crate) fn write(settings: &Settings, streams: &[Vec<Unit>]) {
    let topic = settings.names.raw(SOURCE).unwrap();
    let mut writer = Writer::open(settings, &settings.names.transactional_id("test", "source", 0)).unwrap();
    for (partition, units) in streams.iter().enumerate() {
        for unit in units {
            for record in &unit.records {
                writer
                    .send(Outgoing {
                        topic: &topic,
                        partition: i32::try_from(partition).ok(),
                        payload: Some(unit.bytes(record)),
                        headers: Some(encode_head(&unit.context, record.origin)),
                        timestamp: Some(unit.ingested.0),
                        ..Outgoing::default()
                    })
                    .unwrap();
            }
        }
    }
    writer.commit(None).unwrap();
}

/// Every alert of the topic with how often it stands there, once there are as many as expected and nothing more comes.
pub(crate) fn alerts(settings: &Settings, expected: usize) -> BTreeMap<AlertId, usize> {
    let options = ReaderOptions {
        group: settings.names.group("test"),
        topics: vec![settings.names.alerts()],
        ahead_bytes: 1 << 20,
        longest_pause: LONGEST,
    };
    let mut reader = RawReader::open(settings, &options).unwrap();
    let mut found = BTreeMap::new();
    let (began, mut heard) = (Instant::now(), Instant::now());
    while began.elapsed() < LONGEST && (found.len() < expected || heard.elapsed() < IDLE * 2) {
        match reader.poll(Duration::from_millis(100)).unwrap() {
            Polled::Record(record) => {
                *found.entry(decode_alert(&record).unwrap().id).or_insert(0) += 1;
                heard = Instant::now();
            }
            Polled::Revoked { .. } => reader.release().unwrap(),
            Polled::Nothing | Polled::Assigned(_) => {}
        }
    }
    found
}

/// What one process makes of it.
pub(crate) fn expected(trial: &Trial, rng: &mut Rng) -> BTreeMap<AlertId, usize> {
    let commits = trial.commits_of_units(trial.streams(rng, true), rng, Composites::Add);
    trial.alerts(&commits).all().into_iter().map(|id| (id, 1)).collect()
}

/// Rule sets that are worth a trial: several alerts wait for others.
pub(crate) fn worthwhile(count: usize) -> Vec<Trial> {
    let is_worthwhile = |trial: &Trial| {
        let mut rng = Rng::new(trial.seed);
        let commits = trial.commits_of_units(trial.streams(&mut rng, true), &mut rng, Composites::Add);
        trial.alerts(&commits).counted.len() >= 3
    };
    trials(400).filter(is_worthwhile).take(count).collect()
}

#[test]
fn workers_on_any_number_of_machines_alert_as_one_process_does() {
    let cluster = Cluster::single();
    for (number, trial) in worthwhile(4).into_iter().enumerate() {
        let mut rng = Rng::new(trial.seed ^ 0x6b61_666b);
        let expected = expected(&trial, &mut rng);
        for (copies, workers) in [(1, 1), (3, 2)] {
            let settings = settings(&cluster, &format!("t{number}.{copies}."));
            make_topics(&settings);
            write(&settings, &trial.streams(&mut rng, true));
            let start = |copy| Copy::start(&trial, &settings, &format!("copy{copy}"), workers);
            let running: Vec<Copy> = (0..copies).map(start).collect();
            let found = alerts(&settings, expected.len());
            for copy in &running {
                let status = &copy.shared.status;
                let (transactions, _) = status.transactions();
                let (waiting, partitions) = (status.waiting(), status.partitions());
                println!("{transactions} {waiting} {partitions} {} {:?}", status.aborted(), status.failing());
            }
            assert_eq!(found, expected, "seed {}, {copies} copies", trial.seed);
            running.into_iter().for_each(Copy::stop);
        }
    }
}
