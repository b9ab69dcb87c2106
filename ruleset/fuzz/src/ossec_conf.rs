//! An installation's configuration: any text gives folders and faults, and each fault has a place within the text.

use threatlockdown_ruleset::wazuh::home::Ruleset;

pub fn run(bytes: &[u8]) {
    let (set, faults) = Ruleset::read(&"ossec.conf".into(), bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for fault in &faults {
        let line = fault.place.line as usize;
        assert!((1..=lines).contains(&line) && fault.place.column > 0, "{fault}");
        assert!(!fault.message.is_empty() && !fault.to_string().is_empty());
    }
    for path in ["etc/rules/own.xml", "", "ruleset/decoders/0005.xml"] {
        let _ = set.leaves_out_rules(path);
        let _ = set.leaves_out_decoders(path);
        for folder in set.rule_folders.iter().chain(&set.decoder_folders) {
            let _ = folder.takes(path);
        }
    }
}
