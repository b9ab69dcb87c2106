use proptest::prelude::*;

use super::*;
use crate::load;

const SIGMA: &[u8] =
    b"title: t\nlogsource: {product: aws}\ndetection:\n  s: {eventName|expand: '%calls%'}\n  condition: s\n";
const SUPPRESSION: &[u8] =
    b"suppressions:\n  - {id: quiet, rules: [80254], reason: known, permanent: true}\n";

fn all_kinds() -> Texts {
    let mut texts = Texts::builtin();
    let rule = b"<group name=\"own,\"><rule id=\"100001\" level=\"3\"><decoded_as>json</decoded_as><list field=\"a\">etc/lists/own</list>\
        <description>d</description></rule></group>";
    let file =
        |path: &str, text: &[u8]| RuleText { path: path.into(), text: text.to_vec(), origin: Origin::User };
    texts.add(file("a.xml", rule));
    texts.add(file("b.xml", b"<decoder name=\"shop\"><prematch>^shop: </prematch></decoder>"));
    texts.add(file("c.yml", SIGMA));
    texts.add(file("own.placeholders.yaml", b"vars:\n  calls: [DeleteTrail]\n"));
    texts.add(file("own.suppressions.yaml", SUPPRESSION));
    texts.lists.push(ListText {
        name: "etc/lists/own".into(),
        path: "own".into(),
        text: b"x:\xff\n".to_vec(),
    });
    texts.placeholders.set("more", vec!["1".to_owned(), "2".to_owned()]);
    if let Some(rule) = texts.rules.last_mut() {
        rule.origin = Origin::Home;
    }
    texts
}

#[test]
fn texts_are_the_same_again_and_go_under_their_version() {
    let texts = all_kinds();
    let bytes = write(&texts, "v1").unwrap();
    let again = read(&bytes).unwrap();
    assert_eq!(again.version.as_deref(), Some("v1"));
    let bare = |texts: &Texts| format!("{:?}", Texts { version: None, ..texts.clone() });
    assert_eq!(bare(&again), bare(&texts));
    let (first, second) = (load(texts), load(again));
    assert_eq!(first.diagnostics, second.diagnostics);
    let (first, second) = (first.program.unwrap(), second.program.unwrap());
    assert_eq!((first.rules().len(), second.version()), (second.rules().len(), "v1"));
    assert_ne!(first.version(), "v1");
}

#[test]
fn what_is_wrong_is_told() {
    let bytes = write(&all_kinds(), "v1").unwrap();
    let error = |bytes: &[u8]| read(bytes).unwrap_err();
    assert_eq!(error(b""), BundleError::Foreign);
    assert_eq!(error(b"<group name=\"x\">"), BundleError::Foreign);
    assert_eq!(error(&bytes[..20]), BundleError::Damaged("it is cut off"));
    for at in [12, HEADER, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert_eq!(error(&damaged), BundleError::Damaged("its checksum does not fit its content"), "{at}");
    }
    let mut later = bytes;
    later[8] = 2;
    assert_eq!(error(&later), BundleError::Format { found: 2 });
    assert!(error(&later).to_string().contains("use the release that published it"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Bytes of somebody who can make checksums: texts, or a word.
    #[test]
    fn no_bytes_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), end in any::<prop::sample::Index>()) {
        let mut bytes = write(&Texts { rules: Vec::new(), ..all_kinds() }, "v1").unwrap();
        bytes.truncate(HEADER + 1 + end.index(bytes.len() - HEADER - 1));
        for (at, byte) in changes {
            let at = HEADER + at.index(bytes.len() - HEADER);
            bytes[at] = byte;
        }
        let sum = blake3::hash(&bytes[HEADER..]);
        bytes[12..HEADER].copy_from_slice(sum.as_bytes());
        read(&bytes).ok();
    }
}
