//! The edges of what is remembered: windows, marks, bounds, and where the two front ends part.

use std::sync::Arc;

use super::*;

fn reader(frequency: u32, level: u8) -> Reader {
    Reader {
        identity: [level; 16],
        source: ReaderSource::Fed,
        frequency,
        timeframe: 60,
        level,
        global: false,
        same: Vec::new(),
        different: Vec::new(),
        wants_dynamic: false,
    }
}

fn differing(frequency: u32) -> Reader {
    Reader { different: vec![0], ..reader(frequency, 10) }
}

fn at(now: i64) -> Sight<'static> {
    Sight { now, key: b"", values: b"", has_dynamic: false }
}

fn value(value: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(value, &mut out);
    out
}

/// One reader over one store.
struct Bench {
    store: Store,
    reader: Reader,
    list: usize,
}

impl Bench {
    fn new(front_end: FrontEnd, reader: Reader) -> Self {
        let mut store = Store::new(front_end, Share::default());
        let list = store.lists_of(std::slice::from_ref(&reader))[0];
        Self { store, reader, list }
    }

    fn daemon(reader: Reader) -> Self {
        Self::new(FrontEnd::Daemon, reader)
    }

    /// An event that feeds the reader.
    fn feed(&mut self, sight: &Sight<'_>, mark: u8, log: &str) -> u64 {
        let event = self.store.remember(sight.now, mark, log.as_bytes());
        self.store.feed(self.list, &self.reader, sight, event, 1);
        event
    }

    fn fires(&mut self, sight: &Sight<'_>) -> bool {
        self.store.fires(self.list, &self.reader, sight, &mut Vec::new())
    }
}

#[test]
fn an_event_exactly_as_old_as_the_timeframe_counts() {
    let mut bench = Bench::daemon(reader(2, 10));
    bench.feed(&at(1000), 0, "");
    assert!(bench.fires(&at(1060)));
    assert!(!bench.fires(&at(1061)));
}

#[test]
fn the_current_event_counts_too() {
    let mut bench = Bench::daemon(reader(3, 10));
    bench.feed(&at(1), 0, "");
    assert!(!bench.fires(&at(1)));
    bench.feed(&at(1), 0, "");
    assert!(bench.fires(&at(1)));
}

#[test]
fn a_completed_count_starts_over_and_shows_its_events() {
    let mut bench = Bench::daemon(reader(3, 10));
    bench.feed(&at(1), 0, "first");
    bench.feed(&at(2), 0, "second");
    let mut previous: Vec<Arc<[u8]>> = Vec::new();
    assert!(bench.store.fires(bench.list, &bench.reader, &at(3), &mut previous));
    let logs: Vec<&[u8]> = previous.iter().map(|log| &**log).collect();
    assert_eq!(logs, [&b"second"[..], b"first"], "the newest first");
    // The second is marked: nothing from it on downwards counts again.
    bench.feed(&at(4), 0, "third");
    assert!(!bench.fires(&at(5)));
    bench.feed(&at(5), 0, "fourth");
    assert!(bench.fires(&at(6)));
}

#[test]
fn with_a_frequency_of_two_every_further_event_matches() {
    let mut bench = Bench::daemon(reader(2, 10));
    bench.feed(&at(1), 0, "");
    assert!(bench.fires(&at(2)) && bench.fires(&at(3)) && bench.fires(&at(4)));
}

#[test]
fn a_mark_ends_the_count_of_rules_up_to_its_level() {
    for (mark, fires) in [(9, true), (10, false), (11, false)] {
        let mut bench = Bench::daemon(reader(3, 10));
        bench.feed(&at(1), 0, "");
        bench.feed(&at(2), mark, "");
        assert_eq!(bench.fires(&at(3)), fires, "mark {mark}");
    }
}

#[test]
fn a_mark_on_an_event_that_does_not_differ_is_passed_over() {
    let (a, b) = (value(Some(b"a")), value(Some(b"b")));
    let sight = |values| Sight { values, ..at(1) };
    let mut bench = Bench::daemon(differing(2));
    bench.feed(&sight(&b), 0, "");
    bench.feed(&sight(&a), 10, "");
    assert!(bench.fires(&sight(&a)));
    assert!(!bench.fires(&sight(&b)), "this one differs from the marked one");
}

#[test]
fn keys_keep_events_apart() {
    let mut bench = Bench::daemon(reader(2, 10));
    let sight = |key| Sight { key, ..at(1) };
    bench.feed(&sight(b"x"), 0, "");
    assert!(!bench.fires(&sight(b"y")));
    assert!(bench.fires(&sight(b"x")));
}

#[test]
fn written_values_do_not_run_into_each_other() {
    let pair = |a: Option<&[u8]>, b: Option<&[u8]>| {
        let mut out = value(a);
        write_value(b, &mut out);
        out
    };
    assert_ne!(pair(Some(b"ab"), Some(b"c")), pair(Some(b"a"), Some(b"bc")));
    assert_ne!(value(None), value(Some(b"")));
}

#[test]
fn absent_values_differ_from_everything() {
    let (none, empty, a) = (value(None), value(Some(b"")), value(Some(b"a")));
    for (stored, current, differ) in
        [(&none, &none, true), (&none, &a, true), (&a, &none, true), (&a, &a, false), (&empty, &empty, false)]
    {
        let mut bench = Bench::daemon(differing(2));
        bench.feed(&Sight { values: stored, ..at(1) }, 0, "");
        assert_eq!(bench.fires(&Sight { values: current, ..at(1) }), differ, "{stored:?} {current:?}");
    }
}

#[test]
fn events_without_any_dynamic_field_do_not_differ_in_one() {
    let none = value(None);
    for (stored, current, differ) in
        [(false, false, false), (true, false, true), (false, true, true), (true, true, true)]
    {
        let mut bench = Bench::daemon(Reader { wants_dynamic: true, ..differing(2) });
        let sight = |has_dynamic| Sight { values: &none, has_dynamic, ..at(1) };
        bench.feed(&sight(stored), 0, "");
        assert_eq!(bench.fires(&sight(current)), differ, "{stored} {current}");
    }
}

#[test]
fn a_late_event_takes_its_place_in_time() {
    let mut bench = Bench::daemon(reader(3, 10));
    bench.feed(&at(100), 0, "");
    bench.feed(&at(30), 0, "");
    assert!(bench.fires(&at(90)), "30 and 100 are within a minute of 90");
    let mut bench = Bench::daemon(reader(2, 10));
    bench.feed(&at(100), 0, "");
    bench.feed(&at(30), 0, "");
    assert!(bench.fires(&at(160)), "the older one does not hide the newer");
}

#[test]
fn places_of_a_rule_count_in_the_test_front_end_only() {
    for (front_end, fires) in [(FrontEnd::Daemon, false), (FrontEnd::Test, true)] {
        let mut bench = Bench::new(front_end, reader(3, 10));
        let event = bench.store.remember(1, 0, b"");
        bench.store.feed(bench.list, &bench.reader, &at(1), event, 2);
        assert_eq!(bench.fires(&at(1)), fires, "{front_end:?}");
    }
}

#[test]
fn events_that_no_reader_looks_at_any_more_make_room() {
    let mut bench = Bench::new(FrontEnd::Daemon, reader(3, 10));
    bench.feed(&at(1), 0, "first");
    bench.feed(&at(11), 0, "second");
    bench.feed(&at(12), 0, "third");
    let mut previous = Vec::new();
    assert!(bench.store.fires(bench.list, &bench.reader, &at(12), &mut previous));
    let previous: Vec<&[u8]> = previous.iter().map(|log| &**log).collect();
    assert_eq!(
        previous,
        [&b"third"[..], b"second"],
        "the first is out of the window, the logs of the others are whole"
    );
    assert_eq!(bench.store.evicted(), 0, "nothing was forgotten before its time");
}

#[test]
fn the_oldest_events_are_forgotten_and_counted() {
    let mut bench = Bench::new(FrontEnd::Test, reader(2, 10));
    bench.feed(&at(1), 0, "");
    for _ in 0..8191 {
        bench.store.remember(1, 0, b"");
    }
    assert!(bench.fires(&at(1)));
    assert_eq!(bench.store.evicted(), 0);
    bench.store.remember(1, 0, b"");
    assert!(!bench.fires(&at(1)));
    assert_eq!(bench.store.evicted(), 1);
    // A mark on what is forgotten changes nothing that is there.
    let event = bench.feed(&at(2), 0, "");
    assert!(event > 8191 && bench.fires(&at(2)));
}

#[test]
fn a_demand_keeps_its_list_and_another_gets_its_own() {
    let mut store = Store::default();
    let (first, second) = (reader(2, 10), reader(2, 11));
    let [a, b] = store.lists_of(&[first, second])[..] else { unreachable!() };
    assert_ne!(a, b);
    assert_eq!(store.lists_of(&[reader(2, 11), reader(2, 12)])[0], b);
    assert_eq!(store.lists_of(&[reader(2, 10)]), [a]);
}

#[test]
fn an_ignore_window_ends_when_its_seconds_are_over() {
    for front_end in [FrontEnd::Daemon, FrontEnd::Test] {
        let mut store = Store::new(front_end, Share::default());
        let mut stamp = |rule, now| store.stamp(rule, 60, now);
        assert_eq!(stamp(1, 100), Stamp::Counts, "{front_end:?}");
        assert_eq!(stamp(2, 100), Stamp::Counts, "each rule has its own");
        assert_eq!(stamp(1, 159), Stamp::Ignored);
        assert_eq!(stamp(1, 160), Stamp::Counts, "{front_end:?}");
        // The daemon opens a new window with that match, the test front end with the next one.
        let (next, after) = match front_end {
            FrontEnd::Daemon => (Stamp::Ignored, Stamp::Ignored),
            FrontEnd::Test => (Stamp::Counts, Stamp::Ignored),
        };
        assert_eq!((stamp(1, 161), stamp(1, 162)), (next, after), "{front_end:?}");
    }
}

#[test]
fn a_text_is_compared_with_the_last_one_of_its_key() {
    let mut store = Store::default();
    assert_eq!(store.replace_text(b"k", b"one"), None, "the first has nothing to differ from");
    assert_eq!(store.replace_text(b"k", b"one"), None);
    assert_eq!(store.replace_text(b"k", b"two").as_deref(), Some(&b"one"[..]));
    assert_eq!(store.replace_text(b"other", b"three"), None);
    assert_eq!(store.replace_text(b"k", b"one").as_deref(), Some(&b"two"[..]));
}
