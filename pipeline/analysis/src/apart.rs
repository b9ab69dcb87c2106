//! How the engine tells what depends on earlier events. Until it can, everything may: each event is a candidate of one
//! component, whose verdict is awaited.

use threatlockdown_event::Millis;
use threatlockdown_ruleset::correlate::Memory;
use threatlockdown_ruleset::matcher::{Fault, Input, Scratch, Verdict};
use threatlockdown_ruleset::program::Program;

/// An event that the stateful stage has to judge.
pub(crate) struct Apart<'a> {
    pub(crate) component: u32,
    pub(crate) key: &'a [u8],
    pub(crate) time: Millis,
    pub(crate) awaited: bool,
}

pub(crate) fn evaluate_apart<R>(
    program: &Program,
    scratch: &mut Scratch,
    input: &Input<'_>,
    then: impl FnOnce(&Verdict<'_>, Option<Apart<'_>>) -> R,
) -> Result<R, Fault> {
    program.evaluate(scratch, input, |verdict| {
        then(verdict, Some(Apart { component: 0, key: &[], time: verdict.time(), awaited: true }))
    })
}

/// Until memories can be written down they are empty after a restart.
pub(crate) fn snapshot_memory(_memory: &Memory) -> Vec<u8> {
    Vec::new()
}

pub(crate) fn restore_memory(_memory: &Memory, _bytes: &[u8]) -> Result<(), String> {
    Ok(())
}
