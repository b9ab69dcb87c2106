//! Commands whose answer cannot be written say so, and do not end as if they had given it.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use crate::harness::{Site, binary};

const RULE: &str = "title: t\nid: 11111111-1111-4111-8111-111111111111\nlogsource: {product: aws, service: cloudtrail}\n\
                    detection:\n  s: {eventName: X}\n  condition: s\n";

#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    let site = Site::new();
    let rule = site.path("r.yml");
    std::fs::write(&rule, RULE).unwrap();
    let rule = rule.to_str().unwrap();
    let config = site.path("c.yaml");
    std::fs::write(&config, "workers: 1\n").unwrap();
    let commands: [&[&str]; 6] = [
        &["rules", "list", "--rules", rule],
        &["rules", "check", rule],
        &["rules", "check", "--json", rule],
        &["rules", "test"],
        &["rules", "convert", "--to", "wazuh", rule],
        &["config", "check", "-c", config.to_str().unwrap()],
    ];
    for arguments in commands {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run =
            Command::new(binary()).args(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("cannot write to stdout"), "{arguments:?}: {said}");
    }
}
