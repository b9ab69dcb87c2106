//! `rules publish`, `rollback` and `published`, with a real broker and running copies of `analyze`: all of them take what is
//! published, none loses an event over it, and what is wrong with a set never comes into force.

mod counts;
mod faults;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Daemon, Finished, Site, Task, ids};
use crate::kafka::{Stored, Topics};

/// A deployment of some copies of `analyze`.
struct Deployment {
    topics: Topics,
    copies: Vec<(Site, Option<Daemon>)>,
}

/// One rule, on every event with this verdict.
fn rule(id: u32, verdict: &str, description: &str) -> String {
    format!(
        "<group name=\"own,\">\n<rule id=\"{id}\" level=\"8\"><decoded_as>json</decoded_as>\n\
         <field name=\"verdict\">^{verdict}$</field><description>{description}</description></rule></group>\n"
    )
}

impl Deployment {
    /// With copies whose own files hold a rule of number 100300.
    fn new(copies: usize) -> Self {
        let topics = Topics::start();
        let copies = (0..copies).map(|number| {
            let site = Site::new();
            site.write("own/a.xml", rule(100_300, "held", "Of the configuration."));
            site.configure(&format!(
                "workers: 1\nrules: {{paths: [DIR/own], reload_interval: 100ms}}\nstate: {{idle: 30s}}\n\
                 kafka:\n  brokers: [\"{}\"]\n  prefix: t.\n  instance: copy-{number}\n  \
                 topics: {{partitions: 4, correlate_partitions: 4, sources: [json]}}\n  \
                 librdkafka: {{session.timeout.ms: '30000', heartbeat.interval.ms: '1000'}}\n",
                topics.cluster.bootstrap()
            ));
            (site, None)
        });
        let deployment = Self { copies: copies.collect(), topics };
        Task::new(["topics", "create", "-c"]).arg(deployment.config()).run().with_code(0);
        deployment
    }

    fn config(&self) -> String {
        self.copies[0].0.text("config.yaml")
    }

    fn start(&mut self, copy: usize) {
        let (site, daemon) = &mut self.copies[copy];
        *daemon = Some(site.start_role("analyze").ready());
    }

    fn start_all(&mut self) {
        (0..self.copies.len()).for_each(|copy| self.start(copy));
    }

    fn stop(&mut self, copy: usize) {
        self.copies[copy].1.take().unwrap().stop();
    }

    fn rules(&self, words: &[&str]) -> Finished {
        let task = Task::new(["rules", words[0], "-c", &self.config()]);
        words[1..].iter().fold(task, |task, word| task.arg(word)).run()
    }

    /// Publishes a file alone; its version.
    fn publish(&self, text: &str) -> String {
        let site = Site::new();
        site.write("set/a.xml", text);
        let said = self.rules(&["publish", &site.text("set"), "--by", "tester"]).with_code(0).stdout;
        assert!(said.contains(" is in force"), "{said}");
        said.split(' ').next().unwrap().to_owned()
    }

    /// Waits until a copy has rules of this version in force.
    #[track_caller]
    fn until(&mut self, copy: usize, version: &str) {
        let daemon = self.copies[copy].1.as_mut().unwrap();
        let client = daemon.client.clone();
        let name = format!("threatlockdown_rules_loaded{{version=\"{version}\"");
        daemon.until(version, || (client.metric(&name) > 0.0).then_some(()));
    }

    #[track_caller]
    fn until_all(&mut self, version: &str) {
        (0..self.copies.len()).for_each(|copy| self.until(copy, version));
    }

    /// Waits until a copy says this of the rules that are published; nothing: that they are in force.
    #[track_caller]
    fn until_said(&mut self, copy: usize, words: Option<&str>) {
        let daemon = self.copies[copy].1.as_mut().unwrap();
        let client = daemon.client.clone();
        daemon.until(words.unwrap_or("no complaint"), || {
            let reply = client.get("/readyz").with_status(200).json();
            let detail = reply["detail"].as_str();
            let is_said = match words {
                None => detail.is_none(),
                Some(words) => detail.is_some_and(|detail| {
                    detail.contains("rules that are published are not in force") && detail.contains(words)
                }),
            };
            let failed = client.metric("threatlockdown_rules_reload_failed");
            (is_said && (failed > 0.0) == words.is_some()).then_some(())
        });
    }

    fn log(&self, copy: usize) -> String {
        std::fs::read_to_string(self.copies[copy].0.path("stderr.log")).unwrap()
    }

    fn send(&self, number: usize, verdict: &str) {
        let key = (number % 16).to_string();
        let line = json!({"number": number, "verdict": verdict}).to_string();
        self.topics.send("t.raw.json", Some(key.as_bytes()), &[], line.as_bytes());
    }

    fn alerts(&self) -> Vec<Value> {
        let parse = |stored: Stored| serde_json::from_slice(&stored.payload).unwrap();
        self.topics.read("t.alerts").into_iter().map(parse).collect()
    }

    /// Waits for so many alerts.
    #[track_caller]
    fn until_alerts(&self, count: usize) -> Vec<Value> {
        let begin = Instant::now();
        loop {
            let alerts = self.alerts();
            if alerts.len() >= count {
                return alerts;
            }
            assert!(begin.elapsed() < DEADLINE, "{} alerts, not {count}", alerts.len());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes to the topic of rule sets what no publisher would.
    fn damage(&self, key: &str, payload: &[u8]) {
        self.topics.send("t.rulesets", Some(key.as_bytes()), &[], payload);
        self.topics.flush();
    }
}

fn version(alert: &Value) -> &str {
    alert["ruleset"]["version"].as_str().unwrap()
}

fn number(alert: &Value) -> usize {
    let event: Value = serde_json::from_str(alert["full_log"].as_str().unwrap()).unwrap();
    usize::try_from(event["number"].as_u64().unwrap()).unwrap()
}

#[test]
fn running_copies_take_what_is_published_and_no_event_minds() {
    let mut all = Deployment::new(2);
    let said = all.rules(&["published"]).with_code(0).stdout;
    assert!(said.starts_with("no rules are published"), "{said}");
    all.start_all();
    let (sent, end) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    // Events keep coming before, while and after sets are published.
    let versions = thread::scope(|scope| {
        let topics = &all.topics;
        let (sent, end) = (&sent, &end);
        scope.spawn(move || {
            let mut number = 0;
            while number < end.load(Ordering::SeqCst) {
                let key = (number % 16).to_string();
                let line = json!({"number": number, "verdict": "held"}).to_string();
                topics.send("t.raw.json", Some(key.as_bytes()), &[], line.as_bytes());
                topics.flush();
                number += 1;
                sent.store(number, Ordering::SeqCst);
            }
        });
        let wait = |more: usize| {
            let from = sent.load(Ordering::SeqCst);
            while sent.load(Ordering::SeqCst) < from + more {
                thread::sleep(Duration::from_millis(5));
            }
        };
        let site = Site::new();
        let config = all.copies[0].0.text("config.yaml");
        let publish = |text: &str| {
            site.write("set/a.xml", text);
            let said =
                Task::new(["rules", "publish", "-c", &config]).arg(site.path("set")).run().with_code(0);
            said.stdout.split(' ').next().unwrap().to_owned()
        };
        let mut versions = Vec::new();
        for description in ["One.", "Two."] {
            wait(50);
            let version = publish(&rule(100_301, "held", description));
            for (_, daemon) in &mut all.copies {
                let daemon = daemon.as_mut().unwrap();
                let client = daemon.client.clone();
                let name = format!("threatlockdown_rules_loaded{{version=\"{version}\"");
                daemon.until(&version, || (client.metric(&name) > 0.0).then_some(()));
            }
            versions.push(version);
        }
        wait(50);
        end.store(sent.load(Ordering::SeqCst) + 20, Ordering::SeqCst);
        versions
    });
    let count = sent.load(Ordering::SeqCst);
    let alerts = all.until_alerts(count);
    // One rule of each set is on every event: none is lost, none is there twice, and each tells whose it is.
    assert_eq!(ids(&alerts).len(), count);
    let by_number: BTreeMap<usize, &Value> = alerts.iter().map(|alert| (number(alert), alert)).collect();
    assert_eq!(by_number.len(), count);
    let mut of: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for alert in &alerts {
        *of.entry((version(alert), alert["rule"]["description"].as_str().unwrap())).or_insert(0) += 1;
    }
    assert_eq!(of.len(), 3, "{of:?}");
    for (version, description) in versions.iter().zip(["One.", "Two."]) {
        assert!(of.get(&(version.as_str(), description)).is_some_and(|count| *count >= 20), "{of:?}");
    }
    assert_eq!(by_number[&0]["rule"]["id"], "100300");
    assert_eq!(version(by_number[&(count - 1)]), versions[1]);
    assert!(all.log(0).contains("published rules take the place of those of the configuration"));

    // Once more is nothing new.
    let before = all.topics.read("t.rulesets").len();
    let text = rule(100_301, "held", "Two.");
    let site = Site::new();
    site.write("elsewhere/a.xml", &text);
    let said = all.rules(&["publish", &site.text("elsewhere")]).with_code(0).stdout;
    assert_eq!(said, format!("{} is in force already: nothing is published\n", versions[1]));
    assert_eq!(all.topics.read("t.rulesets").len(), before);

    // A file of the configuration that changes now is nobody's rule, and a copy that starts again has what is published.
    all.copies[0].0.write("own/a.xml", rule(100_300, "held", "Changed."));
    all.stop(1);
    all.start(1);
    all.until_all(&versions[1]);
    assert!(all.log(1).contains("published rules are in force; those of the configuration are not used"));

    let said = all.rules(&["rollback", "--by", "me"]).with_code(0).stdout;
    assert!(said.starts_with(&format!("{} is in force in place of {}", versions[0], versions[1])), "{said}");
    all.until_all(&versions[0]);
    let listed = all.rules(&["published", "--json"]).with_code(0).json();
    let shown: Vec<_> = listed.iter().map(|set| (set["version"].as_str().unwrap(), &set["active"])).collect();
    assert_eq!(shown, [(versions[0].as_str(), &json!(true)), (versions[1].as_str(), &json!(false))]);
    assert_eq!(listed[0]["activated_by"], "me");
    let table = all.rules(&["published"]).with_code(0).stdout;
    assert!(table.contains("in force since 2") && table.contains(" by me\n"), "{table}");
    (0..16).for_each(|more| all.send(count + more, "held"));
    all.topics.flush();
    let alerts = all.until_alerts(count + 16);
    assert!(alerts.iter().filter(|alert| number(alert) >= count).all(|alert| version(alert) == versions[0]));

    let said = all.rules(&["rollback", "--to", &versions[1][..6]]).with_code(0).stdout;
    assert!(said.starts_with(&versions[1]), "{said}");
    all.until_all(&versions[1]);
    let refused = all.rules(&["rollback", "--to", "nothing"]).with_code(2).stderr;
    assert!(refused.contains("nothing is not kept; `rules published` shows what is"), "{refused}");
    (0..2).for_each(|copy| all.stop(copy));
}
