//! What stands around detections: heads, several documents, collections, ids.

use super::*;
use crate::ir::sigma::{Logsource, SigmaLevel};

const DETECTION: &str = "logsource: {product: p}\ndetection: {s: {a: 1}, condition: s}\n";

#[test]
fn the_head_is_read_whole() {
    let text = format!(
        "title: ' A title '
id: 5F1ABF38-3C8B-4B5E-9F3C-7B0B2E0C2B11
name: a_name
related: [{{id: 929a690e-bef0-4204-a928-ef5e620d6fcc, type: derived}}]
taxonomy: sigma
status: test
description: |
  Two
  lines
license: MIT
references: [https://example.org/a]
author: [Ann, Bob]
date: 2026-01-02
modified: 2026/03/04
fields: [a, b]
falsepositives: Unknown
level: High
tags: [attack.T1098.003, attack.t1078, attack.t1078, attack.persistence, cve.2021-44228, attack.t12]
scope: [server]
custom: {{anything: [1]}}
{DETECTION}"
    );
    let rules = rules(&text);
    let head = &rules[0].head;
    assert_eq!((head.title.as_str(), head.id.as_str()), ("A title", "5F1ABF38-3C8B-4B5E-9F3C-7B0B2E0C2B11"));
    assert_eq!((head.name.as_deref(), head.status.as_deref()), (Some("a_name"), Some("test")));
    assert_eq!(head.description.as_deref(), Some("Two\nlines\n"));
    assert_eq!(head.author.as_deref(), Some("Ann, Bob"));
    assert_eq!(head.references, ["https://example.org/a"]);
    assert_eq!(
        (head.fields.as_slice(), head.false_positives.as_slice()),
        (&["a".into(), "b".into()][..], &["Unknown".into()][..])
    );
    assert_eq!((head.level, head.level.number()), (SigmaLevel::High, 12));
    assert_eq!(head.mitre, ["T1098.003", "T1078"]);
    assert_eq!(head.tags[0], "attack.t1098.003");
    assert!(head.alerts && !head.builtin);
    assert_eq!((head.place.line, head.place.column), (1, 1));
}

#[test]
fn what_is_absent_has_its_default() {
    let head = rules(&format!("title: t\n{DETECTION}")).remove(0).head;
    assert_eq!(head.level, SigmaLevel::Medium);
    assert_eq!((head.name, head.author, head.tags.len()), (None, None, 0));
    // Of the title and the file's bare name, so that it stays when folders are moved.
    assert_eq!(head.id.len(), 36);
    assert_eq!(&head.id[14..15], "8");
    let id = |path: &str, text: &str| {
        let loaded = load(&[file(path, text)], &Placeholders::default());
        loaded.set.rules.into_iter().map(|rule| rule.head.id).collect::<Vec<_>>()
    };
    let text = format!("title: t\n{DETECTION}");
    assert_eq!(id("a/b/r.yml", &text), std::slice::from_ref(&head.id));
    assert_ne!(id("a/b/other.yml", &text), std::slice::from_ref(&head.id));
    let twice = id("r.yml", &format!("{text}---\n{text}"));
    assert_eq!(twice[0], head.id);
    assert_ne!(twice[1], head.id);
}

#[test]
fn log_sources_are_in_lower_case() {
    let text = "title: t\nlogsource: {category: Process_Creation, service: 5, definition: [x], other: y}\n\
                detection: {s: {a: 1}, condition: s}";
    let expected =
        Logsource { category: Some("process_creation".into()), product: None, service: Some("5".into()) };
    assert_eq!(rules(text)[0].logsource, expected);
}

#[test]
fn faults_of_heads_have_their_place() {
    for (text, expected) in [
        ("", "1:1: warning: there is no rule in this file"),
        ("- a", "1:1: error: this is no Sigma rule but a list"),
        ("x", "1:1: error: this is no Sigma rule but a single value"),
        ("title: t", "1:1: error: the document has nothing to detect"),
        ("title: t\ndetecton: {}", "1:1: error: the document has nothing to detect"),
        ("logsource: {product: p}\ndetection: {s: {a: 1}, condition: s}", "1:1: error: `title` is missing"),
        ("title: [x]\nD", "1:8: error: `title` must be a text, this is a list"),
        ("title: t\ntitle: u\nD", "2:1: error: `title` stands here twice"),
        ("title: t\nid: {}\nD", "2:5: error: `id` must be a text"),
        ("title: t\nname: []\nD", "2:7: error: `name` must be a text"),
        ("title: t\nlevel: hihg\nD", "2:8: error: there is no level hihg"),
        ("title: t\nlevel: [high]\nD", "2:8: error: `level` must be a text"),
        ("title: t\nstatus: deprecated\nD", "2:9: warning: the rule is deprecated"),
        ("title: t\nstatus: unsupported\nD", "2:9: warning: the rule's own author says"),
        ("title: t\nstatus: tset\nD", "2:9: warning: there is no status tset"),
        ("title: t\ndescription: [x]\nD", "2:14: warning: `description` must be a text"),
        ("title: t\ntags: [a.b, x]\nD", "2:13: warning: x is not a tag"),
        ("title: t\ntags: {a: b}\nD", "2:7: warning: `tags` must be a list of texts"),
        ("title: t\ndate: yesterday\nD", "2:7: warning: `date` is no date"),
        ("title: t\ndate: 2026-13-01\nD", "2:7: warning: `date` is no date"),
        ("title: t\nrelated: x\nD", "2:10: warning: `related` must be a list"),
        ("title: t\nrelated: [{id: x, type: near}]\nD", "2:11: warning: there is no relation near"),
        ("title: t\nrelated: [{id: x}]\nD", "2:11: warning: a related rule needs"),
        ("title: t\ndetection: {s: {a: 1}, condition: s}", "1:1: error: `logsource` is missing"),
        ("title: t\nlogsource: p\ndetection: {s: {a: 1}, condition: s}", "2:12: error: `logsource` must be"),
        (
            "title: t\nlogsource: {x: y}\ndetection: {s: {a: 1}, condition: s}",
            "2:12: error: `logsource` says",
        ),
        (
            "title: t\nlogsource: {product: [a]}\ndetection: {s: {a: 1}, condition: s}",
            "2:22: error: `product`",
        ),
        ("title: t\ncorrelation: {}\nD", "1:1: error: a document has both `detection` and `correlation`"),
        ("title: t\n[x]: y\nD", "2:1: error: a key must be a text"),
        ("title: 'x\nD", "1:8: error: this is not YAML"),
    ] {
        let found = faults(&load_text(&text.replace("\nD", &format!("\n{DETECTION}"))));
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{text}: {found:#?}");
    }
    let near = load_text("title: t\ndetecton: {}");
    assert_eq!(near.diagnostics[0].help, "detecton should probably be detection");
}

#[test]
fn bytes_that_are_no_text_are_told() {
    let broken =
        SigmaText { path: "r.yml".into(), text: b"title: t\nx: \xff".to_vec(), origin: Origin::User };
    let found = faults(&load(&[broken], &Placeholders::default()));
    assert_eq!(found, ["2:4: error: the file is not UTF-8 text"]);
    let long = SigmaText { path: "r.yml".into(), text: vec![b' '; (16 << 20) + 1], origin: Origin::User };
    assert!(faults(&load(&[long], &Placeholders::default()))[0].contains("the limit is"));
    let marked = format!("\u{feff}title: t\n{DETECTION}");
    assert_eq!(rules(&marked).len(), 1);
}

#[test]
fn a_file_may_have_several_documents() {
    let text = format!("---\ntitle: a\n{DETECTION}---\n---\ntitle: b\n{DETECTION}...\n");
    let titles: Vec<String> = rules(&text).into_iter().map(|rule| rule.head.title).collect();
    assert_eq!(titles, ["a", "b"]);
    // What stands before a fault is kept, and the other documents are told about, too.
    let loaded = load_text(&format!("title: a\n{DETECTION}---\ntitle: b\n---\ntitle: c\n{DETECTION}---\n'x"));
    assert_eq!(loaded.set.rules.len(), 2);
    assert_eq!(faults(&loaded).len(), 2);
}

#[test]
fn collections_of_older_rules_are_put_together() {
    let text = "action: global
title: both
logsource: {product: p}
detection: {condition: s, s: {a: 1}}
level: low
---
id: one
detection: {s: {b: 2}}
---
id: two
level: high
---
action: repeat
id: three
---
action: reset
---
title: alone
id: four
logsource: {product: q}
detection: {condition: s, s: {c: 3}}
";
    let found: Vec<String> = rules(text)
        .iter()
        .map(|rule| {
            format!("{} {} {} {}", rule.head.id, rule.head.title, rule.head.level.name(), shown(&rule.expr))
        })
        .collect();
    assert_eq!(
        found,
        ["one both low (b=2 & a=1)", "two both high a=1", "three both high a=1", "four alone medium c=3"]
    );
    let loaded = load_text("action: repeat\ntitle: x\n---\naction: globl\n");
    assert_eq!(
        faults(&loaded),
        ["1:9: error: there is no document to repeat", "4:9: error: there is no action globl"]
    );
}

#[test]
fn ids_and_names_stand_once() {
    let rule = |head: &str| format!("title: t\n{head}\n{DETECTION}");
    let files = [
        file("a.yml", &rule("id: 5F1ABF38-3c8b\nname: n")),
        file("b.yml", &rule("id: 5f1abf38-3C8B")),
        file("c.yml", &rule("id: other\nname: n")),
    ];
    let loaded = load(&files, &Placeholders::default());
    assert_eq!(
        faults(&loaded),
        [
            "b.yml:1:1: error: the id 5f1abf38-3C8B is taken by a.yml:1",
            "c.yml:1:1: warning: another rule has the name n: no rule can be referred to by it",
        ]
    );
}

#[test]
fn more_faults_than_a_person_reads_are_cut() {
    let items: Vec<String> = (0..2000).map(|number| format!("a{number}|x: 1")).collect();
    let loaded = load_text(&around(&format!("  s: {{{}}}\n  condition: s", items.join(", "))));
    assert_eq!(loaded.diagnostics.len(), 501);
    assert!(loaded.diagnostics.iter().any(|fault| fault.message.contains("the others are not shown")));
}

#[test]
fn sigma_files_are_told_from_others() {
    assert!(is_sigma(b"title: x\ndetection:\n  a: b"));
    assert!(is_sigma(b"correlation: {}"));
    assert!(is_sigma(b"x: y\r\nfilter:\r\n"));
    for other in [&b"- rule: 5\n  fires: []"[..], b"", b"a:\n  detection: x", b"detections: 5"] {
        assert!(!is_sigma(other));
    }
}

/// Threads share the work; the order stays that of the files, and so does what is told first.
#[test]
fn ten_thousand_files_load_in_their_order() {
    let text = |number: usize| {
        let name = if number % 1000 == 7 { "same".to_owned() } else { format!("n{number}") };
        let lists = "a|contains: [x, 'y*', z], b|re: '^c+$', d|startswith: [e, f]";
        format!(
            "title: t{number}\nname: {name}\nlogsource: {{product: p}}\ndetection: {{s: {{{lists}}}, condition: s}}"
        )
    };
    let files: Vec<SigmaText> =
        (0..10_000).map(|number| file(&format!("{number}.yml"), &text(number))).collect();
    let loaded = load(&files, &Placeholders::default());
    assert_eq!(loaded.set.rules.len(), 10_000);
    assert!(
        (0..)
            .zip(&loaded.set.rules)
            .all(|(number, rule): (usize, _)| rule.head.title == format!("t{number}"))
    );
    let places: Vec<&str> = loaded.diagnostics.iter().map(|fault| &*fault.place.file).collect();
    assert_eq!(places.len(), 9);
    assert_eq!((places[0], places[8]), ("1007.yml", "9007.yml"));
}
