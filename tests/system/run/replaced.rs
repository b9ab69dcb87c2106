//! Where a rule file was stands something that cannot be read: the rules in force stay, and nothing waits for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::reload::{configured, detail, event, rule, wait_for};
use super::{blocked, numbers, wait_for_alerts};
use crate::harness::{Daemon, Site, Task};

/// A link to itself, a folder, and a pipe: to open it would be to wait for ever.
const ODD: [fn(&Path); 3] = [
    |path| symlink(path, path).unwrap(),
    |path| fs::create_dir(path).unwrap(),
    |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
];

/// Each odd thing in the place of `name` is refused, and the file put back is enough.
#[track_caller]
fn is_refused(site: &Site, mut daemon: Daemon, name: &str) {
    let path = site.path(name);
    let whole = fs::read(&path).unwrap();
    let rules = daemon.client.metric("threatlockdown_rules_loaded");
    for (round, put) in (1..).zip(ODD) {
        fs::remove_file(&path).unwrap();
        put(&path);
        wait_for(&mut daemon, "refused", round);
        assert_eq!(daemon.client.metric("threatlockdown_rules_reload_failed"), 1.0);
        assert_eq!(daemon.client.metric("threatlockdown_rules_loaded"), rules);
        let why = detail(&daemon).unwrap();
        assert!(why.contains(name) && why.contains("cannot read"), "{why}");
        let told = format!("{name}:1:1: cannot read");
        assert!(daemon.log().lines().any(|line| line.contains("ERROR") && line.contains(&told)), "{told}");
        let seen = round as usize;
        site.append("app.log", blocked(seen));
        wait_for_alerts(site, &mut daemon, seen);

        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
        fs::write(&path, &whole).unwrap();
        wait_for(&mut daemon, "unchanged", round);
        assert_eq!(detail(&daemon), None);
    }
    // It looks on.
    daemon.signal("HUP");
    wait_for(&mut daemon, "unchanged", ODD.len() as u32 + 1);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [1, 2, 3]);
}

#[test]
fn in_a_folder() {
    let site = configured("paths: [DIR/rules], reload_interval: 100ms");
    is_refused(&site, site.start().ready(), "rules/a.xml");
}

#[test]
fn under_its_own_name() {
    let site = configured("paths: [DIR/rules/a.xml], reload_interval: 100ms");
    is_refused(&site, site.start().ready(), "rules/a.xml");
}

#[test]
fn in_an_installation() {
    let site = configured("home: DIR/home, builtin: true, reload_interval: 100ms");
    site.write("home/etc/rules/own.xml", rule(100_300, "blocked", "Blocked."));
    is_refused(&site, site.start().ready(), "home/etc/rules/own.xml");
}

#[test]
fn as_a_compiled_set() {
    let site = configured("reload_interval: 100ms");
    let (config, compiled) = (site.text("config.yaml"), site.text("rules.tld"));
    let task = Task::new(["rules", "compile", "--rules"]).arg(site.path("rules"));
    task.arg("-o").arg(&compiled).run().with_code(0);
    is_refused(&site, site.start_with(&["-c", &config, "--compiled", &compiled]).ready(), "rules.tld");
}

#[test]
fn as_the_tests_of_rules() {
    let site = configured("paths: [DIR/rules], reload_interval: 100ms");
    let event = event(0, "blocked");
    let tests = format!("- {{rule: 100300, fires: [{{source: json, event: '{}'}}]}}\n", event.trim_end());
    site.write("rules/a.tests.yaml", tests);
    is_refused(&site, site.start().ready(), "rules/a.tests.yaml");
}

#[test]
fn a_folder_that_becomes_a_file_is_refused() {
    let site = configured("paths: [DIR/rules], reload_interval: 100ms");
    let mut daemon = site.start().ready();
    fs::rename(site.path("rules"), site.path("away")).unwrap();
    fs::copy(site.path("away/a.xml"), site.path("rules")).unwrap();
    wait_for(&mut daemon, "refused", 1);
    assert!(detail(&daemon).unwrap().contains("was a folder"));
    daemon.stop();
}
