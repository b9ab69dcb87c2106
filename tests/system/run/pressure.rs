//! When events come faster than they can be judged: sources wait, senders are told to, memory stays. The analysis is made
//! slow by a rule whose pattern backtracks up to its limit.

use super::wait_for_alerts;
use crate::harness::Site;

/// Some milliseconds for each record that has the field `slow`.
const SLOW_RULES: &str = r#"<group name="slow,">
  <rule id="100400" level="7"><decoded_as>json</decoded_as><field name="slow" type="pcre2">^(a+)+$</field><description>Never.</description></rule>
  <rule id="100300" level="7"><decoded_as>json</decoded_as><field name="verdict">^blocked$</field><description>Request $(number) was blocked.</description></rule>
</group>
"#;

/// A site with one worker, [`SLOW_RULES`] and the smallest limits.
fn site(more: &str) -> Site {
    let site = Site::new();
    site.write("rules.xml", SLOW_RULES);
    site.configure(&format!(
        "workers: 1
rules: {{builtin: false, paths: [DIR/rules.xml]}}
limits: {{in_flight_bytes: 1MiB, journal_bytes: 1MiB}}
sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]
{more}
"
    ));
    site
}

/// Records that take their time, about 1 KiB each.
fn slow(count: usize) -> String {
    let line = |number: usize| {
        format!(
            "{{\"number\":{number},\"slow\":\"{}b\",\"fill\":\"{}\"}}\n",
            "a".repeat(40),
            "x".repeat(1_000)
        )
    };
    (0..count).map(line).collect()
}

#[test]
fn senders_are_told_to_come_back() {
    let site = site("sources: [{name: push, type: http}]");
    let mut daemon = site.start().ready();
    let client = daemon.client.clone();
    // An empty journal takes a batch of any size; while it is judged there is no room for another.
    client.post("/v1/ingest/json", &[], slow(1_500)).with_status(200);
    let refused = client.post("/v1/ingest/json", &[], super::blocked(1));
    assert_eq!(refused.status, 429, "{}", refused.body);
    let seconds: u32 = refused.retry_after.expect("Retry-After").parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(client.metric("threatlockdown_journal_unread_bytes") > 1e6);
    // It does as it was told.
    daemon.until("room in the journal", || {
        (client.post("/v1/ingest/json", &[], super::blocked(1)).status == 200).then_some(())
    });
    wait_for_alerts(&site, &mut daemon, 1);
    daemon.stop();
    assert_eq!(super::numbers(&site.alerts()), [1], "what was refused was not taken");
}

#[test]
fn files_wait_until_there_is_room() {
    let site = site(
        "sources: [{name: app, type: file, source: json, paths: [DIR/app.log]}]\nshutdown: {deadline: 100s}",
    );
    site.write("app.log", slow(60_000));
    let mut daemon = site.start().ready();
    let client = daemon.client.clone();
    daemon.until("some events", || (client.metric("threatlockdown_events_total") > 300.0).then_some(()));
    for _ in 0..20 {
        let read = client.metric("threatlockdown_source_bytes_total{connector=\"app\"");
        let in_flight = client.metric("threatlockdown_in_flight_bytes");
        // The budget, and one unit that was let in when there still was room.
        assert!(in_flight < 3e6, "{in_flight} bytes in flight");
        assert!(read < 4e7, "{read} of 60 million bytes were read while next to nothing was judged");
    }
    if let Some(peak) = daemon.peak_bytes() {
        assert!(peak < 200 << 20, "{} MiB", peak >> 20);
    }
    daemon.kill();
}

#[test]
fn a_second_signal_leaves_at_once() {
    let site = site(
        "sources: [{name: app, type: file, source: json, paths: [DIR/app.log]}]\nshutdown: {deadline: 1h}",
    );
    // Long enough to be judged that the drain cannot be over before the second signal.
    site.write("app.log", slow(60_000) + &super::blocked(1));
    let mut daemon = site.start().ready();
    let client = daemon.client.clone();
    daemon.until("some events", || (client.metric("threatlockdown_events_total") > 0.0).then_some(()));
    daemon.terminate();
    daemon.until("the drain", || {
        let reply = client.get("/readyz");
        (reply.status == 503 && reply.body.contains("draining")).then_some(())
    });
    daemon.terminate();
    assert_eq!(daemon.wait().code(), Some(143), "{}", daemon.log());

    // Nothing is lost by that: the next process, which is not slow, goes on.
    site.write("rules.xml", super::RULES);
    let mut daemon = site.start().ready();
    wait_for_alerts(&site, &mut daemon, 1);
    daemon.stop();
    assert_eq!(super::numbers(&site.alerts()), [1]);
}

#[test]
fn a_drain_that_takes_too_long_is_given_up() {
    let site = site(
        "sources: [{name: app, type: file, source: json, paths: [DIR/app.log]}]\nshutdown: {deadline: 10ms}",
    );
    site.write("app.log", slow(60_000));
    let mut daemon = site.start().ready();
    let client = daemon.client.clone();
    daemon.until("some events", || (client.metric("threatlockdown_events_total") > 0.0).then_some(()));
    daemon.terminate();
    assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.log());
}
