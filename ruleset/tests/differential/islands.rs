//! Random rule sets of several islands: each has rules, lists and fields of its own, and now and then one that it shares
//! with another.

use std::fmt::Write as _;

use crate::apart::Told;
use crate::rng::Rng;

const EVENTS: usize = 80;
const KINDS: [&str; 3] = ["a", "b", "c"];

/// Rule files with events in the order of time.
pub(crate) fn trials(count: u64) -> impl Iterator<Item = (String, Vec<Told>)> {
    let seed: u64 = std::env::var("THREATLOCKDOWN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let soak = std::env::var_os("THREATLOCKDOWN_SOAK").is_some_and(|value| value == "1");
    (0..count * if soak { 50 } else { 1 }).map(move |number| {
        let mut rng = Rng::new((seed << 40) + (1 << 32) + number);
        let islands = 2 + rng.below(4);
        let text = file(&mut rng, islands);
        (text, events(&mut rng, islands))
    })
}

fn file(rng: &mut Rng, islands: usize) -> String {
    let mut text = String::from("<group name=\"r,\">\n");
    let mut all: Vec<usize> = Vec::new();
    for island in 0..islands {
        let first = 100_000 + 100 * island;
        let level = rng.pick(&["0", "2"]);
        let noalert = rng.pick(&["", " noalert=\"1\""]);
        let _ = writeln!(
            text,
            "<rule id=\"{first}\" level=\"{level}\"{noalert}><decoded_as>json</decoded_as><field name=\"isle\">^i{island}$</field><description>d</description></rule>"
        );
        let mut own = vec![first];
        for number in 0..1 + rng.below(3) {
            let id = first + 1 + number;
            let level = rng.pick(&["3", "5", "7", "0"]);
            let ignore = if rng.one_in(12) { " ignore=\"15\"" } else { "" };
            let noalert = if rng.one_in(10) { " noalert=\"1\"" } else { "" };
            let kind = condition(rng);
            let group = if number > 0 && rng.one_in(6) { "shared".to_owned() } else { format!("g{island}") };
            let _ = writeln!(
                text,
                "<rule id=\"{id}\" level=\"{level}\"{ignore}{noalert}><if_sid>{first}</if_sid>{kind}<group>{group},</group><description>d</description></rule>"
            );
            own.push(id);
        }
        let common = if rng.one_in(4) { "" } else { same(rng) };
        for number in 0..1 + rng.below(5) {
            let id = first + 10 + number;
            stateful(rng, id, island, common, &own, &all, &mut text);
            own.push(id);
        }
        all.extend(own);
    }
    text.push_str("</group>\n");
    text
}

/// A rule that looks at earlier events.
fn stateful(
    rng: &mut Rng,
    id: usize,
    island: usize,
    common: &str,
    own: &[usize],
    all: &[usize],
    text: &mut String,
) {
    let level = rng.pick(&["0", "6", "8", "8", "10", "12"]);
    let noalert = if rng.one_in(8) { " noalert=\"1\"" } else { "" };
    let sid = match all {
        [_, ..] if rng.one_in(10) => all[rng.below(all.len())],
        _ => own[rng.below(own.len())],
    };
    if rng.one_in(8) {
        let what = rng.pick(&[
            "<check_diff />",
            "<ignore>srcip</ignore>",
            "<check_if_ignored>srcip</check_if_ignored>",
        ]);
        let kind = condition(rng);
        let _ = writeln!(
            text,
            "<rule id=\"{id}\" level=\"{level}\"{noalert}><if_sid>{sid}</if_sid>{kind}{what}<description>d</description></rule>"
        );
        return;
    }
    let ignore = if rng.one_in(10) { " ignore=\"20\"" } else { "" };
    let (frequency, timeframe) = (2 + rng.below(3), 10 + rng.below(50));
    let source = match rng.below(5) {
        0 => format!("<if_matched_group>g{island}</if_matched_group>"),
        1 if text.contains("<group>shared,") => "<if_matched_group>shared</if_matched_group>".to_owned(),
        _ => format!("<if_matched_sid>{sid}</if_matched_sid>"),
    };
    // Beside rules that give no result themselves there is a way on to later ones.
    let parent = if rng.one_in(4) { format!("<if_sid>{}</if_sid>", own[0]) } else { String::new() };
    let kind = if rng.one_in(3) { condition(rng) } else { String::new() };
    let more = match rng.below(6) {
        0 => "<different_field>k</different_field>",
        1 => same(rng),
        2 => "<global_frequency />",
        _ => "",
    };
    let more = if more == common { "" } else { more };
    let _ = writeln!(
        text,
        "<rule id=\"{id}\" level=\"{level}\" frequency=\"{frequency}\" timeframe=\"{timeframe}\"{ignore}{noalert}>{source}{parent}{kind}{common}{more}<group>c{island},</group><description>d</description></rule>"
    );
}

fn condition(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => String::new(),
        1 => format!("<field name=\"kind\">^{}|{}$</field>", rng.pick(&KINDS), rng.pick(&KINDS)),
        _ => format!("<field name=\"kind\">^{}$</field>", rng.pick(&KINDS)),
    }
}

fn same(rng: &mut Rng) -> &'static str {
    rng.pick(&["<same_srcip />", "<same_srcip />", "<same_user />", "<same_field>k</same_field>"])
}

fn events(rng: &mut Rng, islands: usize) -> Vec<Told> {
    let mut now = 1_700_000_000;
    let mut one = |rng: &mut Rng| {
        now += match rng.below(12) {
            0 => 30 + rng.below(60) as i64,
            1..=5 => 0,
            _ => 1 + rng.below(5) as i64,
        };
        let mut event = format!("{{\"isle\":\"i{}\",\"kind\":\"{}\"", rng.below(islands), rng.pick(&KINDS));
        for (name, values) in
            [("srcip", ["10.0.0.1", "10.0.0.2"]), ("dstuser", ["ann", "bob"]), ("k", ["x", "y"])]
        {
            if !rng.one_in(8) {
                let _ = write!(event, ",\"{name}\":\"{}\"", rng.pick(&values));
            }
        }
        event.push('}');
        Told::line(now, &event)
    };
    (0..EVENTS).map(|_| one(rng)).collect()
}
