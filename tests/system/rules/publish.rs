//! `rules publish`, `rollback` and `published`, with a real broker and running copies of `analyze`: all of them take what is
//! published, none loses an event over it, and what is wrong with a set never comes into force.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use threatlockdown_benches::random::Random;

use crate::harness::{DEADLINE, Daemon, Finished, Site, Task, ids};
use crate::kafka::{Stored, Topics};
use crate::kill::counting::{RULES, found};

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

/// The records that stand there now, without those that others replaced.
fn newest(stored: Vec<Stored>) -> BTreeMap<String, Vec<u8>> {
    let key = |stored: &Stored| String::from_utf8(stored.key.clone().unwrap()).unwrap();
    let mut newest: BTreeMap<_, _> = stored.into_iter().map(|one| (key(&one), one.payload)).collect();
    newest.retain(|_, payload| !payload.is_empty());
    newest
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

#[test]
fn what_is_wrong_is_not_published_and_what_is_damaged_is_not_taken() {
    let mut all = Deployment::new(2);
    let site = Site::new();
    site.write(
        "set/b.xml",
        rule(100_301, "held", "Good.") + "<group name=\"x\">\n<rule id=\"100302\">\n</group>\n",
    );
    let refused = all.rules(&["publish", &site.text("set")]).with_code(2);
    assert!(
        refused.stderr.contains("set/b.xml:5:") && refused.stderr.contains("nothing is published"),
        "{refused:?}"
    );
    site.write("set/b.xml", rule(100_301, "held", "Good."));
    let tests = "- rule: \"100301\"\n  fires:\n    - source: json\n      event: '{\"verdict\":\"let go\"}'\n";
    site.write("set/b.tests.yaml", tests);
    let refused = all.rules(&["publish", &site.text("set")]).with_code(2);
    assert!(refused.stderr.contains("b.tests.yaml"), "{refused:?}");
    assert!(all.topics.read("t.rulesets").is_empty());
    let elsewhere = std::fs::read_to_string(all.config()).unwrap().replace("prefix: t.", "prefix: u.");
    let elsewhere = site.write("elsewhere.yaml", elsewhere);
    let missing = Task::new(["rules", "published", "-c"]).arg(elsewhere).run().with_code(2).stderr;
    assert!(
        missing.contains("u.rulesets: it is not there") && missing.contains("topics create"),
        "{missing}"
    );
    let none = all.rules(&["rollback"]).with_code(2).stderr;
    assert!(none.contains("no rules are published"), "{none}");

    let good = rule(100_301, "held", "Good.");
    let version = all.publish(&good);
    all.start_all();
    all.until_all(&version);
    all.until_said(0, None);
    // What nobody published: the record names pieces that are not there as it tells.
    let active = newest(all.topics.read("t.rulesets")).remove("active").unwrap();
    let mut damaged: Value = serde_json::from_slice(&active).unwrap();
    let mut bad = damaged["sets"][0].clone();
    bad["version"] = json!("feedbeef");
    damaged["sets"].as_array_mut().unwrap().insert(0, bad);
    let bytes = damaged["sets"][0]["pieces"][0]["bytes"].as_u64().unwrap();
    all.damage("feedbeef/0", &vec![b'x'; usize::try_from(bytes).unwrap()]);
    all.damage("active", damaged.to_string().as_bytes());
    for copy in 0..2 {
        all.until_said(copy, Some("the published set feedbeef is damaged: piece 1 of 1 is another one"));
        all.until(copy, &version);
    }
    assert!(all.log(0).contains("the published rules are not used, those in force stay"));
    // A copy that starts now takes the set before, and says so too.
    all.stop(1);
    all.start(1);
    all.until(1, &version);
    all.until_said(1, Some("feedbeef is damaged"));
    (0..16).for_each(|number| all.send(number, "held"));
    all.topics.flush();
    let alerts = all.until_alerts(16);
    assert!(alerts.iter().all(|alert| self::version(alert) == version), "{alerts:?}");

    // A later release has published: its rules are not guessed at, and not replaced.
    all.damage("active", br#"{"format":99,"sets":"as nobody knows yet"}"#);
    (0..2).for_each(|copy| all.until_said(copy, Some("format 99")));
    (0..2).for_each(|copy| all.until(copy, &version));
    site.write("other/c.xml", rule(100_301, "held", "Other."));
    let refused = all.rules(&["publish", &site.text("other")]).with_code(2).stderr;
    assert!(refused.contains("use the release that published them"), "{refused}");

    // What stood there before comes back; a new set mends all.
    all.damage("active", damaged.to_string().as_bytes());
    (0..2).for_each(|copy| all.until_said(copy, Some("feedbeef")));
    let other = all.publish(&rule(100_301, "held", "Other."));
    all.until_all(&other);
    (0..2).for_each(|copy| all.until_said(copy, None));
    (0..2).for_each(|copy| all.stop(copy));
}

#[test]
fn a_large_set_goes_in_pieces_and_two_at_once_leave_one_whole() {
    let mut all = Deployment::new(1);
    let mut random = Random::new(17);
    let mut text = String::from("<group name=\"own,\">\n");
    for id in 100_400..103_400 {
        // Nothing that a codec makes much smaller.
        let words: String = (0..75).map(|_| format!("{:016x}", random.number())).collect();
        let _ = writeln!(
            text,
            "<rule id=\"{id}\" level=\"5\"><decoded_as>json</decoded_as><field name=\"verdict\">^v{id}$</field>\
             <description>{words}</description></rule>"
        );
    }
    text.push_str("</group>\n");
    let large = all.publish(&text);
    let stored = newest(all.topics.read("t.rulesets"));
    let pieces: Vec<usize> =
        stored.iter().filter(|(key, _)| key.starts_with(&large)).map(|(_, one)| one.len()).collect();
    assert!(
        pieces.iter().sum::<usize>() > 3 << 20 && pieces.iter().all(|bytes| *bytes < 1_000_000),
        "{pieces:?}"
    );
    all.start_all();
    all.until(0, &large);
    all.send(0, "v103399");
    all.topics.flush();
    let alert = all.until_alerts(1).remove(0);
    assert_eq!((&alert["rule"]["id"], version(&alert)), (&json!("103399"), large.as_str()));

    // Two at once: one at least is in force in the end, and whole.
    let sets = ["Left.", "Right."].map(|description| {
        let site = Site::new();
        site.write("set/a.xml", rule(100_301, "held", description));
        site
    });
    let config = all.config();
    let ended: Vec<Finished> = thread::scope(|scope| {
        let run = |site: &Site| Task::new(["rules", "publish", "-c", &config]).arg(site.path("set")).run();
        let tasks: Vec<_> = sets.iter().map(|site| scope.spawn(move || run(site))).collect();
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    });
    let won: Vec<&Finished> = ended.iter().filter(|ended| ended.code == 0).collect();
    let lost = ended.iter().filter(|ended| ended.code != 0);
    lost.for_each(|lost| assert!(lost.code == 2 && lost.stderr.contains("changed nothing"), "{lost:?}"));
    let listed = all.rules(&["published", "--json"]).with_code(0).json();
    let active = listed[0]["version"].as_str().unwrap().to_owned();
    assert!(won.iter().any(|won| won.stdout.starts_with(&active)), "{active}: {won:?}");
    all.until(0, &active);

    // The large one is forgotten when five others have been in force since.
    for number in 0..5 {
        all.publish(&rule(100_301, "held", &number.to_string()));
    }
    let stored = newest(all.topics.read("t.rulesets"));
    assert_eq!(stored.len(), 1 + 5, "{:?}", stored.keys());
    let refused = all.rules(&["rollback", "--to", &large]).with_code(2).stderr;
    assert!(refused.contains("is not kept"), "{refused}");
    all.stop(0);
}

/// Rules with a count of their own beside those that stay.
fn with_more() -> String {
    let more = r#"<group name="more,">
  <rule id="100610" level="5"><decoded_as>json</decoded_as><field name="outcome">^late$</field><description>Late.</description></rule>
  <rule id="100611" level="10" frequency="3" timeframe="60"><if_matched_sid>100610</if_matched_sid><same_field>address</same_field><description>Late again.</description></rule>
</group>
"#;
    RULES.to_owned() + more
}

fn counted(second: usize, outcome: &str, address: u64) -> String {
    let time = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    json!({"timestamp": format!("2025-01-01T{time}Z"), "number": second, "outcome": outcome, "address": format!("10.0.0.{address}")})
        .to_string()
}

#[test]
fn counts_go_on_while_copies_take_a_set_at_different_moments() {
    let mut all = Deployment::new(2);
    let first = all.publish(RULES);
    all.start_all();
    all.until_all(&first);
    let mut random = Random::new(23);
    let mut lines = Vec::new();
    let mut offer = |all: &Deployment, count: usize, outcomes: &[&str]| {
        for _ in 0..count {
            let (address, outcome) = (random.below(9), *random.pick(outcomes));
            let line = counted(lines.len(), outcome, address);
            all.topics.send("t.raw.json", Some(address.to_string().as_bytes()), &[], line.as_bytes());
            lines.push(line);
        }
        all.topics.flush();
    };
    offer(&all, 300, &["failed", "ok", "odd"]);
    all.until_alerts(100);
    // One copy sleeps while the other takes the new set and judges by it.
    all.copies[1].1.as_ref().unwrap().signal("STOP");
    let second = all.publish(&with_more());
    all.until(0, &second);
    let before = all.alerts().len();
    offer(&all, 300, &["failed", "late", "late", "odd"]);
    all.until_alerts(before + 20);
    all.copies[1].1.as_ref().unwrap().signal("CONT");
    offer(&all, 300, &["failed", "late", "late", "ok"]);
    all.until_all(&second);
    offer(&all, 300, &["failed", "late", "late", "ok"]);
    // Long after all others, and in every partition.
    for address in 0..16 {
        let line = counted(80_000, "quiet", address);
        all.topics.send("t.raw.json", Some(address.to_string().as_bytes()), &[], line.as_bytes());
    }
    all.topics.flush();

    // An event that was judged by the first set has no alert of the second one's rule, and is not counted by it.
    let expected = |alerts: &[Value]| {
        let is_late = |line: &str| line.contains("\"late\"");
        let judged: Vec<&str> = alerts
            .iter()
            .filter(|alert| alert["rule"]["id"] == "100610")
            .map(|alert| alert["full_log"].as_str().unwrap())
            .collect();
        let site = Site::new();
        let seen = lines.iter().filter(|line| !is_late(line) || judged.contains(&line.as_str()));
        site.write("all.log", seen.map(|line| format!("{line}\n")).collect::<String>());
        site.write("rules.xml", with_more());
        let scan = Task::new([
            "scan",
            "--source",
            "json",
            "--rules",
            &site.text("rules.xml"),
            &site.text("all.log"),
        ]);
        found(&scan.run().with_code(1).json())
    };
    let begin = Instant::now();
    loop {
        let alerts = all.alerts();
        if found(&alerts) == expected(&alerts) || begin.elapsed() > DEADLINE {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    (0..2).for_each(|copy| all.stop(copy));
    let alerts = all.alerts();
    assert_eq!(ids(&alerts).len(), alerts.len());
    let (found, expected) = (found(&alerts), expected(&alerts));
    let of =
        |texts: &crate::kill::counting::Texts, rule: &str| texts.keys().filter(|(id, _)| id == rule).count();
    for rule in ["100601", "100604", "100611"] {
        assert!(of(&expected, rule) >= 5, "{rule}: {}", of(&expected, rule));
        assert_eq!(of(&found, rule), of(&expected, rule), "{rule}");
    }
    assert!(found == expected, "{} alerts", alerts.len());
}
