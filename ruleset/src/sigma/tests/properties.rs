//! No text makes the front end panic, and every fault has a place in its text.

use proptest::prelude::*;

use super::*;

/// Pieces that Sigma texts are made of.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "title: x\n",
        "id: ",
        "name: n\n",
        "logsource: {product: p}\n",
        "detection:\n",
        "  s:\n",
        "    f",
        "|contains",
        "|re",
        "|base64offset",
        "|windash",
        "|cidr",
        "|expand",
        "|all",
        "|hour",
        "|gt",
        "|exists",
        "|fieldref",
        ": ",
        "a*b?",
        "'\\\\*'",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\n",
        "  - ",
        "    - ",
        "null",
        "5",
        "-x",
        "10.0.0.0/8",
        "'%x%'",
        "(",
        ")",
        "  condition: s\n",
        "  condition: ",
        " and ",
        " or ",
        "not ",
        "1 of ",
        "all of ",
        "them",
        "s*",
        "---\n",
        "correlation:\n",
        "  type: event_count\n",
        "  type: temporal\n",
        "  rules: [n]\n",
        "  timespan: 5m\n",
        "  condition: {gte: 5}\n",
        "  group-by: [a]\n",
        "  aliases: {a: {n: f}}\n",
        "filter:\n",
        "  rules: any\n",
        "action: global\n",
        "action: repeat\n",
        "&a ",
        "*a",
        "!!str ",
        "|\n",
        ">\n",
        "\"",
        "'",
        "#",
        "\u{e9}",
        "\u{2015}",
    ];
    prop_oneof![8 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let mut placeholders = Placeholders::default();
    placeholders.set("x", vec!["y".into(), "z*".into()]);
    let loaded = load(&[file("r.yml", text)], &placeholders);
    let lines = text.lines().count().max(1) + 1;
    for fault in &loaded.diagnostics {
        let place = &fault.place;
        prop_assert!((1..=lines).contains(&(place.line as usize)) && place.column > 0, "{fault}\n{text}");
        prop_assert!(!fault.message.is_empty() && !fault.help.is_empty(), "{fault}");
    }
    let set = loaded.set;
    for (at, correlation) in set.correlations.iter().enumerate() {
        for referent in &correlation.of {
            let known = match referent {
                crate::ir::sigma::Referent::Rule(rule) => (*rule as usize) < set.rules.len(),
                crate::ir::sigma::Referent::Correlation(earlier) => (*earlier as usize) < at,
            };
            prop_assert!(known);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_gives_rules_or_faults(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn texts_that_look_like_rules_give_rules_or_faults(pieces in proptest::collection::vec(piece(), 0..60)) {
        check(&pieces.concat())?;
    }

    #[test]
    fn any_detection_gives_a_rule_or_faults(pieces in proptest::collection::vec(piece(), 0..20)) {
        check(&around(&format!("  s:\n    {}\n  condition: s", pieces.concat())))?;
    }
}
