//! The file of what rules remember is damaged, of another version, or no file at all: counting goes on with what the commit log
//! holds, or the start is refused with a word that helps. No alert is lost, none comes twice.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use super::{blocked, wait_for_alerts};
use crate::harness::{Daemon, Site, Task, ids, rule_ids, skip};

/// The fifth completes a count; the alerts of the third and later ones are held back.
const COUNTING: &str = r#"<group name="own,">
  <rule id="100320" level="10" frequency="5" timeframe="600"><if_matched_sid>100300</if_matched_sid><description>Again and again.</description></rule>
</group>
"#;
const THROTTLE: &str = "suppressions:\n  - {id: few, rules: 100300, allow: 2, quiet: 1d, reason: enough}\n";

fn site() -> Site {
    let site = Site::new();
    site.write("rules/a.xml", super::RULES);
    site.write("rules/b.xml", COUNTING);
    site.write("rules/own.suppressions.yaml", THROTTLE);
    site.configure(
        "rules: {paths: [DIR/rules]}\nstate: {idle: 200ms}\n\
         sinks: [{name: alerts, type: file, path: DIR/alerts.jsonl}]\n\
         sources: [{name: app, type: file, source: json, paths: [DIR/app.log]}]\n",
    );
    site
}

/// Offers events and waits until the process has counted so many.
fn count(site: &Site, daemon: &mut Daemon, numbers: std::ops::Range<usize>) {
    let counted = numbers.len() as f64;
    site.append("app.log", numbers.map(blocked).collect::<String>());
    let client = daemon.client.clone();
    let name = "threatlockdown_candidates_judged_total";
    daemon.until(&format!("{counted} events"), || (client.metric(name) >= counted).then_some(()));
}

/// A site whose last process has counted three events and written down what it knows.
fn stopped() -> Site {
    let site = site();
    let mut daemon = site.start().ready();
    count(&site, &mut daemon, 0..3);
    daemon.stop();
    assert!(site.path(SNAPSHOT).is_file());
    site
}

const SNAPSHOT: &str = "data/memory.snapshot";

/// Two more events complete the count, as if nothing had happened; and the next start finds a snapshot that it can use.
#[track_caller]
fn goes_on(site: &Site, what: &str) {
    let mut daemon = site.start().ready();
    count(site, &mut daemon, 3..5);
    wait_for_alerts(site, &mut daemon, 3);
    daemon.stop();
    let alerts = site.alerts();
    assert_eq!(rule_ids(&alerts), ["100300", "100300", "100320"], "{what}");
    assert_eq!(ids(&alerts).len(), 3, "{what}");
    let earlier = alerts[2]["previous_output"].as_str().unwrap();
    assert_eq!(earlier.lines().count(), 4, "{what}: {earlier}");
    let told = fs::read_to_string(site.path("stderr.log")).unwrap();
    let mut daemon = site.start().ready();
    count(site, &mut daemon, 5..6);
    daemon.stop();
    assert_eq!(site.alerts().len(), 3, "{what}");
    let all = fs::read_to_string(site.path("stderr.log")).unwrap();
    assert!(!all[told.len()..].contains("memory.snapshot"), "{what}: {}", &all[told.len()..]);
}

/// What was said of the file.
fn told(site: &Site) -> String {
    let log = fs::read_to_string(site.path("stderr.log")).unwrap();
    let path = site.text(SNAPSHOT);
    log.lines().filter(|line| line.contains(&path)).map(str::to_owned).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_damaged_one_is_named_and_the_log_is_read_instead() {
    type Damage = (&'static str, fn(&mut Vec<u8>), &'static str);
    let damages: [Damage; 7] = [
        ("empty", Vec::clear, "not what was written"),
        ("cut in its head", |bytes| bytes.truncate(9), "not what was written"),
        ("cut", |bytes| bytes.truncate(bytes.len() / 2), "not what was written"),
        ("a bit of its head", |bytes| bytes[2] ^= 0x10, "not what was written"),
        (
            "a bit of its middle",
            |bytes| {
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
            },
            "not what was written",
        ),
        ("another format", |bytes| bytes[7] = 9, "it has format 9, this version reads format 1"),
        ("another file", |bytes| *bytes = b"rules: []\n".repeat(400), "not what was written"),
    ];
    for (what, damage, why) in damages {
        let site = stopped();
        let mut bytes = fs::read(site.path(SNAPSHOT)).unwrap();
        damage(&mut bytes);
        fs::write(site.path(SNAPSHOT), bytes).unwrap();
        goes_on(&site, what);
        let told = told(&site);
        assert!(told.contains("ERROR") && told.contains(why), "{what}: {told}");
        assert_eq!(told.lines().count(), 1, "{what}: {told}");
    }
}

#[test]
fn one_that_is_gone_is_made_again() {
    let site = stopped();
    fs::remove_file(site.path(SNAPSHOT)).unwrap();
    goes_on(&site, "gone");
}

#[test]
fn the_one_before_is_used_after_a_kill() {
    let site = stopped();
    let mut daemon = site.start().ready();
    count(&site, &mut daemon, 3..4);
    let before = fs::read(site.path(SNAPSHOT)).unwrap();
    daemon.kill();
    fs::write(site.path("data/memory.new"), "half").unwrap();
    assert!(fs::read(site.path(SNAPSHOT)).unwrap() == before);
    let mut daemon = site.start().ready();
    count(&site, &mut daemon, 4..5);
    wait_for_alerts(&site, &mut daemon, 3);
    daemon.stop();
    assert_eq!(rule_ids(&site.alerts()), ["100300", "100300", "100320"]);
    assert!(!site.path("data/memory.new").exists());
}

/// The start is refused, and nothing is lost when the file is back.
#[track_caller]
fn is_refused(put: impl Fn(&Path)) {
    let site = stopped();
    let (path, away) = (site.path(SNAPSHOT), site.path("away"));
    fs::rename(&path, &away).unwrap();
    put(&path);
    let run = Task::new(["run", "-c", &site.text("config.yaml")]).run().with_code(2);
    let said = &run.stderr;
    assert!(
        said.contains("cannot read what rules remember") && said.contains(&site.text(SNAPSHOT)),
        "{said}"
    );
    assert!(said.contains("move it away"), "{said}");
    fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    fs::rename(&away, &path).unwrap();
    goes_on(&site, "refused");
}

#[test]
fn what_cannot_be_read_at_all_is_refused() {
    is_refused(|path| fs::create_dir(path).unwrap());
    is_refused(|path| symlink(path, path).unwrap());
    // To open it would be to wait for ever.
    is_refused(|path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()));
}

#[test]
fn one_without_permission_is_refused() {
    let shut = |path: &Path| {
        fs::write(path, "shut").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
    };
    let probe = Site::new();
    shut(&probe.path("shut"));
    if fs::read(probe.path("shut")).is_ok() {
        return skip("a snapshot without permission", "this user may read everything");
    }
    is_refused(shut);
}
