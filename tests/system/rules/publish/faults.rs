//! What must not come into force, or not in halves: faulty rules, damaged pieces, formats of later releases, large sets, two
//! publishers at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread;

use serde_json::{Value, json};
use threatlockdown_benches::random::Random;

use super::{Deployment, rule, version};
use crate::harness::{Finished, Site, Task};
use crate::kafka::Stored;

/// The records that stand there now, without those that others replaced.
fn newest(stored: Vec<Stored>) -> BTreeMap<String, Vec<u8>> {
    let key = |stored: &Stored| String::from_utf8(stored.key.clone().unwrap()).unwrap();
    let mut newest: BTreeMap<_, _> = stored.into_iter().map(|one| (key(&one), one.payload)).collect();
    newest.retain(|_, payload| !payload.is_empty());
    newest
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

#[test]
fn what_holds_no_rule_does_not_take_rules_out_of_force() {
    let all = Deployment::new(1);
    let version = all.publish(&rule(100_300, "held", "Held."));
    let site = Site::new();
    site.write("empty/readme.txt", "rules are elsewhere");
    site.write("passwd", "root:x:0:0\n");
    for named in ["empty", "passwd"] {
        let refused = all.rules(&["publish", &site.text(named)]).with_code(2).stderr;
        assert!(refused.contains("there is nothing of yours in what is named"), "{refused}");
    }
    let sets = all.rules(&["published", "--json"]).with_code(0).json();
    assert_eq!((sets.len(), sets[0]["version"].as_str()), (1, Some(version.as_str())));
}
