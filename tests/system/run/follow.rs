//! Files as they grow, rotate, are cut, deleted and replaced: every line is one event, once.

use std::fs;

use super::{blocked, numbers, site, wait_for_alerts};
use crate::harness::{Daemon, Site, gzip};

/// A site that follows `app*.log` below `in/`, running.
fn following() -> (Site, Daemon) {
    let site =
        site("- {name: app, type: file, source: json, paths: [\"DIR/in/**/app*.log\", DIR/in/only]}\n");
    fs::create_dir(site.path("in")).unwrap();
    let daemon = site.start().ready();
    (site, daemon)
}

/// Ends the process and expects each of `0..count` to have alerted once.
#[track_caller]
fn expect_all(site: &Site, mut daemon: Daemon, count: usize) {
    wait_for_alerts(site, &mut daemon, count);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), (0..count).collect::<Vec<_>>());
}

#[test]
fn a_half_written_line_waits_for_its_rest() {
    let (site, mut daemon) = following();
    let line = blocked(1);
    for cut in [1, 10, line.len() - 2, line.len() - 1] {
        let file = format!("in/app{cut}.log");
        let seen = site.alerts().len();
        let (head, rest) = line.split_at(cut);
        site.append(&file, blocked(0) + head);
        // The whole line and the half one were written at once, so the half one has been seen too.
        wait_for_alerts(&site, &mut daemon, seen + 1);
        site.append(&file, rest);
        wait_for_alerts(&site, &mut daemon, seen + 2);
    }
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [0, 0, 0, 0, 1, 1, 1, 1]);
    assert!(
        !site.path("data/deadletter.jsonl").exists()
            || fs::metadata(site.path("data/deadletter.jsonl")).unwrap().len() == 0
    );
}

#[test]
fn a_half_written_line_waits_through_a_restart() {
    let (site, mut daemon) = following();
    let line = blocked(1);
    let (head, rest) = line.split_at(12);
    site.append("in/app.log", blocked(0) + head);
    wait_for_alerts(&site, &mut daemon, 1);
    daemon.stop();
    let daemon = site.start().ready();
    site.append("in/app.log", rest);
    expect_all(&site, daemon, 2);
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    let (site, mut daemon) = following();
    site.append("in/only", blocked(0));
    wait_for_alerts(&site, &mut daemon, 1);
    // Its new name is not one that is watched, and whoever writes has it still open.
    fs::rename(site.path("in/only"), site.path("in/only.1")).unwrap();
    site.append("in/only.1", blocked(1));
    site.append("in/only", blocked(2));
    wait_for_alerts(&site, &mut daemon, 3);
    fs::rename(site.path("in/only"), site.path("in/only.2")).unwrap();
    site.append("in/only", blocked(3));
    expect_all(&site, daemon, 4);
}

#[test]
fn a_rotation_while_nobody_looks_is_no_new_file() {
    let (site, mut daemon) = following();
    site.append("in/app.log", blocked(0) + &blocked(1));
    wait_for_alerts(&site, &mut daemon, 2);
    daemon.stop();
    site.append("in/app.log", blocked(2));
    fs::rename(site.path("in/app.log"), site.path("in/app-1.log")).unwrap();
    site.append("in/app-1.log", blocked(3));
    site.append("in/app.log", blocked(4));
    expect_all(&site, site.start().ready(), 5);
}

#[test]
fn a_compressed_copy_is_no_new_file() {
    let site = site("- {name: app, type: file, source: json, paths: [\"DIR/in/app.log*\"]}\n");
    site.append("in/app.log", (0..50).map(blocked).collect::<String>());
    let mut daemon = site.start().ready();
    wait_for_alerts(&site, &mut daemon, 50);
    daemon.stop();
    // As a rotation with compression leaves it, with one line that was not read yet.
    let all: String = (0..51).map(blocked).collect();
    fs::remove_file(site.path("in/app.log")).unwrap();
    site.write("in/app.log.1.gz", gzip(all.as_bytes()));
    site.append("in/app.log", blocked(51));
    expect_all(&site, site.start().ready(), 52);
}

#[test]
fn a_file_that_was_cut_is_begun_anew() {
    let (site, mut daemon) = following();
    site.append("in/app.log", (0..20).map(blocked).collect::<String>());
    wait_for_alerts(&site, &mut daemon, 20);
    fs::OpenOptions::new().write(true).open(site.path("in/app.log")).unwrap().set_len(0).unwrap();
    site.append("in/app.log", blocked(20));
    wait_for_alerts(&site, &mut daemon, 21);
    assert!(daemon.client.metric("threatlockdown_source_truncations_total") >= 1.0);
    // Cut, and grown beyond its old size while nobody looks.
    daemon.stop();
    site.write("in/app.log", (21..200).map(blocked).collect::<String>());
    expect_all(&site, site.start().ready(), 200);
}

#[test]
fn a_deleted_and_replaced_file_is_a_new_one() {
    let (site, mut daemon) = following();
    for round in 0..4 {
        site.append("in/app.log", blocked(2 * round) + &blocked(2 * round + 1));
        wait_for_alerts(&site, &mut daemon, 2 * round + 2);
        // The next file most likely gets the inode of this one.
        fs::remove_file(site.path("in/app.log")).unwrap();
    }
    expect_all(&site, daemon, 8);
}

#[test]
fn files_and_folders_that_come_later_are_found() {
    let (site, mut daemon) = following();
    site.append("in/app.log", blocked(0));
    wait_for_alerts(&site, &mut daemon, 1);
    site.append("in/new/deep/app-b.log", blocked(1));
    site.append("in/new/app-c.log", blocked(2));
    site.append("in/new/other.log", blocked(99));
    expect_all(&site, daemon, 3);
}

#[test]
fn equal_lines_are_different_events() {
    let (site, daemon) = following();
    site.append("in/app1.log", blocked(0).repeat(3));
    site.append("in/app2.log", blocked(0).repeat(2));
    let mut daemon = daemon;
    wait_for_alerts(&site, &mut daemon, 5);
    daemon.stop();
    assert_eq!(crate::harness::ids(&site.alerts()).len(), 5);
}

#[test]
fn a_restart_reads_nothing_twice_and_all_that_was_added() {
    let (site, mut daemon) = following();
    for round in 0..3 {
        site.append("in/app.log", (round * 10..round * 10 + 10).map(blocked).collect::<String>());
        site.write(&format!("in/app{round}.log"), gzip(blocked(100 + round).as_bytes()));
        wait_for_alerts(&site, &mut daemon, (round + 1) * 11);
        if round % 2 == 0 {
            daemon.stop();
        } else {
            daemon.kill();
        }
        daemon = site.start().ready();
    }
    daemon.stop();
    let expected: Vec<usize> = (0..30).chain(100..103).collect();
    assert_eq!(numbers(&site.alerts()), expected);
}

#[test]
fn facts_of_the_configuration_are_shown_to_rules() {
    let site = site(
        "- {name: logs, type: file, source: azure.log_analytics, paths: [DIR/in/rows.jsonl], envelope: {tag: shop-logs}}\n",
    );
    let rule = r#"<group name="own,"><rule id="100500" level="9"><if_sid>87801</if_sid><field name="log_analytics_tag">^shop-logs$</field><description>Tagged.</description></rule></group>"#;
    site.write("rules.xml", rule);
    site.append(
        "in/rows.jsonl",
        "{\"TenantId\":\"t\",\"TimeGenerated\":\"2026-11-20T10:00:00Z\",\"Type\":\"Heartbeat\"}\n",
    );
    let mut daemon = site.start().ready();
    wait_for_alerts(&site, &mut daemon, 1);
    daemon.stop();
    assert_eq!(crate::harness::rule_ids(&site.alerts()), ["100500"]);
}
