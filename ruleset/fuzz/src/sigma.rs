//! Sigma files: any text gives rules and faults, each fault has a place within the text, and the set survives being
//! written and read. A byte 0xff cuts the input into files.

use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::sigma::{Placeholders, SigmaText, load};
use threatlockdown_ruleset::{Origin, artefact};

pub fn run(bytes: &[u8]) {
    let files: Vec<SigmaText> = bytes
        .split(|byte| *byte == 0xff)
        .take(4)
        .enumerate()
        .map(|(number, text)| SigmaText {
            path: format!("{number}.yml").into(),
            text: text.to_vec(),
            origin: Origin::User,
        })
        .collect();
    let mut placeholders = Placeholders::default();
    placeholders.set("x", vec!["y".to_owned(), "10.0.0.0/8".to_owned(), "z*".to_owned()]);
    let loaded = load(&files, &placeholders);
    for fault in &loaded.diagnostics {
        let text = files.iter().find(|file| file.path == fault.place.file).expect("the file is one of those");
        let lines = text.text.split(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
        assert!((1..=lines).contains(&(fault.place.line as usize)) && fault.place.column > 0, "{fault}");
        assert!(!fault.message.is_empty() && !fault.to_string().is_empty());
    }
    let set = RuleSet { sigma: loaded.set, ..RuleSet::default() };
    let written = artefact::write(&set, "v").expect("what was loaded can be written");
    let (again, _) = artefact::read(&written).expect("what was written is read");
    assert_eq!(again.sigma, set.sigma);
}
