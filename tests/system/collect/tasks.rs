//! Shared sources: each is read by one copy at a time, whichever copies there are, and no line comes twice or not at all.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use threatlockdown_benches::random::Random;
use threatlockdown_services::kafka::Cluster;

use super::{read, site};
use crate::harness::{Client, DEADLINE, Daemon, Site, is_soak, metric};

const SEED: u64 = 20_261_123;
/// Shared sources.
const TASKS: usize = 6;
/// A copy that is not heard of for three seconds has left.
const HASTE: &str = "librdkafka: {session.timeout.ms: 3000, heartbeat.interval.ms: 500}";
/// Longer than a session, and than a transaction may be open.
const FROZEN: Duration = Duration::from_secs(11);
/// Between two parts of what is written.
const PACE: Duration = Duration::from_millis(20);

/// The folder that all copies see, and how much is written to it.
struct Logs {
    folder: Site,
    tasks: usize,
    written: AtomicUsize,
    is_over: AtomicBool,
}

impl Logs {
    fn new(tasks: usize) -> Self {
        let (written, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { folder: Site::new(), tasks, written, is_over }
    }

    /// The shared sources of these numbers, as items of `sources`.
    fn sources(&self, numbers: impl IntoIterator<Item = usize>) -> String {
        let source = |number| {
            let paths = self.folder.text(&format!("{number}/*.log*"));
            format!(
                "- {{name: shared-{number}, type: file, source: json, paths: [\"{paths}\"], shared: true}}\n"
            )
        };
        numbers.into_iter().map(source).collect()
    }

    /// Some more lines for each source. Now and then a file is renamed, and a new one begun.
    fn write(&self) {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        for task in 0..self.tasks {
            let text: String = (0..LINES).map(|at| line(task, number * LINES + at) + "\n").collect();
            if number % 97 == 96 {
                let renamed = self.folder.path(&format!("{task}/a.log.{number}"));
                std::fs::rename(self.folder.path(&format!("{task}/a.log")), renamed).unwrap();
            }
            self.folder.append(&format!("{task}/a.log"), text);
        }
    }

    /// Writes until it is told that it is over.
    fn keep_writing(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            self.write();
            thread::sleep(PACE);
        }
    }

    fn all(&self) -> Vec<String> {
        let lines = self.written.load(Ordering::Relaxed) * LINES;
        let mut all: Vec<String> =
            (0..self.tasks).flat_map(|task| (0..lines).map(move |number| line(task, number))).collect();
        all.sort_unstable();
        all
    }
}

/// Lines of each source that are written at once.
const LINES: usize = 10;

fn line(task: usize, number: usize) -> String {
    format!(r#"{{"source":{task},"number":{number},"fill":"{}"}}"#, "z".repeat(60))
}

/// A copy of `collect`, while it runs.
struct Copy {
    site: Site,
    daemon: Option<Daemon>,
    /// Whether it ever had a task.
    had: bool,
}

impl Copy {
    fn start(cluster: &Cluster, prefix: &str, name: &str, sources: &str) -> Self {
        let kafka = format!("  prefix: {prefix}\n  instance: {name}\n  {HASTE}");
        let site = site(cluster, &kafka, &format!("limits: {{in_flight_bytes: 4MiB}}\nsources:\n{sources}"));
        let daemon = Some(site.start_role("collect").ready());
        Self { site, daemon, had: false }
    }

    fn again(&mut self) {
        self.daemon = Some(self.site.start_role("collect").ready());
    }

    fn client(&self) -> Client {
        self.site.client()
    }

    /// How many tasks it runs.
    fn tasks(&mut self) -> usize {
        let text = self.client().get("/metrics").body;
        let tasks = metric(&text, "threatlockdown_collect_tasks") as usize;
        self.had |= tasks > 0;
        tasks
    }

    fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().unwrap()
    }
}

#[track_caller]
fn until(what: &str, copies: &mut [Copy], mut is_so: impl FnMut(&mut [Copy]) -> bool) {
    let begin = Instant::now();
    while !is_so(copies) {
        for copy in copies.iter_mut().filter(|copy| copy.daemon.is_some()) {
            copy.daemon().runs(what);
        }
        if begin.elapsed() > DEADLINE {
            let logs: Vec<String> =
                copies.iter().filter_map(|copy| copy.daemon.as_ref()).map(Daemon::log).collect();
            panic!("waited too long for {what}\n{}", logs.join("\n\n"));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until each task runs somewhere and nothing is left to be read or committed.
fn settle(copies: &mut [Copy], tasks: usize) {
    let (mut last, mut quiet) = (-1.0, 0);
    until("nothing that waits", copies, |copies| {
        let running = || copies.iter().filter(|copy| copy.daemon.is_some());
        let sum = |name: &str| running().map(|copy| copy.client().metric(name)).sum::<f64>();
        let bytes = sum("threatlockdown_source_bytes_total");
        let is_calm = sum("threatlockdown_collect_tasks") as usize == tasks
            && sum("threatlockdown_in_flight_bytes") == 0.0
            && bytes == last;
        (last, quiet) = (bytes, if is_calm { quiet + 1 } else { 0 });
        quiet >= 60
    });
}

/// Notes who has tasks.
fn see(copies: &mut [Copy]) {
    for copy in copies {
        copy.tasks();
    }
}

fn check(cluster: &Cluster, topic: &str, logs: &Logs) -> usize {
    let mut found: Vec<String> = read(cluster, topic).into_iter().map(|(_, text)| text).collect();
    found.sort_unstable();
    let all = logs.all();
    if found != all {
        let once: BTreeSet<&String> = found.iter().collect();
        let missing: Vec<&String> = all.iter().filter(|line| !once.contains(line)).collect();
        let twice: Vec<&String> =
            found.windows(2).filter(|two| two[0] == two[1]).map(|two| &two[0]).collect();
        let ends = |lines: &[&String]| format!("{} {:?} … {:?}", lines.len(), lines.first(), lines.last());
        panic!("of {} lines missing: {}; doubled: {}", all.len(), ends(&missing), ends(&twice));
    }
    all.len()
}

#[test]
fn shared_sources_go_from_copy_to_copy_and_each_line_comes_once() {
    let faults = if is_soak() { 60 } else { 5 };
    let mut cluster = super::three();
    let logs = Logs::new(TASKS);
    let sources = logs.sources(0..TASKS);
    logs.write();
    let mut copies: Vec<Copy> =
        ["a", "b", "c"].iter().map(|name| Copy::start(&cluster, "s.", name, &sources)).collect();
    let mut random = Random::new(SEED);
    thread::scope(|scope| {
        scope.spawn(|| logs.keep_writing());
        // A failure ends the writer too.
        let over = Over(&logs);
        until("each task in one place, and tasks on several copies", &mut copies, |copies| {
            let tasks: Vec<usize> = copies.iter_mut().map(Copy::tasks).collect();
            tasks.iter().sum::<usize>() == TASKS && tasks.iter().filter(|tasks| **tasks > 0).count() > 1
        });
        for fault in 0..faults {
            if fault == faults / 2 {
                cluster.kill(0);
                cluster.restart(0);
            }
            let copy = &mut copies[fault % 3];
            let daemon = copy.daemon.take().unwrap();
            if fault % 2 == 0 {
                daemon.kill();
            } else {
                daemon.stop();
            }
            thread::sleep(Duration::from_millis(random.below(2_500)));
            copy.again();
            thread::sleep(Duration::from_millis(random.below(1_500)));
            see(&mut copies);
        }
        drop(over);
    });
    settle(&mut copies, TASKS);
    see(&mut copies);
    let had = copies.iter().filter(|copy| copy.had).count();
    assert!(had > 1, "{had} copies had tasks");
    for copy in copies.drain(..) {
        copy.daemon.unwrap().stop();
    }
    let lines = check(&cluster, "s.raw.json", &logs);
    eprintln!("collect: {lines} lines of {TASKS} shared sources, {faults} faults: each once (seed {SEED})");
}

/// Ends what is written when it is dropped.
struct Over<'l>(&'l Logs);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_copy_that_was_frozen_doubles_nothing_and_takes_part_again() {
    let cluster = Cluster::single();
    let logs = Logs::new(TASKS);
    let sources = logs.sources(0..TASKS);
    logs.write();
    let mut copies: Vec<Copy> =
        ["a", "b"].iter().map(|name| Copy::start(&cluster, "z.", name, &sources)).collect();
    thread::scope(|scope| {
        scope.spawn(|| logs.keep_writing());
        let over = Over(&logs);
        until("tasks on both", &mut copies, |copies| copies.iter_mut().all(|copy| copy.tasks() > 0));
        let client = copies[1].client();
        let read = || client.metric("threatlockdown_collect_records_total");
        copies[0].daemon().signal("STOP");
        let since = Instant::now();
        let (frozen, awake) = copies.split_at_mut(1);
        until("all tasks on the other", awake, |awake| awake[0].tasks() == TASKS);
        let (before, lines) = (read(), logs.written.load(Ordering::Relaxed));
        // Of each of them, also of those that it had not. Brokers end transactions after ten seconds: when the frozen one
        // wakes, its own are neither open nor another's.
        until("what is written meanwhile", awake, |_| {
            since.elapsed() > FROZEN
                && logs.written.load(Ordering::Relaxed) > lines + 20
                && read() - before >= (20 * LINES * TASKS) as f64
        });
        frozen[0].daemon().signal("CONT");
        until("tasks on both again", &mut copies, |copies| {
            let tasks: Vec<usize> = copies.iter_mut().map(Copy::tasks).collect();
            tasks.iter().all(|tasks| *tasks > 0) && tasks.iter().sum::<usize>() == TASKS
        });
        drop(over);
    });
    settle(&mut copies, TASKS);
    for copy in copies.drain(..) {
        copy.daemon.unwrap().stop();
    }
    check(&cluster, "z.raw.json", &logs);
}

#[test]
fn copies_have_sources_of_their_own_beside_shared_ones_and_need_not_have_all() {
    let cluster = Cluster::single();
    let logs = Logs::new(3);
    let own = "- {name: own, type: file, source: syslog, paths: [\"DIR/own.log\"]}\n";
    let sources = format!("{own}{}", logs.sources(0..3));
    logs.write();
    let mut copies = vec![Copy::start(&cluster, "o.", "all", &sources)];
    copies[0].site.append("own.log", "one\n");
    until("all tasks on the only one", &mut copies, |copies| copies[0].tasks() == 3);

    // One that has nothing to share takes nothing away.
    copies.push(Copy::start(&cluster, "o.", "none", own));
    copies[1].site.append("own.log", "two\n");
    until("its own line", &mut copies, |copies| {
        copies[1].client().metric("threatlockdown_collect_records_total") as u64 == 1
    });
    assert_eq!((copies[0].tasks(), copies[1].tasks()), (3, 0));

    // One that has some of them, and one with all: tasks have their places, and own sources go on meanwhile.
    copies.push(Copy::start(&cluster, "o.", "some", &logs.sources([1])));
    copies.push(Copy::start(&cluster, "o.", "more", &logs.sources(0..3)));
    for round in 0..20 {
        logs.write();
        copies[0].site.append("own.log", format!("round {round}\n"));
        thread::sleep(PACE * 5);
    }
    // Its partitions go to those that have the tasks.
    copies.remove(2).daemon.unwrap().stop();
    settle(&mut copies, 3);
    for copy in copies.drain(..) {
        copy.daemon.unwrap().stop();
    }
    check(&cluster, "o.raw.json", &logs);
    let mut own: Vec<String> = read(&cluster, "o.raw.syslog").into_iter().map(|(_, text)| text).collect();
    own.sort_unstable();
    let mut wanted: Vec<String> = (0..20).map(|round| format!("round {round}")).collect();
    wanted.extend(["one".to_owned(), "two".to_owned()]);
    wanted.sort_unstable();
    assert_eq!(own, wanted);
}
