//! Which records of a source a rule looks at, where the source holds several logs.
//!
//! Enters: a rule's log source and the mappings. Leaves: a test that holds for records of its kind alone, or none where
//! all records of all its sources are. Several logs often come the same way (audit records and sign-ins of one tenant, in one
//! storage account); most rules name an operation that only theirs has, but one that says what must *not* be so
//! would match every record of the others.

use super::wording::record_pattern;
use crate::decode::mapping::{Mapping, RecordKind};
use crate::ir::sigma::{Expr, FieldTest, Logsource};

/// The test. The fields of kinds are found in their own source alone, so one test does for all sources of the rule: a record
/// is of one of the kinds, or of a source that has no kinds for this rule and therefore none of the fields.
pub(super) fn test(logsource: &Logsource, mappings: &[Mapping]) -> Option<Expr> {
    let mut kinds: Vec<Expr> = Vec::new();
    let mut absent: Vec<Expr> = Vec::new();
    let mut has_whole_source = false;
    for mapping in mappings {
        let of_source: Vec<Option<&RecordKind>> = mapping.sigma.kinds_of(logsource).collect();
        match of_source.iter().copied().collect::<Option<Vec<&RecordKind>>>() {
            // Sources that the rule does not look at.
            Some(known) if known.is_empty() => {}
            Some(known) => {
                for kind in known {
                    let field = |test| Expr::Field { name: kind.field.clone(), test };
                    kinds.extend(kind.values.iter().map(|value| field(record_pattern(value))));
                    absent.push(field(FieldTest::Null));
                }
            }
            None => has_whole_source = true,
        }
    }
    if kinds.is_empty() {
        return None;
    }
    if has_whole_source {
        kinds.push(Expr::All(absent));
    }
    Some(Expr::Any(kinds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(source: &str, logsources: &str) -> Mapping {
        let text = format!("source: {source}\nformat: json\nsigma:\n  logsources: [{logsources}]\n");
        Mapping::parse("m.yaml", &text).unwrap()
    }

    fn logsource(service: &str) -> Logsource {
        Logsource { product: Some("p".to_owned()), service: Some(service.to_owned()), category: None }
    }

    fn field(name: &str, test: FieldTest) -> Expr {
        Expr::Field { name: name.to_owned(), test }
    }

    #[test]
    fn a_rule_gets_a_test_for_its_kind_of_records() {
        let mappings = [
            mapping("one", "{product: p, service: s, when: {k: [x, y]}}, {product: p, service: t}"),
            mapping(
                "two",
                "{product: p, service: s, when: {l: \"*\"}}, {product: p, service: u, when: {l: z}}",
            ),
            mapping("three", "{product: p, service: u}"),
        ];
        let is = |name: &str, text: &str| field(name, record_pattern(text));
        assert_eq!(
            test(&logsource("s"), &mappings),
            Some(Expr::Any(vec![is("one/k", "x"), is("one/k", "y"), is("two/l", "*")]))
        );
        assert_eq!(test(&logsource("t"), &mappings), None);
        assert_eq!(test(&logsource("none"), &mappings), None);
        let elsewhere = Expr::All(vec![field("two/l", FieldTest::Null)]);
        assert_eq!(test(&logsource("u"), &mappings), Some(Expr::Any(vec![is("two/l", "z"), elsewhere])));
    }
}
