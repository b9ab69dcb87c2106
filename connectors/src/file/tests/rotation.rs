//! Files that are renamed, cut, replaced and alike.

use super::*;

#[test]
fn rotation_by_renaming_finishes_the_old_file_first() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", lines(0..5));
    rig.pass(2);
    rig.append("app.log", lines(5..30));
    rig.append("app.log", "last of the old");
    rig.rename("app.log", "app.log.1");
    rig.append("app.log", lines(30..40));
    rig.pass(2);
    assert_eq!(rig.texts(), expected(0..40), "nothing twice, in order; the rest is held");
    rig.pass(10);
    assert_eq!(rig.texts(), ["last of the old"]);
    rig.restart();
    rig.pass(10);
    assert!(rig.texts().is_empty());
}

#[test]
fn rotation_out_of_sight_and_deletion_lose_nothing_that_is_open() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", lines(0..5));
    rig.pass(2);
    rig.append("app.log", lines(5..8));
    rig.rename("app.log", "hidden.log");
    rig.append("app.log", lines(9..10));
    rig.pass(2);
    rig.append("hidden.log", lines(8..9));
    rig.pass(2);
    assert_eq!(rig.texts(), [expected(0..8), expected(9..10), expected(8..9)].concat());
    rig.append("app.log", "end");
    fs::remove_file(rig.path("app.log")).unwrap();
    rig.pass(2);
    rig.pass(10);
    assert_eq!(rig.texts(), ["end"]);
    assert_eq!(rig.committed.len(), 2);
    rig.pass(4000);
    rig.pass(4000);
    assert!(rig.committed.is_empty(), "what is gone for long is retired");
}

#[test]
fn a_cut_file_is_a_new_origin() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", lines(0..10));
    rig.pass(2);
    let old = rig.events[0].0;
    fs::write(rig.path("app.log"), lines(0..3)).unwrap();
    rig.pass(2);
    assert_eq!(rig.events.len(), 13);
    assert_ne!(rig.events[10].0, old, "the same line at the same place, but another event");
    rig.texts();
    // Cut and grown beyond the old length between two looks.
    fs::write(rig.path("app.log"), lines(500..600)).unwrap();
    rig.pass(2);
    assert_eq!(rig.texts(), expected(500..600));
    // The same while nobody looked.
    fs::write(rig.path("app.log"), lines(700..900)).unwrap();
    rig.restart();
    rig.pass(2);
    assert_eq!(rig.texts(), expected(700..900));
    assert_eq!(
        rig.stats.truncations.load(std::sync::atomic::Ordering::Relaxed),
        2,
        "the last is another file"
    );
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", lines(0..10));
    rig.pass(2);
    rig.texts();
    // As if the inode had been given to another file: same device and inode, other content, while we were away.
    rig.source = None;
    fs::write(rig.path("app.log"), "something else\n".repeat(20)).unwrap();
    rig.restart();
    rig.pass(2);
    assert_eq!(rig.texts().len(), 20);
    assert_eq!(rig.committed.len(), 2, "the old file is still known: it may come back compressed");
    fs::write(rig.path("app.log.1.gz"), gzip(&lines(0..11))).unwrap();
    rig.pass(2);
    rig.pass(10);
    assert_eq!(rig.texts(), expected(10..11));
    rig.restart();
    rig.pass(2);
    rig.append("app.log", "more\n");
    rig.pass(2);
    assert_eq!(rig.texts(), ["more"]);
}

#[test]
fn files_that_begin_alike_are_two_origins() {
    let mut rig = Rig::new("syslog");
    rig.append("app.1", "header\na\n");
    rig.append("app.2", "header\nb\n");
    rig.pass(2);
    assert_ne!(rig.events[0].0, rig.events[2].0);
    let before: Vec<_> = rig.events.clone();
    // Nothing was committed, the process died: the same again.
    rig.committed.clear();
    rig.events.clear();
    rig.restart();
    rig.pass(2);
    assert_eq!(rig.events, before);
}
