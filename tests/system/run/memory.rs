//! What rules remember stays within its bound while very many keys come, and what has to go for that is metered and told.

use std::fmt::Write as _;

use crate::harness::Site;

const RULES: &str = r#"<group name="memory,">
  <rule id="100800" level="1"><decoded_as>json</decoded_as><field name="outcome">^failed$</field><description>Login failed.</description></rule>
  <rule id="100801" level="10" frequency="9" timeframe="3600"><if_matched_sid>100800</if_matched_sid><same_field>address</same_field><description>Logins failed.</description></rule>
</group>
"#;

/// Far more than the bound of 16 MiB: each log is remembered, up to 1 KiB.
const RECORDS: u32 = 30_000;

#[test]
fn very_many_keys_stay_within_the_bound_and_what_is_forgotten_is_told() {
    let site = Site::new();
    site.write("rules.xml", RULES);
    site.configure(
        "workers: 1\nrules: {builtin: false, paths: [DIR/rules.xml]}\n\
         state: {max_bytes: 16MiB, idle: 200ms}\nlimits: {in_flight_bytes: 1MiB}\n\
         sinks: [{name: alerts, type: file, path: DIR/alerts.jsonl}]\n\
         sources: [{name: app, type: file, source: json, paths: [DIR/app.log]}]\n",
    );
    let (mut lines, fill) = (String::new(), "x".repeat(900));
    for number in 0..RECORDS {
        let (minute, second) = (number / 600, number / 10 % 60);
        let _ = writeln!(
            lines,
            r#"{{"timestamp":"2025-03-01T10:{minute:02}:{second:02}Z","outcome":"failed","address":"10.0.{}.{}","fill":"{fill}"}}"#,
            number / 250,
            number % 250
        );
    }
    site.write("app.log", lines);
    let mut daemon = site.start().ready();
    let client = daemon.client.clone();
    let forgotten = "threatlockdown_memory_evicted_total{component=\"100801\"";
    daemon.until("forgotten events", || {
        let bytes = client.metric("threatlockdown_memory_bytes{component=\"100801\"");
        assert!(bytes <= f64::from(12 << 20), "{bytes}: three quarters are for the rules");
        (client.metric(forgotten) > f64::from(RECORDS) / 4.0).then_some(())
    });
    // What it takes beside this bound has nothing to do with the keys: an unbounded memory would take 40 MiB more.
    if let Some(peak) = daemon.peak_bytes() {
        assert!(peak < 160 << 20, "{} MiB", peak >> 20);
    }
    let told = |log: &str| log.contains("rules had to forget events") && log.contains("of 100801");
    daemon.until("the warning", || told(&daemon_log(&site)).then_some(()));
    daemon.stop();
    assert_eq!(site.alerts().len(), 0);
}

fn daemon_log(site: &Site) -> String {
    std::fs::read_to_string(site.path("stderr.log")).unwrap_or_default()
}
