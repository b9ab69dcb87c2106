//! Which rules make one component, and what its key is.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use threatlockdown_ruleset::program::{Component, Program, Reason};
use threatlockdown_ruleset::{Texts, load};

use crate::compat::folder;
use crate::harness::file;
use crate::reference::texts_of_home;

fn program(rules: &str) -> Arc<Program> {
    let text = format!("<group name=\"own,\">{rules}</group>");
    let loaded = load(Texts::rules_only(vec![file("own.xml", text)]));
    loaded.program.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

fn ids<'p>(program: &'p Program, rules: &[u32]) -> Vec<&'p str> {
    rules.iter().map(|rule| program.rules()[*rule as usize].id.as_str()).collect()
}

/// Stateful rules of each component, with the key.
fn shown(program: &Program) -> Vec<String> {
    let one = |component: &Component| {
        let agent = if component.joins_agents() { "" } else { "agent " };
        let key = component.key_names(program).join(" ");
        format!("{}: {agent}{key}", ids(program, &component.rules).join(" ")).trim_end().to_owned()
    };
    program.components().iter().map(one).collect()
}

/// A rule of that id, attributes and elements.
fn rule(id: u32, attributes: &str, elements: &str) -> String {
    format!("<rule id=\"{id}\" {attributes}>{elements}<description>d</description></rule>\n")
}

/// A rule that alerts on a kind.
fn base(id: u32, kind: &str, more: &str) -> String {
    rule(id, "level=\"3\"", &format!("<field name=\"kind\">{kind}</field>{more}"))
}

const COUNTS: &str = "level=\"8\" frequency=\"3\" timeframe=\"60\"";

#[test]
fn rules_that_read_one_list_or_chain_are_one_component() {
    let counts = |id: u32, of: u32, same: &str| {
        rule(id, COUNTS, &format!("<if_matched_sid>{of}</if_matched_sid>{same}"))
    };
    let apart = [base(100_100, "^a$", ""), base(100_200, "^b$", "")].concat();
    let both =
        [counts(100_101, 100_100, "<same_srcip />"), counts(100_201, 100_200, "<same_user />")].concat();
    assert_eq!(shown(&program(&(apart.clone() + &both))), ["100101: agent srcip", "100201: agent dstuser"]);
    let chain = counts(100_301, 100_101, "<same_srcip /><same_user />");
    let all = apart + &both + &chain;
    assert_eq!(shown(&program(&all)), ["100101 100301: agent srcip", "100201: agent dstuser"]);
}

#[test]
fn what_one_walk_can_come_by_is_one_component_unless_demands_exclude_it() {
    // Below a rule that is never a result, a rule that counts leads on to its siblings.
    let top = rule(100_000, "level=\"0\" noalert=\"1\"", "<decoded_as>json</decoded_as>");
    let set = |first: &str, second: &str, top: &str| {
        let counts = |id: u32, kind: &str| {
            let demands = format!(
                "<if_sid>100000</if_sid><if_matched_sid>{}</if_matched_sid>{kind}<same_srcip />",
                id - 1
            );
            rule(id, COUNTS, &demands)
        };
        let bases = [100_100, 100_200].map(|id| {
            base(id, "^other$", &format!("<field name=\"number\">^{id}$</field><if_sid>100000</if_sid>"))
        });
        shown(&program(&format!(
            "{top}{}{}{}",
            bases.concat(),
            counts(100_101, first),
            counts(100_201, second)
        )))
        .len()
    };
    let kind = |kind: &str| format!("<field name=\"kind\">{kind}</field>");
    assert_eq!(set("", "", &top), 1, "nothing tells them apart");
    assert_eq!(set(&kind("^a$"), &kind("^b$"), &top), 2, "two texts");
    assert_eq!(set(&kind("^a$|^b$"), &kind("^c$|^b$"), &top), 1, "one text is common");
    assert_eq!(set(&kind("^ab"), &kind("^ac"), &top), 2, "two beginnings");
    assert_eq!(set(&kind("^a"), &kind("^ab$"), &top), 1, "one beginning");
    assert_eq!(set(&kind("a"), &kind("b"), &top), 1, "both may be in one text");
    assert_eq!(set("", "<match>x</match><field name=\"kind\">^other$</field>", &top), 1);
}

#[test]
fn a_rule_that_alerts_ends_the_way() {
    let counts =
        |id: u32, of: u32| rule(id, COUNTS, &format!("<if_matched_sid>{of}</if_matched_sid><same_srcip />"));
    let bases = [base(100_100, "a", ""), base(100_200, "b", "")].concat();
    let below = [counts(100_101, 100_100), counts(100_201, 100_200)].concat();
    assert_eq!(
        shown(&program(&(bases + &below))).len(),
        2,
        "the first takes every event that both would take"
    );
}

#[test]
fn what_leaves_no_key_is_told() {
    let blocked = |attributes: &str, elements: &str| {
        let rules = base(100_100, "^a$", "") + &rule(100_101, attributes, elements);
        let program = program(&rules);
        let [component] = program.components() else { panic!("{:?}", shown(&program)) };
        component.blockers.iter().map(|blocker| blocker.reason).collect::<Vec<_>>()
    };
    let counts = "<if_matched_sid>100100</if_matched_sid>";
    assert_eq!(blocked(COUNTS, counts), [Reason::NoField]);
    assert_eq!(blocked(COUNTS, &format!("{counts}<same_srcip />")), []);
    assert_eq!(
        blocked(&format!("{COUNTS} ignore=\"60\""), &format!("{counts}<same_srcip />")),
        [Reason::IgnoreSeconds]
    );
    assert_eq!(blocked("level=\"5\"", "<if_sid>100100</if_sid><check_diff />"), []);
    let other = format!("<if_sid>100100</if_sid>{counts}<check_diff /><same_srcip />");
    assert_eq!(blocked(COUNTS, &other), [Reason::OtherFields]);
}

fn row(program: &Program, component: &Component) -> String {
    const SHOWN: usize = 12;
    let list = |rules: &[u32]| {
        let ids = ids(program, rules);
        let more = if ids.len() > SHOWN { format!(" … ({} in all)", ids.len()) } else { String::new() };
        format!("{}{more}", ids.iter().take(SHOWN).copied().collect::<Vec<_>>().join(" "))
    };
    let mut key = component.key_names(program);
    if !component.joins_agents() {
        key.insert(0, "agent".to_owned());
    }
    let mut reasons: Vec<Reason> = component.blockers.iter().map(|blocker| blocker.reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let because = |reason: &Reason| {
        let of = component.blockers.iter().filter(|blocker| blocker.reason == *reason);
        let rules: Vec<u32> = of.filter_map(|blocker| blocker.rule).collect();
        match (reason, rules.is_empty()) {
            (Reason::IgnoreSeconds, _) => format!("`ignore` of {}", list(&rules)),
            (Reason::NoField, _) => format!("no `same_*` in {}", list(&rules)),
            (Reason::FirstSeen, _) => format!("`if_fts` of {}", list(&rules)),
            (Reason::IgnoreList, _) => format!("`<ignore>` of {}", list(&rules)),
            (Reason::OtherFields, _) => format!("other fields in {}", list(&rules)),
            (Reason::Accumulates, _) => format!("accumulation by {}", component.decoders.join(", ")),
        }
    };
    let because: Vec<String> = reasons.iter().map(because).collect();
    format!(
        "| {} | {} | {} | {} |",
        list(&component.rules),
        list(&component.feeders),
        key.join(", "),
        because.join("; ")
    )
}

/// The table of the documentation is what the compiler says.
#[test]
fn the_documented_components_of_the_public_rules_are_these() {
    let Some(folder) = folder() else { return };
    let program = load(texts_of_home(&folder.join("homes/stock"))).program.unwrap();
    let components = program.components();
    let stateful: usize = components.iter().map(|component| component.rules.len()).sum();
    let keyed = components.iter().filter(|component| !component.key_names(&program).is_empty());
    let (keyed, of_keyed) = keyed.fold((0, 0), |(count, rules), one| (count + 1, rules + one.rules.len()));
    let largest = components.iter().map(|component| component.rules.len()).max().unwrap();
    let mut table = format!(
        "{stateful} stateful rules in {} components; the largest has {largest}. {of_keyed} rules in {keyed} components have a key.\n\n| stateful rules | fed by | key | what forces one partition |\n|---|---|---|---|\n",
        components.len()
    );
    for component in components {
        let _ = writeln!(table, "{}", row(&program, component));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/state.md");
    let documented = std::fs::read_to_string(&path).unwrap();
    if !documented.contains(&table) {
        let (head, _) = documented.split_once("<!-- table -->").unwrap();
        let made = std::env::temp_dir().join("state.md");
        std::fs::write(&made, format!("{head}<!-- table -->\n{table}")).unwrap();
        panic!("the table of {} is another one: see {}", path.display(), made.display());
    }
}
