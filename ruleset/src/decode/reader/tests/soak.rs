//! Many records: generated and damaged ones, and real ones where they are at hand.

use std::path::{Path, PathBuf};

use super::super::super::mapping::Normalise;
use super::super::Outcome;
use super::generate::{KEYS, REAL, Rng, damage, record};
use super::{Both, Derive, EnvelopeForm, PathTree, Reading, Way, Wrap};
use crate::program::{Program, View};
use crate::wazuh::tests::compat;
use crate::{Texts, load};

/// `THREATLOCKDOWN_SOAK=1` compares so many; the usual run a small part of them.
const SOAK: usize = 3_000_000;
const USUAL: usize = 20_000;

fn runs() -> usize {
    if std::env::var_os("THREATLOCKDOWN_SOAK").is_some_and(|value| value == "1") { SOAK } else { USUAL }
}

fn seed() -> u64 {
    std::env::var("THREATLOCKDOWN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// A tree over the names that generated records have, with every kind of slot.
pub(super) fn random_way(rng: &mut Rng) -> Way {
    let mut fields = Vec::new();
    let slots = 1 + rng.below(12);
    for slot in 0..slots {
        let mut name = rng.pick(KEYS).to_ascii_lowercase();
        for _ in 0..rng.below(3) {
            name = format!("{name}.{}", rng.pick(KEYS).to_ascii_lowercase());
        }
        fields.push((name, slot as u32, Derive::Plain));
        let slot = slot as u32;
        match rng.below(8) {
            0 => fields.push(("id".into(), slot, Derive::Static("id"))),
            1 => fields.push(("id".into(), slot, Derive::NotStatic("id"))),
            2 => fields.push(("user".into(), slot, Derive::User)),
            3 => fields.push(("user".into(), slot, Derive::UserAlias)),
            4 => fields.push(("sourceipaddress".into(), slot, Derive::Ipv4Prefix)),
            5 => {
                fields.push(("dstuser".into(), slot, Derive::Static("dstuser")));
                fields.push(("user".into(), slot, Derive::UserAlias));
            }
            _ => {}
        }
    }
    let member = |name: &str, below: &str, slot| (format!("{name}.{below}"), slot as u32, Derive::Plain);
    fields.push(member("requestparameters", "string", slots));
    fields.push(member("tags", "value", slots + 1));
    fields.push(member("requestparameters", "disableapitermination.value", slots + 2));
    let mut tree = PathTree::new(fields.iter().map(|(name, slot, derive)| (name.as_str(), *slot, *derive)));
    for member in ["requestparameters", "responseelements", "additionaleventdata", "a"] {
        if rng.one_in(2) {
            tree.set_wrap(&[member], Wrap::String);
        }
    }
    if rng.one_in(2) {
        tree.set_wrap(&["tags"], Wrap::Value);
        tree.set_wrap(&["requestparameters", "disableapitermination"], Wrap::BooleanValue);
        tree.set_wrap(&["status"], Wrap::LeftOut("status"));
        tree.set_wrap(&["initiatedby", "user"], Wrap::LeftOut("user"));
    }
    let reading = Reading {
        normalise: rng.one_in(2),
        discard_null: rng.one_in(4),
        graph: rng.one_in(4),
        ..Reading::AS_IS
    };
    let form = EnvelopeForm { member: "integration".into(), value: "aws".into(), below: "aws".into() };
    Way { tree, slots: slots + 3, reading, form: rng.one_in(3).then_some(form) }
}

/// The trees of the built-in rules, for every source.
fn builtin_ways(program: &Program) -> Vec<Way> {
    let slots = program.subjects.len() + program.outputs.len() + crate::program::EXTRAS;
    let mut ways = Vec::new();
    for binding in &program.bindings {
        let normalise = binding.mapping.normalise == Normalise::AwsBucket;
        let graph = binding.mapping.normalise == Normalise::AzureGraph;
        let raw = Reading { normalise, graph, discard_null: false, ..Reading::AS_IS };
        let enveloped = Reading { normalise: false, graph, discard_null: true, ..Reading::AS_IS };
        let mut add = |view: &View, reading, form: Option<&EnvelopeForm>| {
            for tree in [&view.tests, &view.outputs] {
                ways.push(Way { tree: tree.clone(), slots, reading, form: form.cloned() });
            }
        };
        add(&binding.raw, raw, binding.mapping.envelope_form.as_ref());
        if let Some(view) = &binding.enveloped {
            add(view, enveloped, None);
        }
    }
    ways
}

#[test]
fn generated_and_damaged_records_are_read_as_the_parser_reads_them() {
    let program = load(Texts::builtin()).program.unwrap();
    let builtin = builtin_ways(&program);
    let mut rng = Rng::new(seed());
    let mut both = Both::new();
    let (mut read, mut enveloped, mut left, mut malformed) = (0, 0, 0, 0);
    let mut random = random_way(&mut rng);
    for run in 0..runs() {
        if run % 16 == 0 {
            random = random_way(&mut rng);
        }
        let mut bytes = record(&mut rng).into_bytes();
        if rng.one_in(2) {
            let other = record(&mut rng).into_bytes();
            damage(&mut bytes, &other, &mut rng);
        }
        let way = if rng.one_in(2) { &random } else { &builtin[rng.below(builtin.len())] };
        match both.compare(&bytes, way) {
            (Outcome::Read, _) => read += 1,
            (Outcome::Enveloped, _) => enveloped += 1,
            (Outcome::Fallback, true) => left += 1,
            (Outcome::Fallback, false) => malformed += 1,
        }
    }
    println!("read {read}, in envelopes {enveloped}, left to the parser {left}, malformed {malformed}");
    assert!(read > runs() / 4 && enveloped > runs() / 1000 && malformed > runs() / 8);
}

#[test]
fn every_cut_and_every_flipped_bit_of_a_real_record_is_noticed() {
    let program = load(Texts::builtin()).program.unwrap();
    let binding = &program.bindings[program.binding("aws.cloudtrail").0];
    let reading = Reading { normalise: true, ..Reading::AS_IS };
    let way = Way { tree: binding.raw.tests.clone(), slots: program.subjects.len(), reading, form: None };
    let mut both = Both::new();
    for real in REAL {
        assert_eq!(both.compare(real.as_bytes(), &way), (Outcome::Read, true));
        for at in 0..real.trim_end().len() {
            assert_eq!(both.compare(&real.as_bytes()[..at], &way), (Outcome::Fallback, false));
            for bit in 0..8 {
                let mut bytes = real.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                both.compare(&bytes, &way);
            }
        }
    }
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files_below(&path, files),
            false => files.push(path),
        }
    }
}

#[test]
fn recorded_cases_are_read_as_the_parser_reads_them() {
    let Some(folder) = compat() else { return };
    let program = load(Texts::builtin()).program.unwrap();
    let ways = builtin_ways(&program);
    let mut files = Vec::new();
    files_below(&folder.join("cloud"), &mut files);
    if let Some(samples) = std::env::var_os("THREATLOCKDOWN_SAMPLES") {
        files_below(Path::new(&samples), &mut files);
    }
    let mut both = Both::new();
    let (mut read, mut left) = (0, 0);
    let mut check = |bytes: &[u8]| {
        for way in &ways {
            match both.compare(bytes, way) {
                (Outcome::Read | Outcome::Enveloped, _) => read += 1,
                (Outcome::Fallback, true) => left += 1,
                (Outcome::Fallback, false) => {}
            }
        }
    };
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{")) {
            check(line);
            let Ok(case) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
            let raw = case.get("raw").map(ToString::to_string);
            let events = case.get("events").and_then(|events| events.as_array()).into_iter().flatten();
            for event in events.filter_map(|event| event.as_str().map(str::to_owned)).chain(raw) {
                check(event.as_bytes());
            }
            check(serde_json::to_string_pretty(&case).unwrap().as_bytes());
        }
    }
    println!("read {read}, left to the parser {left}");
    assert!(read > 1000 && left * 20 < read);
}
