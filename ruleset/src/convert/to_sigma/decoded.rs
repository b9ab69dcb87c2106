//! What `<decoded_as>` asks for, in lines that Sigma sees without their decoder.
//!
//! Enters: the name of a decoder. Leaves: keywords by which its lines are told: the program's name, or what the line must have.

use crate::ir::{Decoder, DecoderIndex, Plugin, RuleSet};

use super::demands::Remarks;
use super::formula::{Formula, TRUE, all, any};
use super::texts::{Site, tested};

/// The formula of a decoder's name.
pub(super) fn formula(set: &RuleSet, name: &str, differences: &mut Remarks) -> Result<Formula, String> {
    let tree = &set.decoders;
    let roots = || tree.with_program.iter().chain(&tree.without_program);
    let decoder = |index: &DecoderIndex| tree.decoders.get(*index as usize);
    let mut ways = Vec::new();
    for root in roots().filter_map(decoder) {
        if root.name == name {
            ways.push(root_formula(root)?);
            continue;
        }
        for child in root.children.iter().filter_map(decoder).filter(|child| child.name == name) {
            ways.push(all([root_formula(root)?, own_formula(child)?]));
        }
    }
    if ways.is_empty() {
        return Err(format!("Its events are decoded as {name}, in code that only the reference has."));
    }
    if is_json(set, name) {
        // The fields of such lines are there for lines of no other decoder.
        return Ok(TRUE);
    }
    differences.add(format!(
        "Sigma does not see that a line is decoded as {name}; it is told by the program's name or other parts of the line."
    ));
    Ok(any(ways))
}

/// Whether lines that are JSON have this decoder.
fn is_json(set: &RuleSet, name: &str) -> bool {
    let mut named = set.decoders.decoders.iter().filter(|decoder| decoder.name == name);
    named.any(|decoder| matches!(decoder.plugin, Some((Plugin::Json, _))) && decoder.parent.is_none())
}

fn root_formula(root: &Decoder) -> Result<Formula, String> {
    let mut parts = Vec::new();
    if let Some(test) = &root.program_name {
        parts.push(keyword(test, Site::Program, root)?);
    }
    parts.push(own_formula(root)?);
    Ok(all(parts))
}

fn own_formula(decoder: &Decoder) -> Result<Formula, String> {
    match &decoder.prematch {
        Some((test, crate::ir::Offset::Log)) => keyword(test, Site::Log, decoder),
        // Behind the parent's own prematch: where it begins is not known.
        Some(_) | None => Ok(TRUE),
    }
}

fn keyword(test: &crate::ir::Test, site: Site<'_>, decoder: &Decoder) -> Result<Formula, String> {
    let name = &decoder.own_name;
    let (tested, inverted) =
        tested(test, site).map_err(|reason| format!("Of the decoder {name}: {reason}."))?;
    let formula = tested.formula.unwrap_or(TRUE);
    Ok(if inverted { super::formula::not(formula) } else { formula })
}
