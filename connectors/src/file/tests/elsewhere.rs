//! Sources that travel: what was read on one machine goes on on another, where no inode is as it was.

use super::*;

impl Rig {
    fn travelling(source_name: &'static str) -> Self {
        let mut rig = Self::new(source_name);
        rig.travels = true;
        rig
    }

    /// A new process on another machine: the same files, with the same times, under other inodes.
    pub(super) fn travel(&mut self) {
        for entry in fs::read_dir(self.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::metadata(&path).unwrap();
            let copy = self.dir.path().join("copy");
            fs::copy(&path, &copy).unwrap();
            let file = OpenOptions::new().write(true).open(&copy).unwrap();
            file.set_modified(metadata.modified().unwrap()).unwrap();
            fs::rename(&copy, &path).unwrap();
            assert_ne!(file_id(&metadata), file_id(&fs::metadata(&path).unwrap()));
        }
        self.restart();
    }
}

#[test]
fn files_go_on_where_they_were_left_on_another_machine() {
    let mut rig = Rig::travelling("syslog");
    rig.append("app.log", lines(0..20));
    rig.append("app.other", "few\n");
    rig.append("app.gz", gzip(&lines(100..120)));
    rig.pass(10);
    assert_eq!(rig.texts().len(), 41);
    let before = rig.committed.len();
    rig.append("app.log", lines(20..25));
    rig.append("app.other", "more\n");
    rig.travel();
    rig.pass(2);
    let mut texts = rig.texts();
    texts.sort();
    assert_eq!(texts, [expected(20..25), vec!["more".to_owned()]].concat());
    assert_eq!(rig.committed.len(), before, "the streams are the same");
    // Where a source stays, inodes say that the files are others.
    rig.travels = false;
    rig.travel();
    rig.pass(10);
    assert!(!rig.texts().is_empty());
}

#[test]
fn what_was_renamed_or_compressed_on_the_way_goes_on() {
    let mut rig = Rig::travelling("syslog");
    rig.append("app.log", lines(0..20));
    rig.append("app.b", lines(50..60));
    rig.pass(2);
    assert_eq!(rig.texts().len(), 30);
    rig.append("app.log", lines(20..22));
    rig.rename("app.log", "app.log.1");
    rig.append("app.log", lines(30..32));
    rig.append("app.b.1.gz", gzip(&lines(50..61)));
    fs::remove_file(rig.path("app.b")).unwrap();
    rig.travel();
    rig.pass(10);
    let mut texts = rig.texts();
    texts.sort();
    assert_eq!(texts, [expected(20..22), expected(30..32), expected(60..61)].concat());
}

#[test]
fn of_files_that_are_alike_so_far_each_goes_on_as_itself() {
    let mut rig = Rig::travelling("syslog");
    for name in ["app.a", "app.b", "app.c"] {
        rig.append(name, "the header\n");
    }
    rig.pass(2);
    assert_eq!(rig.texts().len(), 3);
    rig.append("app.c", "c\n");
    rig.append("app.a", "a\n");
    // A new one that begins like them is none of them.
    rig.append("app.0", "the header\n0\n");
    rig.travel();
    rig.pass(2);
    let mut texts = rig.texts();
    texts.sort();
    assert_eq!(texts, ["0", "a", "c", "the header"]);
    let origins: std::collections::BTreeSet<_> = rig.committed.values().collect();
    assert_eq!(origins.len(), 4);
}

#[test]
fn a_file_that_was_cut_on_the_way_is_new() {
    let mut rig = Rig::travelling("syslog");
    rig.append("app.log", lines(0..10));
    rig.pass(2);
    rig.texts();
    fs::write(rig.path("app.log"), lines(70..90)).unwrap();
    rig.travel();
    rig.pass(2);
    assert_eq!(rig.texts(), expected(70..90));
}

#[test]
fn a_length_of_before_is_no_cut() {
    let mut rig = Rig::travelling("syslog");
    rig.append("app.log", lines(0..10));
    rig.pass(2);
    assert_eq!(rig.texts().len(), 10);
    // What a network file system may show at first.
    let all = fs::read(rig.path("app.log")).unwrap();
    fs::write(rig.path("app.log"), &all[..20]).unwrap();
    rig.travel();
    rig.now = Instant::now();
    rig.pass(1);
    assert!(rig.texts().is_empty(), "waits for the rest");
    fs::write(rig.path("app.log"), &all).unwrap();
    rig.append("app.log", lines(10..11));
    rig.pass(2);
    assert_eq!(rig.texts(), expected(10..11));
    // If it stays so short it was cut.
    fs::write(rig.path("app.log"), "cut\n").unwrap();
    rig.travel();
    rig.now = Instant::now();
    rig.pass(1);
    assert!(rig.texts().is_empty());
    rig.pass(10);
    assert_eq!(rig.texts(), ["cut"]);
}

#[test]
fn a_folder_that_is_not_mounted_is_not_forgotten() {
    let mut rig = Rig::travelling("syslog");
    rig.append("app.log", lines(0..10));
    rig.append("app.gone", lines(20..21));
    rig.pass(2);
    rig.texts();
    rig.rename("app.log", "hidden.log");
    fs::remove_file(rig.path("app.gone")).unwrap();
    rig.travel();
    for _ in 0..4 {
        rig.pass(4_000);
    }
    assert_eq!(rig.committed.len(), 2);
    rig.rename("hidden.log", "app.log");
    rig.append("app.log", lines(10..12));
    rig.pass(2);
    assert_eq!(rig.texts(), expected(10..12));
    // Where there is something, what is not there is gone.
    rig.pass(4_000);
    assert_eq!(rig.committed.len(), 1);
}
