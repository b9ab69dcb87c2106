//! What one event has to do with those before it, and with the time.

use super::*;
use crate::ir::{KeyPart, Subject};

/// A run of events through one memory.
struct Run<'s> {
    naive: Naive<'s>,
    memory: NaiveMemory,
}

impl<'s> Run<'s> {
    fn new(set: &'s RuleSet, options: NaiveOptions) -> Self {
        Self { naive: Naive::new(set), memory: NaiveMemory::new(options) }
    }

    fn of(set: &'s RuleSet) -> Self {
        Self::new(set, NaiveOptions::default())
    }

    fn test_front_end(set: &'s RuleSet) -> Self {
        Self::new(set, NaiveOptions { front_end: FrontEnd::Test, zone_offset: 0 })
    }

    fn verdict(&mut self, seconds: i64, agent: &str, message: &str) -> NaiveVerdict {
        let event = NaiveEvent { seconds, agent, ..NaiveEvent::new(message.as_bytes()) };
        self.naive.evaluate(&mut self.memory, &event)
    }

    fn id(&mut self, seconds: i64, message: &str) -> Option<u32> {
        self.verdict(seconds, "000", message).id
    }

    /// Results of one message at these times.
    fn ids(&mut self, times: &[i64], message: &str) -> Vec<u32> {
        times.iter().map(|time| self.id(*time, message).unwrap_or_default()).collect()
    }
}

fn json(pairs: &[(&str, &str)]) -> String {
    let members: Vec<String> = pairs.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn a_correlation_counts_anew_after_it_fired() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='5' frequency='3' timeframe='10'", "<if_matched_sid>11</if_matched_sid>"),
    ]);
    // The firing event is not one of rule 11, so three more are needed, but for the mark.
    assert_eq!(Run::of(&set).ids(&[0; 8], "a"), [11, 11, 12, 11, 11, 12, 11, 11]);
}

#[test]
fn two_events_are_enough_again_and_again() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='5' frequency='2' timeframe='10'", "<if_matched_sid>11</if_matched_sid>"),
    ]);
    assert_eq!(Run::of(&set).ids(&[0, 1, 2, 10, 11, 12], "a"), [11, 12, 12, 12, 11, 12]);
}

#[test]
fn exactly_the_timeframe_still_counts() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='5' frequency='3' timeframe='10'", "<if_matched_sid>11</if_matched_sid>"),
    ]);
    assert_eq!(Run::of(&set).ids(&[0, 5, 10], "a"), [11, 11, 12]);
    assert_eq!(Run::of(&set).ids(&[0, 5, 11, 12], "a"), [11, 11, 11, 12]);
}

#[test]
fn a_higher_level_ignores_the_marks_of_a_lower_one() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='12' frequency='5'", "<if_matched_sid>11</if_matched_sid>"),
        ("id='13' level='5' frequency='3'", "<if_matched_sid>11</if_matched_sid>"),
    ]);
    // Rule 12 sees the third and sixth of rule 11's events not at all: they were decided by rule 13.
    assert_eq!(Run::of(&set).ids(&[0; 8], "a"), [11, 11, 13, 11, 11, 12, 11, 11]);
}

#[test]
fn agents_count_alone_unless_the_frequency_is_global() {
    let of = |global: &str| {
        let set = rules(&[
            ("id='11' level='3'", "<match>a</match>"),
            ("id='12' level='5' frequency='2'", &format!("<if_matched_sid>11</if_matched_sid>{global}")),
        ]);
        let mut run = Run::of(&set);
        ["001", "002", "001"].map(|agent| run.verdict(0, agent, "a").id.unwrap())
    };
    assert_eq!(of(""), [11, 11, 12]);
    assert_eq!(of("<global_frequency />"), [11, 12, 12]);
}

#[test]
fn same_must_be_there_and_different_may_be_absent() {
    let run = |element: &str, first: &[(&str, &str)], second: &[(&str, &str)]| {
        let set = rules(&[
            ("id='11' level='3'", "<decoded_as>json</decoded_as>"),
            ("id='12' level='5' frequency='2'", &format!("<if_matched_sid>11</if_matched_sid>{element}")),
        ]);
        let mut run = Run::of(&set);
        assert_eq!(run.id(0, &json(first)), Some(11));
        run.id(0, &json(second)) == Some(12)
    };
    for (element, name) in [("<same_srcip />", "srcip"), ("<same_field>x.y</same_field>", "X.y")] {
        assert!(run(element, &[(name, "1")], &[(name, "1")]), "{element}");
        assert!(!run(element, &[(name, "1")], &[(name, "2")]), "{element}");
        assert!(!run(element, &[("z", "1")], &[("z", "1")]), "{element}");
    }
    for (element, name) in [("<different_url />", "url"), ("<different_field>x.y</different_field>", "X.y")] {
        assert!(!run(element, &[(name, "1")], &[(name, "1")]), "{element}");
        assert!(run(element, &[(name, "1")], &[(name, "2")]), "{element}");
        assert!(run(element, &[("z", "1")], &[("z", "1")]), "{element}");
    }
    // Without any dynamic field in either event there is nothing to compare.
    assert!(!run("<different_field>x</different_field>", &[("id", "1")], &[("id", "2")]));
    assert!(run("<different_id />", &[("id", "1")], &[("id", "2")]));
    // Static fields are never found by name, letter case or not.
    assert!(!run("<same_field>url</same_field>", &[("url", "1")], &[("url", "1")]));
}

#[test]
fn groups_are_fed_for_each_node_of_a_rule() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='3'", "<match>b</match>"),
        ("id='13' level='4'", "<if_sid>11, 12</if_sid><match>c</match><group>two,</group>"),
        ("id='14' level='4'", "<if_sid>11</if_sid><match>d</match><group>two,</group>"),
        ("id='15' level='9' frequency='3'", "<if_matched_group>two</if_matched_group>"),
    ]);
    // Rule 13 hangs at two nodes: to the test front end one event of it counts as two.
    assert_eq!(Run::test_front_end(&set).ids(&[0, 0], "ac"), [13, 15]);
    assert_eq!(Run::of(&set).ids(&[0, 0, 0], "ac"), [13, 13, 15]);
    assert_eq!(Run::of(&set).ids(&[0, 0, 0], "ad"), [14, 14, 15]);
}

#[test]
fn what_is_counted_by_its_id_is_not_counted_by_its_group() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match><group>g,</group>"),
        ("id='12' level='3'", "<match>b</match><group>g,</group>"),
        ("id='13' level='9' frequency='2'", "<if_matched_group>g</if_matched_group>"),
        ("id='14' level='5' frequency='9'", "<if_matched_sid>11</if_matched_sid>"),
    ]);
    assert_eq!(Run::of(&set).ids(&[0, 0], "a"), [11, 11]);
    assert_eq!(Run::of(&set).ids(&[0, 0], "b"), [12, 13]);
}

#[test]
fn earlier_logs_can_be_chosen_by_a_pattern() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='9' frequency='3'", "<if_matched_regex>b$</if_matched_regex><match>now</match>"),
    ]);
    let mut run = Run::of(&set);
    let results = ["a b", "a", "a b", "now"].map(|log| run.id(0, log));
    assert_eq!(results, [Some(11), Some(11), Some(11), Some(12)]);
    let mut run = Run::of(&set);
    assert_eq!(["a b", "a", "now"].map(|log| run.id(0, log)), [Some(11), Some(11), None]);
}

#[test]
fn silent_rules_are_not_remembered() {
    let set = rules(&[
        ("id='11' level='0'", "<match>a</match>"),
        ("id='12' level='9' frequency='2'", "<if_matched_sid>11</if_matched_sid>"),
    ]);
    assert_eq!(Run::of(&set).ids(&[0, 0, 0], "a"), [11, 11, 11]);
}

#[test]
fn the_oldest_of_many_events_are_forgotten() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='3'", "<match>b</match>"),
        ("id='13' level='9' frequency='2'", "<if_matched_sid>11</if_matched_sid>"),
    ]);
    for (others, expected) in [(8191, Some(13)), (8192, Some(11))] {
        let mut run = Run::of(&set);
        assert_eq!(run.id(0, "a"), Some(11));
        for _ in 0..others {
            assert_eq!(run.id(0, "b"), Some(12));
        }
        assert_eq!(run.id(0, "a"), expected, "after {others}");
    }
}

#[test]
fn ignored_matches_give_their_parent_to_the_daemon() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='5' ignore='10'", "<if_sid>11</if_sid>"),
    ]);
    assert_eq!(Run::of(&set).ids(&[0, 9, 10, 19, 20], "a"), [12, 11, 12, 11, 12]);
}

#[test]
fn ignored_matches_are_shown_by_the_test_front_end() {
    let set = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='5' ignore='10'", "<if_sid>11</if_sid>"),
        ("id='13' level='9' frequency='2'", "<if_matched_sid>12</if_matched_sid><match>a now</match>"),
    ]);
    let mut run = Run::test_front_end(&set);
    let results: Vec<(u32, bool)> = [0, 9, 10, 11, 20, 21]
        .map(|time| run.verdict(time, "000", "a"))
        .map(|verdict| (verdict.id.unwrap(), verdict.alert))
        .into();
    // At 10 the stamp is cleared, at 11 set anew.
    assert_eq!(results, [(12, true), (12, false), (12, true), (12, true), (12, false), (12, true)]);
    let mut run = Run::test_front_end(&set);
    assert_eq!(run.ids(&[0, 9], "a"), [12, 12]);
    assert_eq!(run.id(400, "a now"), Some(12), "what was ignored at 9 was not remembered");
}

#[test]
fn values_can_be_ignored_from_then_on() {
    let set = rules(&[
        ("id='11' level='3'", "<match>quiet</match><ignore>srcip</ignore>"),
        ("id='12' level='3'", "<match>loud</match><check_if_ignored>srcip</check_if_ignored>"),
    ]);
    let loud = |address| json(&[("srcip", address), ("x", "loud")]);
    let quiet = json(&[("srcip", "1"), ("x", "quiet")]);
    let mut run = Run::of(&set);
    let events = [loud("1"), quiet.clone(), loud("1"), loud("2")];
    assert_eq!(events.map(|event| run.id(0, &event)), [Some(12), Some(11), None, Some(12)]);
    // The test front end of the reference never finds them.
    let mut run = Run::test_front_end(&set);
    assert_eq!([quiet, loud("1")].map(|event| run.id(0, &event)), [Some(11), Some(12)]);
}

#[test]
fn a_log_can_be_compared_with_the_last_one() {
    let set = rules(&[("id='11' level='3'", "<check_diff />")]);
    let mut run = Run::of(&set);
    let line = |host, text| format!("Dec 29 10:00:01 {host} app: {text}");
    let results = [("h", "a"), ("h", "a"), ("h", "b"), ("h", "b"), ("i", "b"), ("h", "a")]
        .map(|(host, text)| run.id(0, &line(host, text)).is_some());
    assert_eq!(results, [false, false, true, false, false, true]);
}

fn first_seen_set(category: Category) -> RuleSet {
    let decoders = DecoderTree {
        decoders: vec![Decoder {
            prematch: os_regex("^user ", Offset::Log),
            regex: os_regex(r"^(\S+)", Offset::AfterPrematch),
            order: order("srcuser"),
            fts: vec![KeyPart::Subject(Subject::Static(StaticField::SrcUser))],
            category: Some(category),
            ..empty("first")
        }],
        without_program: vec![0],
        ..DecoderTree::default()
    };
    let text =
        group(&[("id='11' level='3'", &format!("<category>{}</category><if_fts />", category.name()))]);
    set_of(&[("t.xml", text)], decoders, Vec::new())
}

#[test]
fn a_key_is_new_once() {
    let set = first_seen_set(Category::Syslog);
    let mut run = Run::of(&set);
    let results = ["user a", "user b", "user a", "other"].map(|log| run.id(0, log).is_some());
    assert_eq!(results, [true, true, false, false]);
    let mut run = Run::of(&set);
    // Nothing is cut for other types than intrusion detection.
    assert!((0..9).all(|number| run.id(0, &format!("user long-common-part-{number}")).is_some()));
}

#[test]
fn similar_keys_of_intrusion_detection_are_one() {
    let set = first_seen_set(Category::Ids);
    let mut run = Run::of(&set);
    // From the fourth on three are similar: the short key is new once.
    let results: Vec<bool> =
        (0..7).map(|number| run.id(0, &format!("user long-common-part-{number}")).is_some()).collect();
    assert_eq!(results, [true, true, true, true, false, false, false]);
}

#[test]
fn parts_of_an_event_are_put_together() {
    let decoders = DecoderTree {
        decoders: vec![
            Decoder {
                prematch: os_regex("^part ", Offset::Log),
                regex: os_regex(r"^(\S+) (\S+)", Offset::AfterPrematch),
                order: order("id,srcuser"),
                accumulate: true,
                ..empty("parts")
            },
            Decoder {
                prematch: os_regex("^rest ", Offset::Log),
                regex: os_regex(r"^(\S+) (\S+)", Offset::AfterPrematch),
                order: order("id,srcip"),
                accumulate: true,
                ..empty("parts")
            },
        ],
        without_program: vec![0, 1],
        ..DecoderTree::default()
    };
    let set = set_of(&[], decoders, Vec::new());
    let mut run = Run::of(&set);
    let has_user = |run: &mut Run<'_>, time, log: &str| {
        run.verdict(time, "000", log).fields.contains(&("srcuser".into(), "u".into()))
    };
    assert!(has_user(&mut run, 0, "part 1 u"));
    assert!(!has_user(&mut run, 0, "rest 2 x"));
    assert!(has_user(&mut run, 120, "rest 1 x"));
    assert!(has_user(&mut run, 240, "rest 1 x"));
    assert!(!has_user(&mut run, 361, "rest 1 x"));
}

#[test]
fn times_and_days_are_those_of_the_zone() {
    let holds = |element: &str, zone_offset: i32, seconds: i64| {
        let set = rules(&[("id='11' level='3'", element)]);
        let options = NaiveOptions { zone_offset, ..NaiveOptions::default() };
        Run::new(&set, options).id(seconds, "x").is_some()
    };
    let (hour, day) = (3600, 86_400);
    let minute_of = |element| {
        [8 * hour - 1, 8 * hour, 17 * hour + 59, 17 * hour + 60].map(|time| holds(element, 0, time))
    };
    assert_eq!(minute_of("<time>8 am - 5 pm</time>"), [false, true, true, false]);
    assert_eq!(minute_of("<time>5 pm - 8 am</time>"), [true, false, false, true]);
    assert!(holds("<time>8 am - 5 pm</time>", 7200, 6 * hour));
    assert!(!holds("<time>8 am - 5 pm</time>", 7200, 16 * hour));
    // 1 January 1970 was a Thursday.
    assert!(holds("<weekday>thursday</weekday>", 0, 0));
    assert!(holds("<weekday>wed</weekday>", -1, 0));
    assert!(holds("<weekday>weekends</weekday>", 0, 2 * day));
    assert!(!holds("<weekday>weekends</weekday>", 0, 4 * day));
}
