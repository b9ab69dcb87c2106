//! Rules change under a running process: what is right comes into force, what is wrong does not, and no event minds.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{RULES, blocked, numbers, wait_for_alerts};
use crate::harness::{Daemon, Site, Task, complete_lines, ids, rule_ids};

/// A site that follows `app.log` with the rules in `rules/`, which are looked at often.
fn site() -> Site {
    configured("paths: [DIR/rules], reload_interval: 100ms")
}

pub(super) fn configured(rules: &str) -> Site {
    configured_with("", rules)
}

fn configured_with(more: &str, rules: &str) -> Site {
    let site = Site::new();
    site.write("rules/a.xml", RULES);
    site.configure(&format!(
        "{more}workers: 1\nrules: {{{rules}}}\nsinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]\n\
         sources: [{{name: app, type: file, source: json, paths: [DIR/app.log]}}]\n"
    ));
    site
}

/// A rule on a verdict.
pub(super) fn rule(id: u32, verdict: &str, description: &str) -> String {
    format!(
        "<group name=\"own,\"><rule id=\"{id}\" level=\"8\"><decoded_as>json</decoded_as>\
         <field name=\"verdict\">^{verdict}$</field><description>{description}</description></rule></group>\n"
    )
}

pub(super) fn event(number: usize, verdict: &str) -> String {
    blocked(number).replace("blocked", verdict)
}

/// Waits until so many attempts to load rules have ended this way.
#[track_caller]
pub(crate) fn wait_for(daemon: &mut Daemon, outcome: &str, count: u32) {
    let client = daemon.client.clone();
    let name = format!("threatlockdown_rules_reloads_total{{outcome=\"{outcome}\"");
    daemon.until(&format!("{count} times {outcome}"), || {
        (client.metric(&name) >= f64::from(count)).then_some(())
    });
}

/// What is said of rules that are not in force.
pub(super) fn detail(daemon: &Daemon) -> Option<String> {
    let reply = daemon.client.get("/readyz").with_status(200).json();
    assert_eq!(reply["status"], "ok");
    reply["detail"].as_str().map(str::to_owned)
}

fn stderr(site: &Site) -> String {
    fs::read_to_string(site.path("stderr.log")).unwrap()
}

#[test]
fn a_new_rule_sees_later_events_and_no_event_is_lost() {
    let site = site();
    let mut daemon = site.start().ready();
    let path = site.path("app.log");
    let added = AtomicBool::new(false);
    // Events keep coming before, while and after the rule is added.
    let (first_after, count) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut number, mut first_after) = (0, None);
            while first_after.is_none_or(|first| number < first + 500) {
                let done = added.load(Ordering::SeqCst);
                if done && first_after.is_none() {
                    first_after = Some(number);
                }
                let mut file = fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
                let lines = event(number, "blocked") + &event(number, "held");
                std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
                number += 1;
                thread::yield_now();
            }
            (first_after.unwrap(), number)
        });
        // Some are judged already.
        wait_for_alerts(&site, &mut daemon, 1);
        site.write("rules/b.xml", rule(100_301, "held", "Held."));
        wait_for(&mut daemon, "applied", 1);
        added.store(true, Ordering::SeqCst);
        writer.join().unwrap()
    });
    // The last event of all has both rules behind it.
    daemon.until("the last alert", || {
        let last = format!("\"number\":\"{}\"", count - 1);
        let lines = complete_lines(&site.path("alerts.jsonl"));
        lines.iter().any(|line| line.contains(&last) && line.contains("100301")).then_some(())
    });
    daemon.stop();
    let alerts = site.alerts();
    assert_eq!(ids(&alerts).len(), alerts.len());
    let (held, others): (Vec<_>, Vec<_>) =
        alerts.into_iter().partition(|alert| alert["rule"]["id"] == "100301");
    assert_eq!(numbers(&others), (0..count).collect::<Vec<_>>());
    let held = numbers(&held);
    // From some event on every single one.
    assert_eq!(held, (held[0]..count).collect::<Vec<_>>());
    assert!((1..=first_after).contains(&held[0]), "{} {first_after}", held[0]);
    let log = stderr(&site);
    let line = log.lines().find(|line| line.contains("rules loaded")).unwrap();
    assert!(line.contains("added=1 changed=0 removed=0"), "{line}");
}

#[test]
fn a_broken_file_changes_nothing_and_mending_it_is_enough() {
    let site = site();
    let mut daemon = site.start().ready();
    assert_eq!(detail(&daemon), None);
    let loaded = |daemon: &Daemon| daemon.client.metric("threatlockdown_rules_loaded");
    let before = loaded(&daemon);
    assert!(before >= 2.0);
    let broken = rule(100_301, "held", "Held.").replace("</rule>", "");
    site.write("rules/b.xml", format!("\n\n{broken}"));
    wait_for(&mut daemon, "refused", 1);
    assert_eq!(daemon.client.metric("threatlockdown_rules_reload_failed"), 1.0);
    assert_eq!(loaded(&daemon), before);
    let why = detail(&daemon).unwrap();
    assert!(why.contains("not in force") && why.contains("rules/b.xml:3:"), "{why}");
    let log = stderr(&site);
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("rules/b.xml:3:")), "{log}");
    site.append("app.log", event(0, "held") + &event(1, "blocked"));
    wait_for_alerts(&site, &mut daemon, 1);

    site.write("rules/b.xml", rule(100_301, "held", "Held."));
    wait_for(&mut daemon, "applied", 1);
    assert_eq!((detail(&daemon), loaded(&daemon)), (None, before + 1.0));
    assert_eq!(daemon.client.metric("threatlockdown_rules_reload_failed"), 0.0);
    site.append("app.log", event(2, "held"));
    wait_for_alerts(&site, &mut daemon, 2);
    // Taking a fault back is mending, too.
    site.write("rules/c.xml", "<group");
    wait_for(&mut daemon, "refused", 2);
    fs::remove_file(site.path("rules/c.xml")).unwrap();
    wait_for(&mut daemon, "unchanged", 1);
    assert_eq!(detail(&daemon), None);
    // And so is taking a rule away.
    fs::remove_file(site.path("rules/b.xml")).unwrap();
    wait_for(&mut daemon, "applied", 2);
    site.append("app.log", event(3, "held") + &event(4, "blocked"));
    wait_for_alerts(&site, &mut daemon, 3);
    daemon.stop();
    assert_eq!(rule_ids(&site.alerts()), ["100300", "100301", "100300"]);
}

#[test]
fn a_rule_that_fails_its_own_test_is_refused() {
    let site = site();
    // A test that fails already and is not touched holds nothing back.
    site.write("rules/a.tests.yaml", "- rule: 100310\n  fires: [{source: syslog, event: nothing}]\n");
    let mut daemon = site.start().ready();
    let tests = |verdict: &str| {
        let event = event(0, verdict);
        format!("- rule: 100301\n  fires:\n    - source: json\n      event: '{}'\n", event.trim_end())
    };
    site.write("rules/b.tests.yaml", tests("other"));
    site.write("rules/b.xml", rule(100_301, "held", "Held."));
    wait_for(&mut daemon, "refused", 1);
    let why = detail(&daemon).unwrap();
    assert!(why.contains("test failed") && why.contains("b.tests.yaml:3") && why.contains("100301"), "{why}");
    site.append("app.log", event(0, "held") + &blocked(9));
    wait_for_alerts(&site, &mut daemon, 1);
    // Mended is the test, not the rule.
    site.write("rules/b.tests.yaml", tests("held"));
    wait_for(&mut daemon, "applied", 1);
    assert_eq!(detail(&daemon), None);
    site.append("app.log", event(1, "held"));
    wait_for_alerts(&site, &mut daemon, 2);
    // The rule changes and its test does not.
    site.write("rules/b.xml", rule(100_301, "gone", "Gone."));
    wait_for(&mut daemon, "refused", 2);
    // Tests that cannot be read are no tests that pass.
    site.write("rules/b.xml", rule(100_301, "held", "Held."));
    site.write("rules/b.tests.yaml", "- rule: [");
    wait_for(&mut daemon, "refused", 3);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [1, 9]);
}

#[test]
fn what_was_counted_is_kept_for_rules_that_stay() {
    let counting = |timeframe: u32| {
        format!(
            "<group name=\"own,\"><rule id=\"100320\" level=\"10\" frequency=\"5\" timeframe=\"{timeframe}\">\
             <if_matched_sid>100300</if_matched_sid><description>Again and again.</description></rule></group>\n"
        )
    };
    let site = configured_with(
        "composites: replace\nstate: {idle: 200ms}\n",
        "paths: [DIR/rules], reload_interval: 100ms",
    );
    site.write("rules/b.xml", counting(600));
    let mut daemon = site.start().ready();
    site.append("app.log", (0..3).map(blocked).collect::<String>());
    wait_for_alerts(&site, &mut daemon, 3);
    site.write("rules/c.xml", rule(100_301, "held", "Held."));
    wait_for(&mut daemon, "applied", 1);
    site.append("app.log", (3..5).map(blocked).collect::<String>());
    wait_for_alerts(&site, &mut daemon, 5);
    // Three more, and then the rule is another one.
    site.append("app.log", (5..8).map(blocked).collect::<String>());
    wait_for_alerts(&site, &mut daemon, 8);
    site.write("rules/b.xml", counting(601));
    wait_for(&mut daemon, "applied", 2);
    site.append("app.log", (8..13).map(blocked).collect::<String>());
    wait_for_alerts(&site, &mut daemon, 13);
    daemon.stop();
    let alerts = site.alerts();
    let fired = |id: &str| {
        let of = alerts.iter().filter(|alert| alert["rule"]["id"] == id).cloned();
        numbers(&of.collect::<Vec<_>>())
    };
    assert_eq!(fired("100320"), [4, 12]);
    assert_eq!(fired("100300").len(), 11);
    // Alerts go on counting, too.
    let last = alerts.iter().rfind(|alert| alert["rule"]["id"] == "100300").unwrap();
    assert_eq!(last["rule"]["firedtimes"], 11);
}

#[test]
fn a_signal_loads_rules_where_nobody_looks() {
    let site = configured("paths: [DIR/rules], reload_interval: off");
    let mut daemon = site.start().ready();
    // Once at the start is all: a signal that finds nothing new says so.
    daemon.signal("HUP");
    wait_for(&mut daemon, "unchanged", 1);
    site.write("rules/a.xml", rule(100_301, "held", "Held."));
    daemon.signal("HUP");
    wait_for(&mut daemon, "applied", 1);
    site.append("app.log", event(0, "blocked") + &event(1, "held"));
    wait_for_alerts(&site, &mut daemon, 1);
    let log = stderr(&site);
    let line = log.lines().find(|line| line.contains("rules loaded")).unwrap();
    assert!(line.contains("added=1 changed=0 removed=2"), "{line}");
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [1]);
}

#[test]
fn a_file_may_be_replaced_by_renaming() {
    let site = site();
    let mut daemon = site.start().ready();
    for round in 0..4_u32 {
        let text = rule(100_301, &format!("held{round}"), "Held.");
        // As editors do it: a passing name, then the right one.
        let arriving = site.write("rules/.a.xml.swp", text);
        fs::rename(arriving, site.path("rules/a.xml")).unwrap();
        wait_for(&mut daemon, "applied", round + 1);
        let round = round as usize;
        site.append("app.log", event(round, &format!("held{round}")));
        wait_for_alerts(&site, &mut daemon, round + 1);
    }
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [0, 1, 2, 3]);
}

#[test]
fn many_changes_end_with_the_last() {
    let site = site();
    let mut daemon = site.start().ready();
    for round in 0..50 {
        site.write("rules/a.xml", rule(100_301, "held", &format!("Round {round}.")));
        if round % 7 == 0 {
            daemon.signal("HUP");
        }
        thread::sleep(crate::harness::LOOK);
    }
    let mut number = 0;
    daemon.until("the last rule", || {
        site.append("app.log", event(number, "held"));
        number += 1;
        complete_lines(&site.path("alerts.jsonl")).iter().any(|line| line.contains("Round 49.")).then_some(())
    });
    site.append("app.log", event(number, "held"));
    daemon.until("the last alert", || {
        let last = format!("\"number\":\"{number}\"");
        complete_lines(&site.path("alerts.jsonl")).iter().any(|line| line.contains(&last)).then_some(())
    });
    daemon.stop();
    let alerts = site.alerts();
    assert_eq!(ids(&alerts).len(), alerts.len());
    let round = |alert: &serde_json::Value| alert["rule"]["description"] == "Round 49.";
    let first = alerts.iter().position(round).unwrap();
    assert!(alerts[first..].iter().all(round), "an earlier rule came back");
}

#[test]
fn a_kill_while_rules_change_loses_nothing() {
    let site = site();
    let mut written = 0;
    for round in 0..8_u64 {
        let mut daemon = site.start().ready();
        site.write("rules/b.xml", rule(100_301, "held", &format!("Round {round}.")));
        if round % 3 == 1 {
            site.write("rules/c.xml", "<group");
        } else {
            fs::remove_file(site.path("rules/c.xml")).ok();
        }
        for _ in 0..20 {
            site.append("app.log", (written..written + 50).map(blocked).collect::<String>());
            written += 50;
        }
        daemon.signal("HUP");
        // Some rounds are killed before, some while and some after the change is taken.
        if round % 2 == 0 {
            wait_for(&mut daemon, if round % 3 == 1 { "refused" } else { "applied" }, 1);
        }
        daemon.kill();
        // A start with faulty rules is refused: what is wrong has to be seen.
        fs::remove_file(site.path("rules/c.xml")).ok();
    }
    let mut daemon = site.start().ready();
    wait_for_alerts(&site, &mut daemon, written);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), (0..written).collect::<Vec<_>>());
}

#[test]
fn everything_in_the_folder_of_an_installation_counts() {
    let site = configured("home: DIR/home, builtin: true, reload_interval: 100ms");
    let configuration = |more: &str| {
        format!(
            "<ossec_config><ruleset><rule_dir>etc/rules</rule_dir><list>etc/lists/users</list>{more}\
             </ruleset></ossec_config>"
        )
    };
    let listed = "<group name=\"own,\"><rule id=\"100302\" level=\"8\"><decoded_as>json</decoded_as>\
                  <list field=\"verdict\" lookup=\"match_key\">etc/lists/users</list>\
                  <description>Listed.</description></rule></group>";
    site.write("home/etc/ossec.conf", configuration(""));
    site.write("home/etc/lists/users", "alice:\n");
    site.write("home/etc/rules/own.xml", listed);
    let mut daemon = site.start().ready();
    let verdicts = |first: usize| event(first, "alice") + &event(first + 1, "carol");
    site.append("app.log", verdicts(0));
    wait_for_alerts(&site, &mut daemon, 1);
    site.write("home/etc/lists/users", "carol:\n");
    wait_for(&mut daemon, "applied", 1);
    site.append("app.log", verdicts(2));
    wait_for_alerts(&site, &mut daemon, 2);
    site.write("home/etc/rules/more.xml", rule(100_303, "alice", "Alice."));
    wait_for(&mut daemon, "applied", 2);
    site.append("app.log", event(4, "alice"));
    wait_for_alerts(&site, &mut daemon, 3);
    site.write("home/etc/ossec.conf", configuration("<rule_exclude>own.xml</rule_exclude>"));
    wait_for(&mut daemon, "applied", 3);
    site.append("app.log", verdicts(5));
    wait_for_alerts(&site, &mut daemon, 4);
    daemon.stop();
    assert_eq!(rule_ids(&site.alerts()), ["100302", "100302", "100303", "100303"]);
    assert_eq!(numbers(&site.alerts()), [0, 3, 4, 5]);
}

#[test]
fn a_compiled_set_is_loaded_again_when_its_file_changes() {
    let site = site();
    let set = site.path("rules.tld");
    let compile = || {
        Task::new(["rules", "compile", "--rules"])
            .arg(site.path("rules"))
            .arg("-o")
            .arg(&set)
            .run()
            .with_code(0);
    };
    compile();
    let (config, compiled) = (site.text("config.yaml"), site.text("rules.tld"));
    let mut daemon = site.start_with(&["-c", &config, "--compiled", &compiled]).ready();
    // The texts are not what counts.
    site.write("rules/a.xml", rule(100_301, "held", "Held."));
    daemon.signal("HUP");
    wait_for(&mut daemon, "unchanged", 1);
    site.append("app.log", event(0, "held") + &event(1, "blocked"));
    wait_for_alerts(&site, &mut daemon, 1);
    compile();
    wait_for(&mut daemon, "applied", 1);
    site.append("app.log", event(2, "held") + &event(3, "blocked"));
    wait_for_alerts(&site, &mut daemon, 2);
    let whole = fs::read(&set).unwrap();
    fs::write(&set, &whole[..whole.len() / 2]).unwrap();
    wait_for(&mut daemon, "refused", 1);
    let why = detail(&daemon).unwrap();
    assert!(why.contains("rules.tld") && why.contains("cut off"), "{why}");
    fs::write(&set, &whole).unwrap();
    wait_for(&mut daemon, "unchanged", 2);
    assert_eq!(detail(&daemon), None);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [1, 2]);
}

#[test]
fn values_for_placeholders_come_into_force_with_their_file_and_are_in_a_compiled_set() {
    let site = Site::new();
    let rule = "title: Call\nid: 5d0c3a50-0000-4000-8000-000000000001\nstatus: test\nlogsource: {product: aws, service: cloudtrail}\n\
                detection:\n  s: {eventName|expand: '%calls%'}\n  condition: s\nlevel: high\n";
    let call = |number: u32, name: &str| {
        format!(
            "{{\"eventVersion\":\"1.08\",\"eventID\":\"e{number}\",\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"{name}\"}}\n"
        )
    };
    let both = |number: u32| call(number, "DeleteTrail") + &call(number + 1, "StopLogging");
    site.write("rules/call.yml", rule);
    site.write("rules/own.placeholders.yaml", "vars: {calls: [DeleteTrail]}\n");
    site.configure(
        "workers: 1\nrules: {builtin: false, paths: [DIR/rules], reload_interval: 100ms}\n\
         sinks: [{name: alerts, type: file, path: DIR/alerts.jsonl}]\n\
         sources: [{name: app, type: file, source: aws.cloudtrail, paths: [DIR/app.log]}]\n",
    );
    let mut daemon = site.start().ready();
    site.append("app.log", both(0));
    wait_for_alerts(&site, &mut daemon, 1);
    site.write("rules/own.placeholders.yaml", "vars: {calls: 'stop*'}\n");
    wait_for(&mut daemon, "applied", 1);
    site.append("app.log", both(2));
    wait_for_alerts(&site, &mut daemon, 2);
    let set = site.path("rules.tld");
    Task::new(["rules", "compile", "--rules"]).arg(site.path("rules")).arg("-o").arg(&set).run().with_code(0);
    // A name without its values leaves its rules without sense: what is in force stays.
    site.write("rules/own.placeholders.yaml", "vars: {calls: {name: x}}\n");
    wait_for(&mut daemon, "refused", 1);
    let why = detail(&daemon).unwrap();
    assert!(why.contains("own.placeholders.yaml:1:15"), "{why}");
    daemon.stop();
    let names = |alerts: &[serde_json::Value]| -> Vec<String> {
        let name = |alert: &serde_json::Value| {
            let log: serde_json::Value = serde_json::from_str(alert["full_log"].as_str().unwrap()).unwrap();
            log["eventName"].as_str().unwrap().to_owned()
        };
        alerts.iter().map(name).collect()
    };
    assert_eq!(names(&site.alerts()), ["DeleteTrail", "StopLogging"]);
    let scanned = Task::new(["scan", "--source", "aws.cloudtrail", "--compiled"])
        .arg(&set)
        .arg(site.path("app.log"))
        .run()
        .with_code(1);
    let of_rule: Vec<_> = scanned
        .json()
        .into_iter()
        .filter(|alert| alert["rule"]["id"] == "5d0c3a50-0000-4000-8000-000000000001")
        .collect();
    assert_eq!(names(&of_rule), ["StopLogging", "StopLogging"]);
}
