//! The literals that a PCRE2 pattern demands, and the bytes that its texts can begin with.
//!
//! Enters: a parsed pattern. Leaves: [`Necessary`]. Sound for every text that the library matches: what a node of the
//! tree takes is followed exactly, assertions take nothing, and a part that is opaque is known to contain its inside.

use super::super::bytes::ByteSet;
use super::super::required::{MAX_CHOICES, MAX_PREFIXES, Necessary, Required};
use super::syntax::{Ast, Look};

/// So many texts of a part are followed exactly, of at most that length.
const MAX_EXACT: usize = 32;
const MAX_LEN: usize = 40;
/// A class of more bytes (letters of either case count once) ends a literal.
const MAX_CLASS: usize = 3;

pub(super) fn necessary(ast: &Ast) -> Necessary {
    let inner = best(ast);
    if !anchored(ast) {
        return Necessary { required: inner, first: None };
    }
    let prefix = Required::new(start(ast).0, true);
    let first = first(ast);
    Necessary { required: Required::better(inner, prefix), first: (!first.nullable).then_some(first.set) }
}

/// Every text that the node can take, in lower case, if they are few.
fn exact(ast: &Ast) -> Option<Vec<Vec<u8>>> {
    match ast {
        Ast::Empty | Ast::Look(_) | Ast::Ahead { .. } => Some(vec![Vec::new()]),
        Ast::Class(set) => {
            let mut bytes: Vec<u8> = set.iter().map(|byte| byte.to_ascii_lowercase()).collect();
            bytes.sort_unstable();
            bytes.dedup();
            (bytes.len() <= MAX_CLASS).then(|| bytes.into_iter().map(|byte| vec![byte]).collect())
        }
        Ast::Group(_, inner) => exact(inner),
        Ast::Concat(parts) => {
            parts.iter().try_fold(vec![Vec::new()], |before, part| product(&before, &exact(part)?))
        }
        Ast::Alternate(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(exact(branch)?);
            }
            all.sort_unstable();
            all.dedup();
            (all.len() <= MAX_EXACT).then_some(all)
        }
        Ast::Repeat { inner, min, max: Some(max), .. } if max <= &4 => {
            let inner = exact(inner)?;
            let mut all = Vec::new();
            let mut times = vec![Vec::new()];
            for count in 0..=*max {
                if count >= *min {
                    all.extend(times.iter().cloned());
                }
                times = product(&times, &inner)?;
            }
            all.sort_unstable();
            all.dedup();
            (all.len() <= MAX_EXACT).then_some(all)
        }
        Ast::Repeat { .. } | Ast::Opaque(_) => None,
    }
}

fn product(before: &[Vec<u8>], after: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if before.len() * after.len() > MAX_EXACT {
        return None;
    }
    let joined = |one: &Vec<u8>, other: &Vec<u8>| [one.as_slice(), other.as_slice()].concat();
    let all: Vec<Vec<u8>> =
        before.iter().flat_map(|one| after.iter().map(move |other| joined(one, other))).collect();
    all.iter().all(|text| text.len() <= MAX_LEN).then_some(all)
}

/// The best choice within the node.
fn best(ast: &Ast) -> Option<Required> {
    let whole = exact(ast).and_then(|texts| Required::new(texts, false));
    let inner = match ast {
        Ast::Concat(parts) => best_of_concat(parts),
        Ast::Group(_, inner) | Ast::Opaque(inner) => best(inner),
        Ast::Repeat { inner, min, .. } if *min > 0 => best(inner),
        Ast::Alternate(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(best(branch)?.literals);
                if all.len() > MAX_CHOICES {
                    return whole;
                }
            }
            Required::new(all, false)
        }
        Ast::Empty | Ast::Class(_) | Ast::Look(_) | Ast::Ahead { .. } | Ast::Repeat { .. } => None,
    };
    Required::better(whole, inner)
}

/// The runs of adjacent parts that are exact, and the choices within each part.
fn best_of_concat(parts: &[Ast]) -> Option<Required> {
    let mut found = None;
    let mut run = vec![Vec::new()];
    let offer =
        |found: Option<Required>, run: Vec<Vec<u8>>| Required::better(found, Required::new(run, false));
    for part in parts {
        found = Required::better(found, best(part));
        let texts = exact(part);
        match texts.as_ref().and_then(|texts| product(&run, texts)) {
            Some(longer) => {
                // A part that can be empty or many things may tell less with what is before than that alone.
                found = offer(found, std::mem::replace(&mut run, longer));
            }
            None => {
                found = offer(found, std::mem::replace(&mut run, texts.unwrap_or_else(|| vec![Vec::new()])));
            }
        }
    }
    offer(found, run)
}

/// Whether every match begins at the start of the text.
fn anchored(ast: &Ast) -> bool {
    match ast {
        Ast::Look(Look::Start) => true,
        Ast::Group(_, inner) => anchored(inner),
        Ast::Alternate(branches) => branches.iter().all(anchored),
        Ast::Concat(parts) => {
            parts.iter().take_while(|part| takes_nothing(part)).any(anchored)
                || parts.iter().find(|part| !takes_nothing(part)).is_some_and(anchored)
        }
        Ast::Empty
        | Ast::Class(_)
        | Ast::Look(_)
        | Ast::Ahead { .. }
        | Ast::Repeat { .. }
        | Ast::Opaque(_) => false,
    }
}

fn takes_nothing(ast: &Ast) -> bool {
    matches!(ast, Ast::Empty | Ast::Look(_) | Ast::Ahead { .. })
}

/// What the node begins with, and whether that is all of it.
fn start(ast: &Ast) -> (Vec<Vec<u8>>, bool) {
    if let Some(texts) = exact(ast) {
        return (texts, true);
    }
    match ast {
        Ast::Group(_, inner) => start(inner),
        Ast::Concat(parts) => {
            let mut texts = vec![Vec::new()];
            for part in parts {
                let (next, whole) = start(part);
                match product(&texts, &next) {
                    Some(longer) => texts = longer,
                    // So many are followed only where nothing comes before them.
                    None if texts.iter().all(Vec::is_empty) => return (next, false),
                    None => return (texts, false),
                }
                if !whole {
                    return (texts, false);
                }
            }
            (texts, true)
        }
        Ast::Alternate(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(start(branch).0);
            }
            if all.len() > MAX_PREFIXES { (vec![Vec::new()], false) } else { (all, false) }
        }
        Ast::Repeat { inner, min, .. } if *min > 0 => (start(inner).0, false),
        _ => (vec![Vec::new()], false),
    }
}

/// The first bytes that a node can take.
struct First {
    set: ByteSet,
    /// It may take none.
    nullable: bool,
}

fn first(ast: &Ast) -> First {
    match ast {
        Ast::Empty | Ast::Look(_) | Ast::Ahead { .. } => First { set: ByteSet::default(), nullable: true },
        Ast::Class(set) => First { set: *set, nullable: false },
        Ast::Group(_, inner) => first(inner),
        Ast::Repeat { inner, min, .. } => {
            let inner = first(inner);
            First { nullable: inner.nullable || *min == 0, ..inner }
        }
        Ast::Concat(parts) => {
            let mut all = First { set: ByteSet::default(), nullable: true };
            for part in parts {
                let next = first(part);
                all.set.extend(next.set);
                if !next.nullable {
                    all.nullable = false;
                    break;
                }
            }
            all
        }
        Ast::Alternate(branches) => {
            let mut all = First { set: ByteSet::default(), nullable: false };
            for branch in branches {
                let next = first(branch);
                all.set.extend(next.set);
                all.nullable |= next.nullable;
            }
            all
        }
        Ast::Opaque(_) => First { set: ByteSet::ALL, nullable: true },
    }
}
