//! Compiled rule sets from any bytes: an error, or a set that builds and judges.
//!
//! The bytes are read as they are, and as the body of an artefact whose header and checksum are right.

use threatlockdown_ruleset::{Texts, artefact, build, load};

use crate::harness::Engine;

const LENGTH_AT: usize = 8 + 4 + 8 + 16;
const CHECKSUM_AT: usize = LENGTH_AT + 8;
const BODY_AT: usize = CHECKSUM_AT + 32;

pub fn run(bytes: &[u8]) {
    let _ = artefact::read(bytes);
    let Ok((set, version)) = artefact::read(&sealed(bytes)) else { return };
    let again = artefact::write(&set, &version).expect("what was read can be written");
    artefact::read(&again).expect("what was written can be read");
    let Ok(program) = build(&set, version) else { return };
    let mut engine = Engine::of(program);
    for record in [r#"{"a":"alpha","id":1}"#, "Dec 29 10:00:01 host app[12]: u=alpha ip=10.0.0.1"] {
        engine.say("syslog", record.as_bytes(), &[]).expect("a line of text is always read");
    }
}

/// The bytes as the body of an artefact of this build.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = artefact::write(&load(Texts::default()).set, "").expect("an empty set can be written");
    bytes.truncate(BODY_AT);
    bytes[LENGTH_AT..CHECKSUM_AT].copy_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(body);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_AT]).update(&bytes[BODY_AT..]);
    bytes[CHECKSUM_AT..BODY_AT].copy_from_slice(hasher.finalize().as_bytes());
    bytes
}
