//! Folders made for a test, read as an installation.

use super::*;

/// A folder with files in it.
fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn bare(files: &[RuleText]) -> Vec<&str> {
    files.iter().map(|file| file.path.rsplit('/').next().unwrap()).collect()
}

fn lists(home: &Home) -> Vec<&str> {
    home.texts.lists.iter().map(|list| &*list.name).collect()
}

/// Severity and message of the faults, with the last two parts of their path.
fn shown(home: &Home) -> Vec<String> {
    let short = |fault: &Diagnostic| {
        let line = fault.to_string().lines().next().unwrap().to_owned();
        let parts: Vec<&str> = line.splitn(2, ":1:1: ").collect();
        format!("{}: {}", parts[0].rsplit('/').next().unwrap(), parts[1])
    };
    home.diagnostics.iter().map(short).collect()
}

const RULES: &str = "<group></group>";

#[test]
fn without_a_configuration_the_usual_folders_are_read() {
    let folder = home(&[
        ("ruleset/rules/0020-b.xml", RULES),
        ("ruleset/rules/0215-policy_rules.xml", RULES),
        ("ruleset/rules/readme.txt", RULES),
        ("ruleset/decoders/0005-d.xml", ""),
        ("etc/rules/local.xml", RULES),
        ("etc/rules/deeper/x.xml", RULES),
        ("etc/decoders/local_d.xml", ""),
        ("etc/lists/audit-keys", "a:1"),
        ("etc/lists/audit-keys.cdb", "\0"),
        ("etc/lists/amazon/aws-eventnames", "b:"),
    ]);
    let home = read(folder.path(), &Texts::default());
    assert_eq!(shown(&home), Vec::<String>::new());
    assert!(home.is_complete);
    assert_eq!(bare(&home.texts.rules), ["0020-b.xml", "local.xml"]);
    assert_eq!(bare(&home.texts.decoders), ["0005-d.xml", "local_d.xml"]);
    assert_eq!(lists(&home), ["etc/lists/amazon/aws-eventnames", "etc/lists/audit-keys"]);
    assert!(home.texts.rules.iter().all(|file| file.origin == Origin::Home));
}

#[test]
fn the_configuration_says_what_is_read() {
    let configuration = r#"<ossec_config><ruleset><rule_dir>/var/ossec/ruleset/rules</rule_dir>
        <rule_dir pattern="own_\w+.xml$">etc/rules/</rule_dir><rule_exclude>0020-b.xml</rule_exclude>
        <rule_include>extra/more.xml</rule_include><rule_include>extra/none.xml</rule_include>
        <rule_include>./etc/rules/own_a.xml</rule_include><decoder_dir>etc/decoders</decoder_dir>
        <decoder_dir>etc/no</decoder_dir><decoder_exclude>etc/decoders/old.xml</decoder_exclude>
        <list>etc/lists/a</list><list>etc/lists/none</list></ruleset></ossec_config>"#;
    let folder = home(&[
        ("etc/ossec.conf", configuration),
        ("ruleset/rules/0010-a.xml", RULES),
        ("ruleset/rules/0020-b.xml", RULES),
        ("etc/rules/own_a.xml", RULES),
        ("etc/rules/other.xml", RULES),
        ("extra/more.xml", RULES),
        ("etc/decoders/old.xml", ""),
        ("etc/decoders/new.xml", ""),
        ("etc/lists/a", "k:"),
        ("etc/lists/not-named", "k:"),
    ]);
    let home = read(folder.path(), &Texts::default());
    assert_eq!(bare(&home.texts.rules), ["0010-a.xml", "own_a.xml", "more.xml"]);
    assert_eq!(bare(&home.texts.decoders), ["new.xml"]);
    assert_eq!(lists(&home), ["etc/lists/a"]);
    let warnings = [
        "no: warning: the folder is not there, its files are left out",
        "none: warning: the list is not there: rules that look into it are left out",
        "none.xml: warning: the file is not there, it is left out",
    ];
    assert_eq!(shown(&home), warnings);
}

#[test]
fn a_home_of_own_files_alone_is_not_complete() {
    let configuration = "<ossec_config><ruleset><rule_dir>ruleset/rules</rule_dir><rule_dir>etc/rules</rule_dir>\
        <list>etc/lists/amazon/aws-eventnames</list></ruleset></ossec_config>";
    let folder = home(&[("etc/ossec.conf", configuration), ("etc/rules/local.xml", RULES)]);
    let home = read(folder.path(), &Texts::builtin());
    assert_eq!((home.is_complete, bare(&home.texts.rules)), (false, vec!["local.xml"]));
    assert_eq!(shown(&home), Vec::<String>::new());
    // Without the built-in list nothing stands in for it.
    assert_eq!(read(folder.path(), &Texts::default()).diagnostics.len(), 1);
}

#[test]
fn what_is_no_installation_is_an_error() {
    let folder = home(&[("rules/a.xml", RULES)]);
    let error = |path: &Path| shown(&read(path, &Texts::default())).join("; ");
    assert!(error(folder.path()).contains("error: there is neither etc/ nor ruleset/"));
    assert!(error(&folder.path().join("none")).starts_with("none: error: cannot read"));
    assert!(error(&folder.path().join("rules/a.xml")).starts_with("a.xml: error: cannot read"));
}

#[cfg(unix)]
#[test]
fn nothing_on_disk_hangs_the_reader() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    let folder = home(&[("etc/rules/a.xml", RULES), ("etc/lists/l", "a:"), ("etc/lists/in/m", "b:")]);
    let etc = folder.path().join("etc");
    symlink("../..", etc.join("lists/in/up")).unwrap();
    symlink(".", etc.join("lists/self")).unwrap();
    symlink("b.xml", etc.join("rules/b.xml")).unwrap();
    symlink("/dev/zero", etc.join("rules/c.xml")).unwrap();
    let _socket = UnixListener::bind(etc.join("rules/d.xml")).unwrap();
    let home = read(folder.path(), &Texts::default());
    assert_eq!(bare(&home.texts.rules), ["a.xml"]);
    let said = shown(&home);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("b.xml: error: cannot read"), "{said:?}");
    assert_eq!(
        said[1..],
        [
            "c.xml: error: cannot read: it is not a regular file",
            "d.xml: error: cannot read: it is not a regular file"
        ]
    );
    let names = lists(&home);
    assert!(names.contains(&"etc/lists/l") && names.contains(&"etc/lists/in/m"), "{names:?}");
    assert!(names.len() < 100, "{names:?}");
}

#[test]
fn a_file_beyond_the_limit_is_refused() {
    let folder = home(&[("x", "12345")]);
    let path = folder.path().join("x");
    assert_eq!(read_bounded(&path, 5, Pipes::Refused).unwrap(), b"12345");
    assert!(read_bounded(&path, 4, Pipes::Refused).unwrap_err().to_string().contains("larger than"));
}

/// The reference's own folders, where a copy of them is at hand.
#[test]
fn the_references_homes_are_read() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/compat");
    let compat = std::env::var_os("THREATLOCKDOWN_COMPAT").map_or(default, PathBuf::from);
    if !compat.is_dir() {
        println!("skipped: there is no folder {}", compat.display());
        return;
    }
    // The stock files, the local files that every installation has, and the tests' own.
    for (name, rules, decoders) in [("stock", 167 + 1, 120 + 1), ("test", 167 + 1 + 10, 120 + 1 + 7)] {
        let home = read(&compat.join("homes").join(name), &Texts::default());
        assert_eq!(shown(&home), Vec::<String>::new());
        assert!(home.is_complete);
        assert_eq!((home.texts.rules.len(), home.texts.decoders.len()), (rules, decoders), "{name}");
        assert_eq!(home.texts.lists.len(), 6);
    }
}
