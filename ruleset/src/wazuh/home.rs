//! Which files an installation's rule set is made of: the `<ruleset>` blocks of its `ossec.conf`.
//!
//! Enters: the text of the file. Leaves: folders, files and lists as it names them, in its order, and faults. Reading
//! them is for whoever has a file system. A home without the file has the usual folders: [`Ruleset::conventional`].

use std::sync::Arc;

use super::source::{Faults, Source};
use super::vocabulary::suggest;
use super::xml::{self, Element};
use crate::diagnostic::Diagnostic;
use crate::expr::OsRegex;

/// Where the conventional folders lie.
pub const RULE_FOLDERS: [&str; 2] = ["ruleset/rules", "etc/rules"];
/// As above, for decoders.
pub const DECODER_FOLDERS: [&str; 2] = ["ruleset/decoders", "etc/decoders"];
/// A stock file that is left out unless a configuration says otherwise.
const EXCLUDED: &str = "0215-policy_rules.xml";

const ELEMENTS: [&str; 7] =
    ["decoder_dir", "rule_dir", "decoder_include", "rule_include", "decoder_exclude", "rule_exclude", "list"];

/// What an installation's rule set is made of; all paths as they are written.
#[derive(Debug, Default)]
pub struct Ruleset {
    /// Folders of decoder files.
    pub decoder_folders: Vec<Folder>,
    /// Folders of rule files.
    pub rule_folders: Vec<Folder>,
    /// Decoder files named one by one.
    pub decoder_files: Vec<String>,
    /// Rule files named one by one.
    pub rule_files: Vec<String>,
    /// Decoder files that are left out, as bare names or paths.
    pub decoder_excludes: Vec<String>,
    /// Rule files that are left out.
    pub rule_excludes: Vec<String>,
    /// Lists; `None`: all that lie in the conventional folder.
    pub lists: Option<Vec<String>>,
}

/// A folder whose files are taken where the pattern matches their path.
#[derive(Debug)]
pub struct Folder {
    /// The folder as it is written.
    pub path: String,
    pattern: OsRegex,
}

impl Folder {
    fn new(path: &str) -> Option<Self> {
        Some(Self { path: path.to_owned(), pattern: OsRegex::new(".xml$").ok()? })
    }

    /// Whether the file at that path, the folder's own before it, belongs to the set.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        self.pattern.is_match(path.as_bytes())
    }
}

impl Ruleset {
    /// What a home without a configuration is made of.
    #[must_use]
    pub fn conventional() -> Self {
        Self {
            decoder_folders: DECODER_FOLDERS.into_iter().filter_map(Folder::new).collect(),
            rule_folders: RULE_FOLDERS.into_iter().filter_map(Folder::new).collect(),
            rule_excludes: vec![EXCLUDED.to_owned()],
            ..Self::default()
        }
    }

    /// Reads the `<ruleset>` blocks of a configuration; a file without any gives the conventional set.
    #[must_use]
    pub fn read(path: &Arc<str>, text: &[u8]) -> (Self, Vec<Diagnostic>) {
        let source = match Source::new(path, text) {
            Ok(source) => source,
            Err(fault) => return (Self::conventional(), vec![fault]),
        };
        let mut faults = Faults::new(&source, super::Origin::Home);
        let roots = xml::parse(&source, &mut faults);
        let blocks = roots
            .iter()
            .filter(|root| root.name.eq_ignore_ascii_case("ossec_config"))
            .flat_map(|root| &root.children)
            .filter(|block| block.name.eq_ignore_ascii_case("ruleset"));
        let mut set = Self { lists: Some(Vec::new()), ..Self::default() };
        let mut found = false;
        for block in blocks {
            found = true;
            for element in &block.children {
                set.element(element, &mut faults);
            }
        }
        if !found {
            set = Self::conventional();
            if faults.errors() == 0 {
                let message = "no <ruleset> in an <ossec_config>: the usual folders are read";
                faults.warning(0, "", message, "write <ossec_config><ruleset> … </ruleset></ossec_config>");
            }
        }
        (set, faults.into_diagnostics())
    }

    fn element(&mut self, element: &Element<'_>, faults: &mut Faults<'_>) {
        let value = element.content.value.trim();
        let name = element.name.to_ascii_lowercase();
        if ELEMENTS.contains(&name.as_str()) && value.is_empty() && !element.broken {
            faults.error(
                element.at,
                &tag(element),
                format!("<{name}> is empty"),
                "write a path, or remove it",
            );
            return;
        }
        let value = value.to_owned();
        match name.as_str() {
            "decoder_dir" => self.decoder_folders.extend(folder(element, value, faults)),
            "rule_dir" => self.rule_folders.extend(folder(element, value, faults)),
            "decoder_include" => self.decoder_files.push(value),
            "rule_include" => self.rule_files.push(value),
            "decoder_exclude" => self.decoder_excludes.push(value),
            "rule_exclude" => self.rule_excludes.push(value),
            "list" => self.lists.get_or_insert_default().push(value),
            _ => {
                let message = format!("<ruleset> has no element <{}>", element.name);
                faults.error(element.at, &tag(element), message, suggest(&name, &ELEMENTS));
            }
        }
    }

    /// Whether a rule file is left out; `path` begins with its folder as it is written.
    #[must_use]
    pub fn leaves_out_rules(&self, path: &str) -> bool {
        is_excluded(&self.rule_excludes, path)
    }

    /// Whether a decoder file is left out.
    #[must_use]
    pub fn leaves_out_decoders(&self, path: &str) -> bool {
        is_excluded(&self.decoder_excludes, path)
    }
}

/// An entry means a bare file name, or the path made of folder and name.
fn is_excluded(excludes: &[String], path: &str) -> bool {
    let bare = path.rsplit('/').next().unwrap_or(path);
    excludes.iter().any(|exclude| exclude == bare || exclude == path)
}

fn folder(element: &Element<'_>, path: String, faults: &mut Faults<'_>) -> Option<Folder> {
    let attribute =
        element.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case("pattern"));
    for other in element.attributes.iter().filter(|other| !other.name.eq_ignore_ascii_case("pattern")) {
        let message = format!("<{}> has no attribute {}, it is ignored", element.name, other.name);
        faults.warning(other.at, other.name, message, suggest(other.name, &["pattern"]));
    }
    let Some(attribute) = attribute else { return Folder::new(&path) };
    let pattern = attribute.value.value.as_str();
    match OsRegex::new(pattern) {
        Ok(pattern) => Some(Folder { path, pattern }),
        Err(error) => {
            faults.error(attribute.value.origin(error.offset), pattern, error.message, error.help);
            None
        }
    }
}

fn tag(element: &Element<'_>) -> String {
    format!("<{}>", element.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Ruleset, Vec<String>) {
        let (set, faults) = Ruleset::read(&"ossec.conf".into(), text.as_bytes());
        (set, faults.iter().map(|fault| fault.to_string().lines().next().unwrap().to_owned()).collect())
    }

    fn paths(folders: &[Folder]) -> Vec<&str> {
        folders.iter().map(|folder| folder.path.as_str()).collect()
    }

    #[test]
    fn all_blocks_of_all_roots_are_read() {
        let (set, faults) = read(
            r#"<!-- a comment --><ossec_config><global><jsonout_output>yes</jsonout_output></global>
            <ruleset><decoder_dir>ruleset/decoders</decoder_dir><rule_dir>ruleset/rules</rule_dir>
            <rule_exclude>0215-policy_rules.xml</rule_exclude><list>etc/lists/a</list></ruleset></ossec_config>
            <ossec_config><ruleset><rule_dir pattern="^etc/rules/own_\S+.xml$">etc/rules</rule_dir>
            <decoder_dir>etc/decoders</decoder_dir><rule_include>extra/r.xml</rule_include>
            <decoder_include>extra/d.xml</decoder_include><decoder_exclude>etc/decoders/old.xml</decoder_exclude>
            <list> etc/lists/b </list></ruleset></ossec_config>"#,
        );
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(paths(&set.rule_folders), ["ruleset/rules", "etc/rules"]);
        assert_eq!(paths(&set.decoder_folders), ["ruleset/decoders", "etc/decoders"]);
        assert_eq!(
            (set.rule_files.as_slice(), set.decoder_files.as_slice()),
            (&["extra/r.xml".to_owned()][..], &["extra/d.xml".to_owned()][..])
        );
        assert_eq!(set.lists.as_deref(), Some(&["etc/lists/a".to_owned(), "etc/lists/b".to_owned()][..]));
        let takes = |name: &str| set.rule_folders[1].takes(name);
        assert_eq!([takes("etc/rules/own_x.xml"), takes("etc/rules/x.xml")], [true, false]);
        let takes = |name: &str| set.rule_folders[0].takes(name);
        assert_eq!(
            [takes("ruleset/rules/a.xml"), takes("ruleset/rules/a.xml.save"), takes("a.XML")],
            [true, false, true]
        );
        assert!(set.leaves_out_rules("ruleset/rules/0215-policy_rules.xml"));
        assert!(set.leaves_out_decoders("etc/decoders/old.xml") && !set.leaves_out_decoders("x/old.xml"));
    }

    #[test]
    fn without_a_block_the_usual_folders_are_meant() {
        let (set, faults) = read("<ossec_config><remote></remote></ossec_config>");
        assert_eq!(paths(&set.rule_folders), RULE_FOLDERS);
        assert_eq!(paths(&set.decoder_folders), DECODER_FOLDERS);
        assert!(set.leaves_out_rules("ruleset/rules/0215-policy_rules.xml"));
        assert_eq!(set.lists, None);
        assert!(faults[0].starts_with("ossec.conf:1:1: warning: no <ruleset>"), "{faults:?}");
    }

    #[test]
    fn faults_have_their_place() {
        for (body, said) in [
            ("<rule_dirs>x</rule_dirs>", "ossec.conf:2:1: error: <ruleset> has no element <rule_dirs>"),
            ("<rule_dir></rule_dir>", "ossec.conf:2:1: error: <rule_dir> is empty"),
            (r#"<rule_dir pattern="a\[">x</rule_dir>"#, "ossec.conf:2:21: error: "),
            (
                r#"<rule_dir patern="a">x</rule_dir>"#,
                "ossec.conf:2:11: warning: <rule_dir> has no attribute patern",
            ),
            ("<list>x</lists>", "ossec.conf:2:"),
        ] {
            let (_, faults) = read(&format!("<ossec_config><ruleset>\n{body}\n</ruleset></ossec_config>"));
            assert!(faults.iter().any(|fault| fault.starts_with(said)), "{body}: {faults:?}");
        }
    }
}
