//! `rules compile` and `--compiled`: the same rules without their texts; nothing else is taken for such a file.

use std::fs;

use super::OWN;
use crate::harness::{Site, Task};
use crate::scan::FAILED_LOGIN;

fn compiled(site: &Site) -> std::path::PathBuf {
    let rules = site.write("own.xml", OWN);
    let file = site.path("rules.tld");
    let finished =
        Task::new(["rules", "compile", "--rules"]).arg(&rules).arg("-o").arg(&file).run().with_code(0);
    assert!(finished.stdout.contains("rules.tld: ") && finished.stdout.contains(" rules, version "));
    // From here on nothing of the text is left.
    fs::remove_file(rules).unwrap();
    file
}

#[test]
fn a_compiled_set_gives_the_same_verdicts_without_any_text() {
    let site = Site::new();
    let file = compiled(&site);
    let task = Task::new(["logtest", "--format", "json", "--compiled"]).arg(&file).input(FAILED_LOGIN);
    assert_eq!(task.run().with_code(0).json()[0]["rule"]["id"], "100300");
    let input = site.write("events.json", FAILED_LOGIN);
    let task = Task::new(["scan", "--compiled"]).arg(&file).arg(&input);
    assert_eq!(task.run().with_code(1).json()[0]["rule"]["id"], "100300");
    let listed = Task::new(["rules", "list", "100301", "--compiled"]).arg(&file).run().with_code(0);
    assert!(listed.stdout.contains("own.xml:9"), "{}", listed.stdout);
    let run =
        Task::new(["run", "--once", "--listen", "off", "--stdout", "json", "--source", "aws.cloudtrail"]);
    let run = run.arg("--data-dir").arg(site.path("data")).arg("--compiled").arg(&file);
    let alerts = run.arg("--input").arg(&input).run().with_code(0);
    assert!(alerts.stdout.contains("100300"), "{}", alerts.stdout);
    Task::new(["rules", "test", "--compiled"]).arg(&file).run().with_code(0);
}

#[test]
fn what_is_no_such_file_is_refused_in_words() {
    let site = Site::new();
    let file = compiled(&site);
    let bytes = fs::read(&file).unwrap();
    let mut foreign = bytes.clone();
    foreign[20..26].copy_from_slice(b"99.0.0");
    let mut damaged = bytes.clone();
    let middle = bytes.len() / 2;
    damaged[middle] ^= 0x20;
    for (what, bytes, words) in [
        ("a text", b"<group name=\"x,\"></group>".to_vec(), "not a compiled rule set"),
        ("nothing", Vec::new(), "not a compiled rule set"),
        ("another version", foreign, "compiled by version 99.0.0, this is version"),
        ("half a file", bytes[..middle].to_vec(), "cut off"),
        ("a damaged file", damaged, "damaged"),
    ] {
        let path = site.write("wrong.tld", bytes);
        let finished = Task::new(["scan", "--compiled"]).arg(&path).arg(&path).run().with_code(2);
        let place = format!("{}:1:1: error: ", path.display());
        assert!(
            finished.stderr.contains(&place) && finished.stderr.contains(words),
            "{what}:\n{}",
            finished.stderr
        );
        assert!(finished.stderr.contains("rules compile"), "{what} has no remedy:\n{}", finished.stderr);
    }
    let finished = Task::new(["scan", "--compiled"]).arg(site.path("none")).arg("x").run().with_code(2);
    assert!(finished.stderr.contains("cannot read"), "{}", finished.stderr);
}

#[test]
fn faulty_rules_leave_the_file_as_it_was() {
    let site = Site::new();
    let file = compiled(&site);
    let before = fs::read(&file).unwrap();
    let faulty = site.write("faulty.xml", OWN.replace("^alice$", "("));
    Task::new(["rules", "compile", "-o"]).arg(&file).arg("--rules").arg(&faulty).run().with_code(2);
    assert_eq!(fs::read(&file).unwrap(), before);
    Task::new(["rules", "compile", "-o"]).arg(site.path("no/folder/x.tld")).run().with_code(2);
}
