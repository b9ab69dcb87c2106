//! `<time>` and `<weekday>` mean the zone that is configured, with summer time where the event lies in summer.

use super::{numbers, wait_for_alerts};
use crate::harness::{Site, Task};

/// From eight to nine in the morning, and on Mondays.
const RULES: &str = r#"<group name="own,">
  <rule id="100800" level="5"><decoded_as>json</decoded_as><time>8:00 - 8:59</time><description>In the morning.</description></rule>
  <rule id="100801" level="5"><decoded_as>json</decoded_as><weekday>monday</weekday><description>On Monday.</description></rule>
</group>
"#;

/// By their numbers: the morning of Berlin in winter and in summer, that of UTC, and a Sunday that is a Monday in Berlin.
const TIMES: [&str; 5] = [
    "2025-01-15T07:30:00Z",
    "2025-07-15T06:30:00Z",
    "2025-07-15T07:30:00Z",
    "2025-07-15T08:30:00Z",
    "2025-07-13T22:30:00Z",
];
const IN_BERLIN: [usize; 3] = [0, 1, 4];
const IN_UTC: [usize; 1] = [3];

fn events() -> String {
    let event = |(number, time)| format!("{{\"timestamp\":\"{time}\",\"number\":{number}}}\n");
    TIMES.iter().enumerate().map(event).collect()
}

#[test]
fn scan_and_logtest_take_a_zone() {
    let site = Site::new();
    let (rules, log) = (site.write("rules.xml", RULES), site.write("app.log", events()));
    let scan = |zone: &[&str]| {
        let task = Task::new(["scan", "--source", "json", "--rules"]).arg(&rules);
        let task = zone.iter().fold(task, Task::arg);
        numbers(&task.arg(&log).run().with_code(1).json())
    };
    assert_eq!(scan(&[]), IN_UTC);
    assert_eq!(scan(&["--time-zone", "UTC"]), IN_UTC);
    assert_eq!(scan(&["--time-zone", "Europe/Berlin"]), IN_BERLIN);
    // Half past seven in the summer of UTC, which is what counts in `logtest`: the receipt.
    let logtest = |zone: &[&str]| {
        let args = ["logtest", "--source", "json", "--format", "json", "--clock", "1752561000,1s", "--rules"];
        let task = zone.iter().fold(Task::new(args).arg(&rules), Task::arg);
        task.input("{\"number\":1}\n").run().with_code(0).json()[0]["rule"]["id"].clone()
    };
    assert_eq!(logtest(&["--time-zone", "Europe/Berlin"]), "100800");
    assert_ne!(logtest(&[]), "100800");
    let wrong = Task::new(["scan", "--time-zone", "Europe/Nowhere"]).arg(&log).run().with_code(2);
    assert!(
        wrong.stderr.contains("Europe/Nowhere") && wrong.stderr.contains("Europe/Berlin"),
        "{}",
        wrong.stderr
    );
    let setting = Task::new(["scan", "--time-zone", "localtime"]).arg(&log).run().with_code(2);
    assert!(
        setting.stderr.contains("what this machine is set to") && setting.stderr.contains("Europe/Berlin"),
        "{}",
        setting.stderr
    );
}

#[test]
fn run_takes_it_from_the_configuration_and_the_flag_goes_before() {
    let configured = |zone: &str| {
        let site = Site::new();
        site.write("rules.xml", RULES);
        site.configure(&format!(
            "rules: {{paths: [DIR/rules.xml]{zone}}}\n\
             sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]\n\
             sources: [{{name: app, type: file, source: json, paths: [DIR/app.log]}}]\n"
        ));
        site.write("app.log", events());
        site
    };
    for (zone, flag, expected) in [
        ("", None, &IN_UTC[..]),
        (", time_zone: Europe/Berlin", None, &IN_BERLIN[..]),
        (", time_zone: Asia/Tokyo", Some("Europe/Berlin"), &IN_BERLIN[..]),
    ] {
        let site = configured(zone);
        let config = site.text("config.yaml");
        let mut flags = vec!["-c", &*config];
        flags.extend(flag.iter().flat_map(|zone| ["--time-zone", zone]));
        let mut daemon = site.start_with(&flags).ready();
        wait_for_alerts(&site, &mut daemon, expected.len());
        daemon.stop();
        assert_eq!(numbers(&site.alerts()), expected, "{zone} {flag:?}");
    }
    let site = configured(", time_zone: Europe/Nowhere");
    let check = Task::new(["config", "check", "-c", &site.text("config.yaml")]).run().with_code(2);
    let fault = "config.yaml:3:";
    assert!(check.stderr.contains(fault) && check.stderr.contains("Europe/Nowhere"), "{}", check.stderr);
}
