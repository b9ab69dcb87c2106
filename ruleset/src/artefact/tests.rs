use proptest::prelude::*;

use super::*;
use crate::ir::{Node, RuleTree};
use crate::{Texts, build, load};

fn written() -> (RuleSet, Vec<u8>) {
    let set = load(Texts::builtin()).set;
    let bytes = write(&set, "v1").unwrap();
    (set, bytes)
}

#[test]
fn what_was_written_is_read_and_builds() {
    let (set, bytes) = written();
    let (again, version) = read(&bytes).unwrap();
    assert_eq!(version, "v1");
    assert_eq!(write(&again, "v1").unwrap(), bytes);
    let program = build(&again, version).unwrap();
    assert_eq!(program.rules().len(), set.tree.rules.len());
    assert_eq!(program.version(), "v1");
}

#[test]
fn what_is_wrong_is_told() {
    let (_, bytes) = written();
    assert_eq!(read(b"<group name=\"x\">").unwrap_err(), ArtefactError::Foreign);
    assert_eq!(read(b"").unwrap_err(), ArtefactError::Foreign);
    for end in [12, 30, HEADER, bytes.len() - 1] {
        let error = read(&bytes[..end]).unwrap_err();
        assert!(matches!(error, ArtefactError::Length { .. }), "{end}: {error}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(read(&longer).unwrap_err(), ArtefactError::Length { .. }));
    for at in [CHECKSUM_AT, HEADER, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(matches!(read(&damaged).unwrap_err(), ArtefactError::Damaged(_)), "{at}");
    }
    let mut other = bytes.clone();
    other[20..26].copy_from_slice(b"99.1.0");
    let error = read(&other).unwrap_err().to_string();
    assert!(
        error.contains("version 99.1.0") && error.contains(PRODUCT) && error.contains("again"),
        "{error}"
    );
    for at in [8, 12] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert!(matches!(read(&other).unwrap_err(), ArtefactError::Version { .. }), "{at}");
    }
}

#[test]
fn a_set_that_refers_to_what_is_not_there_is_refused() {
    let (set, _) = written();
    let refused = |change: &dyn Fn(&mut RuleSet)| {
        let mut set = set.clone();
        change(&mut set);
        read(&write(&set, "v").unwrap()).unwrap_err()
    };
    let damaged = ArtefactError::Damaged;
    assert_eq!(
        refused(&|set| set.tree.roots.push(1 << 30)),
        damaged("the tree has a place that is not there")
    );
    assert_eq!(
        refused(&|set| set.tree.nodes[0].rule = 1 << 30),
        damaged("the tree has a rule that is not there")
    );
    assert_eq!(
        refused(&|set| {
            let root = set.tree.roots[0];
            set.tree.nodes[root as usize].children.push(root);
        }),
        damaged("a rule is below itself")
    );
    assert_eq!(
        refused(&|set| {
            // Two children in each of forty levels: more places than there are bytes.
            let rule = set.tree.nodes[0].rule;
            let node = |children| Node { rule, children };
            let nodes = (0..40).map(|at: u32| node(if at < 39 { vec![at + 1, at + 1] } else { Vec::new() }));
            set.tree = RuleTree { nodes: nodes.collect(), roots: vec![0], rules: set.tree.rules.clone() };
        }),
        damaged("the tree has too many places")
    );
    assert_eq!(refused(&|set| set.decoders.with_program.push(7)), damaged("a decoder is not there"));
    assert_eq!(
        refused(&|set| set.tree.rules[0].level = 50),
        damaged("a rule has a level that does not exist")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Bytes changed by somebody who can make checksums: an answer, whatever they are, and what is read can be built or
    /// is refused in words.
    #[test]
    fn no_bytes_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let (_, mut bytes) = written();
        for (at, byte) in changes {
            let at = HEADER + at.index(bytes.len() - HEADER);
            bytes[at] = byte;
        }
        seal(&mut bytes);
        if let Ok((set, version)) = read(&bytes) {
            build(&set, version).ok();
        }
    }

    #[test]
    fn no_noise_harms(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut bytes) = written();
        prop_assert!(read(&noise).is_err());
        bytes.truncate(HEADER);
        bytes.extend_from_slice(&noise);
        let length = (noise.len() as u64).to_le_bytes();
        bytes[CHECKSUM_AT - 8..CHECKSUM_AT].copy_from_slice(&length);
        seal(&mut bytes);
        read(&bytes).ok();
    }
}

#[test]
fn a_set_with_sigma_rules_is_read_again_and_checked() {
    let text = b"title: a
name: a
logsource: {product: aws}
detection: {s: {f|gt: 5, g: [x, 'y*', null]}, k: [word], condition: s and not k}
---
title: b
correlation: {type: temporal, rules: [a], group-by: [user], timespan: 5m, condition: a and not (not a)}
---
title: c
correlation: {type: value_percentile, rules: [a], timespan: 5m, condition: {field: n, percentile: 9, gt: 1}}
";
    let file =
        crate::sigma::SigmaText { path: "s.yml".into(), text: text.to_vec(), origin: crate::Origin::User };
    let set = load(Texts { sigma: vec![file], ..Texts::default() }).set;
    assert_eq!((set.sigma.rules.len(), set.sigma.correlations.len()), (1, 2));
    let (again, _) = read(&write(&set, "v").unwrap()).unwrap();
    assert_eq!(again.sigma, set.sigma);

    let refused = |change: &dyn Fn(&mut crate::ir::sigma::SigmaSet)| {
        let mut set = set.clone();
        change(&mut set.sigma);
        match read(&write(&set, "v").unwrap()).unwrap_err() {
            ArtefactError::Damaged(why) => why,
            other => panic!("{other}"),
        }
    };
    use crate::ir::sigma::{
        Comparison, CorrelationKind, Expr, FieldTest, Figure, GroupField, Occurrence, OccurrenceExpr,
        Referent,
    };
    let nothing = "a correlation refers to what is not there";
    assert_eq!(refused(&|set| set.correlations[0].of = vec![Referent::Rule(1)]), nothing);
    assert_eq!(refused(&|set| set.correlations[0].of = vec![Referent::Correlation(0)]), nothing);
    assert_eq!(refused(&|set| set.correlations[1].of = vec![Referent::Correlation(1)]), nothing);
    assert_eq!(refused(&|set| set.correlations[0].of.clear()), nothing);
    let fields = "a correlation looks at fields of other rules";
    assert_eq!(refused(&|set| set.correlations[0].group_by[0].fields.clear()), fields);
    let alias = || GroupField { name: "n".into(), fields: Vec::new() };
    assert_eq!(refused(&|set| set.correlations[1].value_aliases.push(alias())), fields);
    let count = "a correlation counts what cannot be counted";
    let unknown = || CorrelationKind::Temporal(Occurrence::Expr(OccurrenceExpr::Matched(1)));
    assert_eq!(refused(&|set| set.correlations[0].kind = unknown()), count);
    assert_eq!(refused(&|set| set.correlations[0].timespan = 0), count);
    let figure = |figure: Figure| CorrelationKind::Value { figure, field: "f".into(), bounds: Vec::new() };
    assert_eq!(refused(&|set| set.correlations[1].kind = figure(Figure::Percentile(f64::NAN))), count);
    let number = FieldTest::Compare(Comparison::Less, f64::INFINITY);
    let expr = Expr::Field { name: "f".into(), test: number };
    assert_eq!(
        refused(&|set| set.rules[0].expr = expr.clone()),
        "a Sigma rule compares with what is no number"
    );
}
