//! All roles over three brokers and OpenSearch, each behind a proxy, with a load that goes on while a test does harm.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use threatlockdown_services::Proxy;
use threatlockdown_services::kafka::{Cluster, Options};
use threatlockdown_services::opensearch::OpenSearch;

use super::corpus::{ALONE, Alerts, Corpus, LATENESS, PARTS, RULES, STREAMS, Size, closing};
use super::watch::{self, Watch};
use crate::harness::{Daemon, Disk, LOOK, Site, Task, append, metric, skip};

/// Between two parts of the load, while harm is done.
const PACE: Duration = Duration::from_millis(400);
/// Between two events that close a phase.
const CLOSE: Duration = Duration::from_millis(300);
/// Between two looks at how far it is.
const ASK: Duration = Duration::from_millis(200);
/// Longest wait for all alerts of a phase: brokers and OpenSearch may be at their beginning still.
const LONGEST: Duration = Duration::from_secs(300);

/// A process with what is its own.
pub(super) struct Copy {
    pub(super) role: &'static str,
    pub(super) instance: String,
    pub(super) site: Site,
    pub(super) daemon: Option<Daemon>,
}

impl Copy {
    pub(super) fn new(role: &'static str, instance: &str, yaml: &str) -> Self {
        let site = Site::new();
        site.configure(yaml);
        Self { role, instance: instance.to_owned(), site, daemon: None }
    }

    pub(super) fn start(&mut self) {
        self.daemon = Some(self.site.start_role(self.role).ready());
    }

    pub(super) fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    pub(super) fn stop(&mut self) {
        self.daemon.take().unwrap().stop();
    }
}

/// See the module.
pub(super) struct Fleet {
    /// `collect`, `analyze` twice, `deliver`, in this order, and those that a phase adds. They go before their servers.
    pub(super) copies: Vec<Copy>,
    pub(super) cluster: Cluster,
    pub(super) search: OpenSearch,
    /// Before OpenSearch.
    pub(super) gate: Proxy,
    /// What all read: rules and inputs.
    pub(super) shared: Site,
    pub(super) corpus: Corpus,
    /// Where the file of the first `deliver` lies, if this user may mount.
    pub(super) disk: Option<Disk>,
    /// What is expected beside the corpus.
    pub(super) more: Alerts,
    /// What is not to be in the index, since OpenSearch refuses it.
    pub(super) refused: Alerts,
    watch: Watch,
    closings: u64,
}

pub(super) const COLLECT: usize = 0;
pub(super) const ANALYZE: usize = 1;
pub(super) const DELIVER: usize = 3;

impl Fleet {
    pub(super) fn start(seed: u64, size: Size) -> Self {
        let options = Options { brokers: 3, is_proxied: true, ..Options::default() };
        let (cluster, search, corpus) = thread::scope(|scope| {
            let cluster = scope.spawn(|| Cluster::start(&options));
            let search = scope.spawn(OpenSearch::start);
            let corpus = Corpus::new(seed, size);
            (cluster.join().unwrap(), search.join().unwrap(), corpus)
        });
        let gate = Proxy::to(search.port());
        let shared = Site::new();
        shared.write("rules/a.xml", RULES);
        for stream in 0..STREAMS {
            shared.write(&format!("in/{stream}.jsonl"), "");
        }
        let names = [("collect", "c"), ("analyze", "a"), ("analyze", "b"), ("deliver", "d")];
        let copies: Vec<Copy> = names
            .iter()
            .map(|(role, instance)| Copy::new(role, instance, &yaml(&cluster, &gate, &shared, instance)))
            .collect();
        let config = copies[0].site.path("config.yaml");
        drop(Task::new(["topics", "create", "-c"]).arg(&config).run().with_code(0));
        let disk = Disk::mount(copies[DELIVER].site.path("out"), 96);
        if disk.is_none() {
            skip("a full disk under `deliver`", "this user may not mount");
        }
        let watch = Watch::new(&cluster.bootstrap(), "t.alerts");
        let (more, refused) = (Alerts::new(), Alerts::new());
        Self { cluster, search, gate, shared, copies, corpus, disk, more, refused, watch, closings: 0 }
    }

    /// A further copy of a role, not yet started; of the name of another one where a test wants that.
    pub(super) fn add(&mut self, role: &'static str, instance: &str) -> usize {
        let yaml = yaml(&self.cluster, &self.gate, &self.shared, instance);
        self.copies.push(Copy::new(role, instance, &yaml));
        self.copies.len() - 1
    }

    /// Does harm while the events of a phase come, and waits until all that has to come of them is there, once.
    pub(super) fn under_load(&mut self, phase: usize, what: &str, harm: impl FnOnce(&mut Self)) {
        let began = Instant::now();
        let parts = self.corpus.parts(phase);
        let is_over = AtomicBool::new(false);
        let folder = self.shared.path("in");
        thread::scope(|scope| {
            scope.spawn(|| {
                for part in &parts {
                    for (stream, lines) in part.iter().enumerate() {
                        let path = folder.join(format!("{stream}.jsonl"));
                        append(&path, lines.as_bytes());
                    }
                    let waits = Instant::now();
                    while !is_over.load(Ordering::Relaxed) && waits.elapsed() < PACE {
                        thread::sleep(LOOK);
                    }
                }
            });
            // Some of it is on its way.
            thread::sleep(PACE * 3);
            let _over = Over(&is_over);
            harm(self);
        });
        assert_eq!(parts.len(), PARTS);
        let harmed = began.elapsed();
        self.settle(phase, what);
        eprintln!(
            "{what}: {:.1} s, then {:.1} s to settle",
            harmed.as_secs_f64(),
            (began.elapsed() - harmed).as_secs_f64()
        );
    }

    /// Waits until topic and index have what all phases up to this one make, and nothing else.
    pub(super) fn settle(&mut self, phase: usize, what: &str) {
        let mut expected = self.corpus.until(phase);
        expected.extend(self.more.clone());
        let (began, mut closed) = (Instant::now(), None::<Instant>);
        // Streams are read each at its own pace. An event that closes a phase must not come before one that is to be counted,
        // and those are counted with the transaction that alerts of them alone.
        let alone = |alerts: &Alerts| alerts.values().filter(|rule| *rule == ALONE).count();
        let all_alone = alone(&expected);
        self.wait(what, began, "the topic", |fleet| {
            fleet.watch.look();
            let found = alone(&fleet.watch.seen.alerts);
            (found >= all_alone, format!("{found} of {all_alone} alerts of single events"))
        });
        self.wait(what, began, "the topic", |fleet| {
            if closed.is_none_or(|closed| closed.elapsed() >= CLOSE) {
                fleet.close(phase);
                closed = Some(Instant::now());
            }
            fleet.watch.look();
            let seen = &fleet.watch.seen.alerts;
            (seen.len() >= expected.len(), format!("{} of {} alerts", seen.len(), expected.len()))
        });
        self.watch.look();
        let late = self.late();
        self.watch.seen.is(&format!("{what}: the topic, with {late} late candidates"), &expected);
        expected.retain(|id, _| !self.refused.contains_key(id));
        let url = self.search.url();
        self.wait(what, began, "the index", |_| {
            let count = watch::count(&url, "tld-*");
            (count >= expected.len(), format!("{count} of {} documents", expected.len()))
        });
        watch::indexed(&url, "tld-*").is(&format!("{what}: the index"), &expected);
    }

    /// Candidates that came behind the watermark, of those copies that run.
    fn late(&self) -> f64 {
        let running = self.copies.iter().filter(|copy| copy.role == "analyze" && copy.daemon.is_some());
        let late = |copy: &Copy| {
            let figures = copy.site.client().try_get("/metrics").ok()?;
            Some(metric(&figures.body, "threatlockdown_candidates_late_total"))
        };
        running.filter_map(late).sum()
    }

    /// Events that close a phase, until each partition has had one.
    fn close(&mut self, phase: usize) {
        for stream in 0..STREAMS {
            self.closings += 1;
            self.shared.append(&format!("in/{stream}.jsonl"), closing(phase, self.closings % 3_600));
        }
    }

    /// Asks until it is so; every copy has to go on running meanwhile.
    fn wait(
        &mut self,
        what: &str,
        began: Instant,
        place: &str,
        mut ask: impl FnMut(&mut Self) -> (bool, String),
    ) {
        loop {
            let (is_so, how_far) = ask(self);
            if is_so {
                return;
            }
            for copy in &mut self.copies {
                let Copy { daemon, role, instance, .. } = copy;
                if let Some(daemon) = daemon {
                    daemon.runs(&format!("{what}: {role} {instance}, waiting for {place}: {how_far}"));
                }
            }
            assert!(began.elapsed() < LONGEST, "{what}: {place}: {how_far}");
            thread::sleep(ASK);
        }
    }

    /// Ends all copies in order, and looks once more whether all is there once.
    pub(super) fn finish(&mut self, phase: usize) {
        for copy in &mut self.copies {
            if copy.daemon.is_some() {
                copy.stop();
            }
        }
        self.settle(phase, "after the end");
    }

    /// Commits of the topic's dead letters, by a client of the test.
    pub(super) fn dead_letters(&self) -> BTreeMap<String, serde_json::Value> {
        let config = self.copies[0].site.text("config.yaml");
        let listed =
            Task::new(["deadletter", "list", "--json", "--limit", "1000", "-c", &config]).run().with_code(0);
        if listed.stdout.starts_with("no dead letters") {
            return BTreeMap::new();
        }
        let place = |letter: &serde_json::Value| letter["place"].as_str().unwrap().to_owned();
        listed.json().into_iter().map(|letter| (place(&letter), letter)).collect()
    }
}

/// Says that the harm is over, also when it has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn yaml(cluster: &Cluster, gate: &Proxy, shared: &Site, instance: &str) -> String {
    let brokers = cluster.proxied().replace(',', "\", \"");
    let folder = shared.text("");
    format!(
        "workers: 1
rules: {{paths: [\"{folder}rules\"]}}
state: {{lateness: {{aws.cloudtrail: {LATENESS}}}, idle: 10m}}
limits: {{max_event_bytes: 8MiB}}
kafka:
  brokers: [\"{brokers}\"]
  prefix: t.
  instance: {instance}
  librdkafka: {{session.timeout.ms: 6000, topic.metadata.refresh.interval.ms: 2000}}
  topics: {{partitions: 3, correlate_partitions: 3}}
sources: [{{name: trail, type: file, source: aws.cloudtrail, paths: [\"{folder}in/*.jsonl\"]}}]
sinks:
- {{name: alerts, type: file, path: DIR/out/alerts.jsonl}}
- {{name: os, type: opensearch, urls: [\"http://127.0.0.1:{}\"], index_prefix: tld, replicas: 0, timeout: 5s}}
- {{name: soc, type: topic, min_level: 10}}
",
        gate.port()
    )
}
