//! Attachment, order of siblings, duplicates, overwriting.

use crate::ir::{CorrelationSource, Feed, NodeIndex, Rule, RuleTree};
use crate::wazuh::{Loaded, Names, Origin, RuleText, load};

/// A rule from its attributes and elements.
fn rule(attributes: &str, elements: &str) -> String {
    format!("<rule {attributes}>{elements}<description>d</description></rule>\n")
}

/// A rule below the rules `parents`.
fn child(id: u32, level: u8, parents: &str) -> String {
    rule(&format!("id='{id}' level='{level}'"), &format!("<if_sid>{parents}</if_sid>"))
}

/// A rule below the root of its category.
fn top(id: u32, level: u8, groups: &str) -> String {
    rule(&format!("id='{id}' level='{level}'"), &format!("<group>{groups}</group>"))
}

fn read(files: &[&[String]]) -> Loaded {
    let text = |rules: &[String]| format!("<group name='t,'>\n{}</group>", rules.concat()).into_bytes();
    let files: Vec<RuleText> = ["a.xml", "b.xml", "c.xml"]
        .into_iter()
        .zip(files)
        .map(|(path, rules)| RuleText { path: path.into(), text: text(rules), origin: Origin::User })
        .collect();
    load(&files, &Names { decoders: &["json"], lists: &["etc/lists/bad"] })
}

/// The children of root 1, as ids with their children in brackets.
fn below_syslog(tree: &RuleTree) -> String {
    let children = |node: NodeIndex| &tree.nodes[node as usize].children;
    list(tree, children(tree.roots[0]))
}

fn list(tree: &RuleTree, nodes: &[NodeIndex]) -> String {
    let one = |node: &NodeIndex| {
        let node = &tree.nodes[*node as usize];
        let below = list(tree, &node.children);
        let id = tree.rules[node.rule as usize].id;
        if below.is_empty() { id.to_string() } else { format!("{id}[{below}]") }
    };
    nodes.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn tree(rules: &[String]) -> String {
    let loaded = read(&[rules]);
    assert_eq!(loaded.diagnostics, []);
    below_syslog(&loaded.tree)
}

fn messages(loaded: &Loaded) -> Vec<&str> {
    loaded.diagnostics.iter().map(|fault| fault.message.as_str()).collect()
}

#[test]
fn siblings_go_by_level_with_level_zero_first_and_equal_ones_in_load_order() {
    let rules =
        [top(11, 3, ""), top(12, 7, ""), top(13, 0, ""), top(14, 3, ""), top(15, 7, ""), top(16, 0, "")];
    assert_eq!(tree(&rules), "13 16 12 15 11 14");
}

#[test]
fn accuracy_zero_is_tried_last() {
    let late = |id: u32, level: u8| rule(&format!("id='{id}' level='{level}' accuracy='0'"), "");
    assert_eq!(tree(&[late(11, 12), late(12, 14), top(13, 1, ""), late(14, 2)]), "13 12 11 14");
}

/// Hanging a rule must not walk the chain above it: this would take minutes.
#[test]
fn a_chain_of_many_rules_is_hung_in_one_pass() {
    const RULES: u32 = 100_000;
    let root = rule("id='100000' level='3'", "<category>web-log</category>");
    let below = (1..RULES).map(|number| child(100_000 + number, 3, &(99_999 + number).to_string()));
    let rules: Vec<String> = std::iter::once(root).chain(below).collect();
    let loaded = read(&[&rules]);
    assert_eq!(loaded.diagnostics, []);
    let tree = &loaded.tree;
    let chain: Vec<&Rule> = tree.rules.iter().filter(|rule| rule.id >= 100_000).collect();
    assert_eq!(chain.len(), RULES as usize);
    assert!(chain.iter().all(|rule| rule.category.name() == "web-log"));
    let mut node = tree.roots[3];
    for rule in chain {
        let [below] = tree.nodes[node as usize].children[..] else { panic!("{} hangs alone", rule.id) };
        assert_eq!(tree.rules[tree.nodes[below as usize].rule as usize].id, rule.id);
        node = below;
    }
}

#[test]
fn a_category_chooses_the_root_and_a_parent_overrules_it() {
    let category = |id: u32, more: &str| {
        rule(&format!("id='{id}' level='3'"), &format!("{more}<category>web-log</category>"))
    };
    let loaded = read(&[&[top(11, 3, ""), category(12, ""), category(13, "<if_sid>11</if_sid>")]]);
    assert_eq!(below_syslog(&loaded.tree), "11[13]");
    assert_eq!(list(&loaded.tree, &loaded.tree.roots), "1[11[13]] 2 3 4[12] 5 6 7");
    let category_of = |id: u32| loaded.tree.rules.iter().find(|rule| rule.id == id).unwrap().category.name();
    assert_eq!((category_of(12), category_of(13)), ("web-log", "syslog"));
}

#[test]
fn roots_that_are_given_are_used() {
    let loaded =
        read(&[&[rule("id='1' level='0' noalert='1'", "<category>ossec</category>"), top(11, 3, "")]]);
    assert_eq!(messages(&loaded), ["there is no root rule of the category syslog"]);
    assert_eq!(list(&loaded.tree, &loaded.tree.roots), "1");
}

#[test]
fn a_child_hangs_below_all_its_parents_and_all_their_places() {
    let rules = [top(11, 3, ""), top(12, 3, ""), child(13, 3, "11, 12,11"), child(14, 3, "13")];
    assert_eq!(tree(&rules), "11[13[14]] 12[13[14]]");
}

#[test]
fn below_a_level_means_level_zero_too() {
    let below = rule("id='14' level='1'", "<if_level>6</if_level>");
    let loaded = read(&[&[top(11, 3, ""), top(12, 6, ""), top(13, 0, ""), below]]);
    assert_eq!(
        list(&loaded.tree, &loaded.tree.roots),
        "1[13[14] 12[14] 11 14] 2[14] 3[14] 4[14] 5[14] 6[14] 7[14]"
    );
}

#[test]
fn groups_are_searched_as_text_in_rules_loaded_before() {
    let below = |id: u32, group: &str| {
        rule(&format!("id='{id}' level='1'"), &format!("<if_group>{group}</if_group>"))
    };
    let rules = [
        top(11, 3, "SysCheck,"),
        top(12, 3, "syscheck_entry,"),
        below(14, "syscheck|xx"),
        top(13, 3, "syscheck,"),
    ];
    assert_eq!(tree(&rules), "11[14] 12[14] 13");
    // `^` binds to the start of all names of a rule, not of one.
    assert_eq!(tree(&[top(11, 3, "a,"), below(12, "^t,a")]), "11[12]");
}

#[test]
fn a_missing_group_says_what_is_there() {
    let below = |id: u32, group: &str| {
        rule(&format!("id='{id}' level='1'"), &format!("<if_group>{group}</if_group>"))
    };
    let loaded = read(&[
        &[top(11, 3, "authentication,"), below(12, "autentication"), below(13, "later")],
        &[top(14, 3, "later,")],
    ]);
    let helps: Vec<&str> = loaded.diagnostics.iter().map(|fault| fault.help.as_str()).collect();
    assert_eq!(messages(&loaded).len(), 2);
    assert_eq!(helps[0], "did you mean authentication?");
    assert!(helps[1].starts_with("rule 14 at b.xml:2 has it, but is loaded after this one"), "{}", helps[1]);
}

#[test]
fn the_higher_ranking_way_to_hang_a_rule_wins_with_a_warning() {
    let both = rule("id='13' level='3'", "<if_group>t</if_group><if_level>3</if_level><if_sid>11</if_sid>");
    let loaded = read(&[&[top(11, 3, ""), top(12, 3, ""), both]]);
    assert_eq!(below_syslog(&loaded.tree), "11[13] 12");
    assert_eq!(messages(&loaded).len(), 2);
    assert!(messages(&loaded).iter().all(|message| message.contains("beside <if_sid> has no effect")));
}

#[test]
fn parents_must_be_loaded_before() {
    let loaded = read(&[&[child(11, 3, "12")], &[top(12, 3, "")]]);
    assert_eq!(messages(&loaded), ["the parent rule 12 is loaded later than rule 11: it stands at b.xml:2"]);
    assert_eq!(below_syslog(&loaded.tree), "12");
    let same_file = read(&[&[child(11, 3, "12"), top(12, 3, "")]]);
    assert_eq!(same_file.diagnostics[0].help, "parents must be loaded first: put this rule after it");
}

#[test]
fn a_rule_without_one_of_its_parents_works_below_the_others() {
    let loaded = read(&[&[top(11, 3, ""), child(12, 3, "11,80202")]]);
    assert_eq!(below_syslog(&loaded.tree), "11[12]");
    let fault = &loaded.diagnostics[0];
    assert_eq!(fault.severity, crate::diagnostic::Severity::Warning);
    assert!(fault.help.contains("Amazon AWS"), "{}", fault.help);
}

#[test]
fn what_fails_to_hang_is_told_once_for_itself_and_once_for_each_child() {
    let loaded =
        read(&[&[child(100_011, 3, "100010"), child(100_012, 3, "100011"), child(100_013, 3, "100013")]]);
    assert_eq!(
        messages(&loaded),
        [
            "the parent rule 100010 is not loaded",
            "the parent rule 100011 could not be loaded",
            "rule 100013 names itself as its parent",
        ]
    );
    assert!(loaded.diagnostics[0].help.contains("own rules"));
    let several = read(&[&[child(11, 3, "300000, 300001, 300002")]]);
    let expected = "the parent rule 300000 is not loaded, nor are the 2 others that it names";
    assert_eq!(messages(&several), [expected]);
}

#[test]
fn the_first_of_two_rules_with_one_id_counts() {
    let loaded = read(&[&[top(11, 3, "")], &[top(11, 9, "")]]);
    assert_eq!(messages(&loaded), ["rule 11 is already defined at a.xml:2, this second one is left out"]);
    assert_eq!(loaded.tree.rules.iter().find(|rule| rule.id == 11).unwrap().level, 3);
}

#[test]
fn overwriting_replaces_everything_but_the_place() {
    let over = rule("id='11' level='12' overwrite='yes'", "<if_sid>12</if_sid><match>new</match>");
    let rules = [
        top(10, 5, ""),
        rule("id='11' level='3'", "<regex>old</regex><options>no_log</options>"),
        top(12, 4, ""),
    ];
    let loaded = read(&[&rules, &[over, top(13, 8, "")]]);
    assert_eq!(messages(&loaded), ["overwriting cannot move rule 11: its <if_sid> is ignored"]);
    // 11 is still behind 12; 13 is sorted in before the first sibling with a lower level than its own.
    assert_eq!(below_syslog(&loaded.tree), "13 10 12 11");
    let rule = loaded.tree.rules.iter().find(|rule| rule.id == 11).unwrap();
    assert_eq!((rule.level, rule.conditions.len(), rule.options.no_log), (12, 1, false));
    assert_eq!(&*rule.place.file, "b.xml");
}

#[test]
fn siblings_behind_an_overwritten_one_are_still_placed_by_the_first_lower_level() {
    let over = rule("id='11' level='2' overwrite='yes'", "");
    let rules = [top(10, 9, ""), top(11, 8, ""), top(12, 7, ""), top(13, 6, ""), top(14, 5, "")];
    let loaded = read(&[&rules, &[over, top(15, 6, "")]]);
    assert_eq!(below_syslog(&loaded.tree), "10 15 11 12 13 14");
}

#[test]
fn overwriting_nothing_is_a_new_rule_with_a_warning() {
    let loaded = read(&[&[rule("id='11' level='3' overwrite='yes'", "")]]);
    assert_eq!(messages(&loaded), ["there is no rule 11 to overwrite, it is loaded as a new rule"]);
    assert_eq!(below_syslog(&loaded.tree), "11");
}

#[test]
fn an_overwriting_rule_with_a_fault_leaves_the_old_one() {
    let loaded = read(&[&[top(11, 3, "")], &[rule("id='11' level='9' overwrite='yes'", "<list>x</list>")]]);
    assert_eq!(loaded.tree.rules.iter().find(|rule| rule.id == 11).unwrap().level, 3);
}

#[test]
fn places_cannot_multiply_without_bound() {
    let mut rules = vec![top(1000, 3, ""), top(1001, 3, "")];
    for step in 1..60 {
        let parents = format!("{},{}", 998 + step * 2, 999 + step * 2);
        rules.push(child(1000 + step * 2, 3, &parents));
        rules.push(child(1001 + step * 2, 3, &parents));
    }
    let loaded = read(&[&rules]);
    assert!(loaded.tree.nodes.len() <= super::MAX_NODES);
    assert!(messages(&loaded)[0].contains("more than 1000000 places"), "{:?}", messages(&loaded)[0]);
}

#[test]
fn a_chain_of_rules_may_be_as_long_as_it_likes() {
    let mut rules = vec![top(1000, 3, "")];
    rules.extend((1001..11_000).map(|id| child(id, 3, &(id - 1).to_string())));
    let loaded = read(&[&rules]);
    assert_eq!(loaded.diagnostics, []);
    assert_eq!(loaded.tree.rules.len(), 7 + 10_000);
}

/// The rule with that id.
fn by_id(loaded: &Loaded, id: u32) -> &Rule {
    loaded.tree.rules.iter().find(|rule| rule.id == id).unwrap()
}

fn index(loaded: &Loaded, id: u32) -> u32 {
    loaded.tree.rules.iter().position(|rule| rule.id == id).unwrap() as u32
}

#[test]
fn what_is_counted_stands_in_for_a_parent() {
    let rules = [
        top(11, 3, "alpha,"),
        top(12, 3, "beta,"),
        rule("id='13' level='9'", "<if_matched_sid>11</if_matched_sid>"),
        rule("id='14' level='8'", "<if_matched_group>beta</if_matched_group>"),
        rule("id='15' level='7'", "<if_matched_sid>12</if_matched_sid><if_sid>11</if_sid>"),
        rule("id='16' level='6'", "<if_matched_sid>12</if_matched_sid><if_group>alpha</if_group>"),
        rule("id='17' level='5'", "<if_matched_regex>x</if_matched_regex>"),
        // The sid stands before the level, the group behind it.
        rule(
            "id='18' level='2'",
            "<if_matched_group>beta</if_matched_group><if_level>9</if_level><category>ossec</category>",
        ),
    ];
    let loaded = read(&[&rules]);
    assert_eq!(messages(&loaded), [] as [&str; 0]);
    assert_eq!(
        list(&loaded.tree, &loaded.tree.roots),
        "1[17 11[13[18] 15 16] 12[14] 18] 2[18] 3[18] 4[18] 5[18] 6[18] 7[18]"
    );
    assert_eq!(by_id(&loaded, 18).correlation.as_ref().unwrap().source, CorrelationSource::Group);
}

#[test]
fn a_counted_sid_stands_before_a_level() {
    let both = rule("id='12' level='3'", "<if_matched_sid>11</if_matched_sid><if_level>1</if_level>");
    let loaded = read(&[&[top(11, 3, ""), both]]);
    assert_eq!(below_syslog(&loaded.tree), "11[12]");
    assert_eq!(messages(&loaded).len(), 1);
    assert!(messages(&loaded)[0].contains("<if_level> beside <if_matched_sid> has no effect"));
}

#[test]
fn the_counted_rule_must_be_loaded_before() {
    let counting = rule("id='12' level='3'", "<if_sid>11</if_sid><if_matched_sid>13</if_matched_sid>");
    let loaded = read(&[&[top(11, 3, ""), counting], &[top(13, 3, "")]]);
    assert_eq!(messages(&loaded), ["the counted rule 13 is loaded later than rule 12: it stands at b.xml:2"]);
    assert_eq!(below_syslog(&loaded.tree), "11 13");
}

#[test]
fn all_rules_of_a_group_feed_its_counter_as_often_as_they_stand_in_the_tree() {
    let rules = [
        top(11, 3, "Attack,"),
        top(12, 3, "no_attacks_here,"),
        child(13, 3, "11,12"),
        rule("id='14' level='3'", "<if_sid>11,12</if_sid><group>attack,</group>"),
        rule("id='15' level='9'", "<if_matched_group>attack</if_matched_group><group>attack,</group>"),
        rule("id='16' level='9'", "<if_sid>11</if_sid><if_matched_group>^t,attack,$</if_matched_group>"),
        top(17, 3, "attack,"),
    ];
    let loaded = read(&[&rules]);
    assert_eq!(messages(&loaded), [] as [&str; 0]);
    let (counting, anchored) = (index(&loaded, 15), index(&loaded, 16));
    let feed = |correlation: u32, times: u32| Feed { correlation, times };
    // 15 hangs below 11, 12 and both places of 14.
    assert_eq!(below_syslog(&loaded.tree), "11[15 16 13 14[15]] 12[15 13 14[15]] 17");
    assert_eq!(by_id(&loaded, 11).feeds, [feed(counting, 1), feed(anchored, 1)]);
    assert_eq!(by_id(&loaded, 12).feeds, [feed(counting, 1)]);
    assert_eq!(by_id(&loaded, 13).feeds, []);
    assert_eq!(by_id(&loaded, 14).feeds, [feed(counting, 2), feed(anchored, 2)]);
    assert_eq!(by_id(&loaded, 15).feeds, [feed(counting, 4), feed(anchored, 4)]);
    assert_eq!(by_id(&loaded, 17).feeds, [], "it came later");
}

#[test]
fn links_of_counters_are_bounded() {
    let mut rules: Vec<String> = (1000..2100).map(|id| top(id, 3, "")).collect();
    rules.extend((2100..3100).map(|id| {
        rule(&format!("id='{id}' level='3'"), "<if_sid>1000</if_sid><if_matched_group>t</if_matched_group>")
    }));
    let loaded = read(&[&rules]);
    assert!(messages(&loaded)[0].contains("count more than 1000000 rules"), "{:?}", messages(&loaded)[0]);
    assert!(loaded.tree.rules.iter().map(|rule| rule.feeds.len()).sum::<usize>() <= 1_000_000);
}

#[test]
fn overwriting_keeps_what_is_counted_and_replaces_how() {
    let count = |elements: &str| {
        rule("id='13' level='9' frequency='3'", &format!("<if_matched_sid>11</if_matched_sid>{elements}"))
    };
    let over =
        |elements: &str| rule("id='13' level='5' frequency='7' timeframe='9' overwrite='yes'", elements);
    let rules = [top(11, 3, "alpha,"), top(12, 3, ""), count("<same_srcip/>")];
    let loaded = read(&[&rules, &[over("<if_matched_sid>12</if_matched_sid><same_id/>")]]);
    assert_eq!(messages(&loaded), ["overwriting cannot change which events rule 13 counts"]);
    let counting = by_id(&loaded, 13).correlation.as_ref().unwrap();
    assert_eq!(counting.source, CorrelationSource::Sid(11));
    assert_eq!((counting.frequency, counting.timeframe, counting.same.len()), (7, 9, 1));
    assert!(format!("{:?}", counting.same).contains("Id"));

    let plain = rule("id='13' level='5' overwrite='yes'", "");
    let stopped = read(&[&rules, &[plain]]);
    assert_eq!(messages(&stopped), ["rule 13 counted events, and as it is overwritten it no longer does"]);
    assert_eq!(by_id(&stopped, 13).correlation, None);

    let begun = read(&[&[top(11, 3, ""), top(13, 3, "")], &[over("<if_matched_sid>11</if_matched_sid>")]]);
    assert_eq!(messages(&begun), ["overwriting cannot make rule 13 count events: it holds for each of them"]);
    assert_eq!(by_id(&begun, 13).correlation, None);
    assert_eq!(by_id(&begun, 13).frequency, Some(7));
}

#[test]
fn overwriting_keeps_the_links_of_counters() {
    let counter = |id: u32| {
        rule(&format!("id='{id}' level='9'"), "<if_sid>11</if_sid><if_matched_group>alpha</if_matched_group>")
    };
    let over = rule("id='11' level='3' overwrite='yes'", "<group>beta,</group>");
    let loaded = read(&[&[top(11, 3, "alpha,"), counter(12)], &[over, counter(13)]]);
    assert_eq!(by_id(&loaded, 11).groups, ["t", "beta"]);
    // Rule 13 came when rule 11 was no longer in the group.
    assert_eq!(by_id(&loaded, 11).feeds, [Feed { correlation: index(&loaded, 12), times: 1 }]);
    assert_eq!(messages(&loaded), ["no rule loaded before this one is in a group alpha: it never fires"]);
}
