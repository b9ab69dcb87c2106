//! Rules, decoders and lists from any text: whatever is wrong is a fault with its place, and what loads compiles.

use threatlockdown_ruleset::diagnostic::Severity;
use threatlockdown_ruleset::wazuh::load_set;
use threatlockdown_ruleset::{ListText, Origin, RuleText, Texts, build};

use crate::harness::Engine;

/// What compiling may refuse though the text is right: sizes that only the whole set shows.
const TOO_MUCH: [&str; 3] = ["parts", "parents", "places"];

/// Rules, decoders, entries of a list and lines of text, each up to a byte that no text of theirs has.
pub fn run(bytes: &[u8]) {
    let (rules, rest) = super::cut(bytes, 0xff);
    let (decoders, rest) = super::cut(rest, 0xff);
    let (list, lines) = super::cut(rest, 0xff);
    let file =
        |path: &str, text: &[u8]| RuleText { path: path.into(), text: text.into(), origin: Origin::User };
    // The built-in list is so long that loading it would take most of the time.
    let mut texts = Texts { lists: Vec::new(), ..Texts::builtin_decoders() };
    texts.rules.push(file("fuzz.xml", rules));
    texts.decoders.push(file("fuzz-decoders.xml", decoders));
    texts.lists.push(ListText { name: "etc/lists/l".into(), path: "etc/lists/l".into(), text: list.into() });
    let loaded = load_set(&texts);
    let mut failed = false;
    for fault in &loaded.diagnostics {
        failed |= fault.severity == Severity::Error;
        assert!(fault.place.line > 0 && fault.place.column > 0, "{fault}");
        assert!(!fault.to_string().is_empty());
    }
    // Rules with faults are left out, so the others compile whether there were any or not.
    match build(&loaded.set, String::new()) {
        Ok(program) if !failed => {
            let mut engine = Engine::of(program);
            for line in lines.split(|byte| *byte == b'\n').take(16) {
                engine.say("syslog", line, &[]).expect("a line of text is always read");
            }
        }
        Ok(_) => {}
        Err(faults) => faults.iter().for_each(|fault| {
            assert!(
                TOO_MUCH.iter().any(|word| fault.message.contains(word)),
                "loads, does not compile: {fault}"
            );
        }),
    }
}
