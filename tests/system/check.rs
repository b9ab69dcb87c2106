//! `rules check` and `config check`: every fault at once, with its place and a remedy; nothing that a text can do to them;
//! secrets stay secret.

use crate::harness::{Finished, Site, Task};
use crate::scan::posture_rules;

/// Expects a fault at this place whose three lines hold these texts.
#[track_caller]
fn expect_fault(finished: &Finished, place: &str, texts: &[&str]) {
    let lines: Vec<&str> = finished.stderr.lines().collect();
    let at = lines.iter().position(|line| line.starts_with(&format!("{place}: ")));
    let at = at.unwrap_or_else(|| panic!("no fault at {place}:\n{}", finished.stderr));
    let end = lines[at + 1..]
        .iter()
        .position(|line| !line.starts_with(' '))
        .map_or(lines.len(), |count| at + 1 + count);
    let fault = lines[at..end].join("\n");
    for text in texts {
        assert!(fault.contains(text), "{text:?} is not in:\n{fault}");
    }
    assert!(fault.contains("help: "), "no remedy:\n{fault}");
}

#[test]
fn good_rules_pass() {
    let site = Site::new();
    let posture = site.write("rules/posture.xml", posture_rules());
    let finished = Task::new(["rules", "check"]).arg(&posture).run().with_code(0);
    assert!(finished.stdout.contains("6 rules"), "{}", finished.stdout);
    assert_eq!(finished.stderr, "");
    Task::new(["rules", "check"]).arg(site.path("rules")).run().with_code(0);
    let listed = Task::new(["rules", "list", "100201", "--rules"]).arg(posture).run().with_code(0).stdout;
    assert!(listed.lines().count() == 1 && listed.contains("posture.xml:3"), "{listed}");
}

#[test]
fn every_fault_of_rule_files_is_told_at_once() {
    let site = Site::new();
    let one = site.write(
        "one.xml",
        r#"<group name="own,">
  <rule id="100001" level="99">
    <if_sid>80254</if_sid>
    <field name="a">(</field>
    <descripton>x</descripton>
    <description>wrong level, pattern and element</description>
  </rule>
  <rule id="100002" level="5">
    <decoded_as>json</decoded_as>
    <field name="a" type="pcre2">(unclosed</field>
    <description>wrong pattern</description>
  </rule>
  <rule id="100003">
    <decoded_as>json</decoded_as>
    <description>no level</description>
  </rule>
  <rule id="abc" level="3"><match>x</match><description>no number</description></rule>
  <rule id="100004" level="3"><match>x</match></rule>
</group>
"#,
    );
    let two = site.write("two.xml", "<group name=\"own,\">\n  <rule id=\"100005\" level=\"3\">\n");
    let none = site.path("none.xml");
    let finished = Task::new(["rules", "check"]).arg(&one).arg(&two).arg(&none).run().with_code(2);
    let one = one.display();
    expect_fault(&finished, &format!("{one}:2:21"), &["error", "level", "99", "0 to 16"]);
    expect_fault(&finished, &format!("{one}:4:21"), &["error", "("]);
    expect_fault(&finished, &format!("{one}:5:5"), &["error", "descripton", "did you mean description"]);
    expect_fault(&finished, &format!("{one}:10:43"), &["error", "parenthesis", "(unclosed"]);
    expect_fault(&finished, &format!("{one}:13:3"), &["error", "no level"]);
    expect_fault(&finished, &format!("{one}:17:9"), &["error", "abc"]);
    expect_fault(&finished, &format!("{one}:18:3"), &["error", "description"]);
    expect_fault(&finished, &format!("{}:1:1", none.display()), &["error", "cannot read"]);
    expect_fault(&finished, &format!("{}:1:1", two.display()), &["<group> is never closed"]);
    expect_fault(&finished, &format!("{}:2:3", two.display()), &["<rule> is never closed"]);
    assert!(finished.stderr.lines().last().unwrap().contains("10 errors"), "{}", finished.stderr);
}

#[test]
fn a_missing_parent_is_an_error_that_says_where_it_would_come_from() {
    let site = Site::new();
    let rule = |parent: &str| {
        format!(
            "<group name=\"own,\">\n  <rule id=\"100001\" level=\"3\">\n    <if_sid>{parent}</if_sid>\n    <description>x</description>\n  </rule>\n</group>\n"
        )
    };
    // A number that is free for everybody's own rules.
    let own = site.write("own.xml", rule("100999"));
    let finished = Task::new(["rules", "check"]).arg(&own).run().with_code(2);
    expect_fault(&finished, &format!("{}:3:13", own.display()), &["100999", "not loaded", "before this one"]);
    // One that the built-in rules have, when they are left out.
    let builtin = site.write("builtin.xml", rule("87801"));
    Task::new(["rules", "check"]).arg(&builtin).run().with_code(0);
    let finished = Task::new(["rules", "check", "--no-builtin"]).arg(&builtin).run().with_code(2);
    expect_fault(&finished, &format!("{}:3:13", builtin.display()), &["87801", "built-in"]);
    // One of the public ruleset that is not among them: its name says what it is about.
    let public = site.write("public.xml", rule("5716"));
    let finished = Task::new(["rules", "check"]).arg(&public).run().with_code(2);
    expect_fault(&finished, &format!("{}:3:13", public.display()), &["5716", "sshd"]);
    // The order of files counts: that of their bare names, as the reference has it.
    let text = rule("80254").replace("100001", "100999");
    let later = site.write("z_parent.xml", &text);
    let finished = Task::new(["rules", "check"]).arg(&later).arg(&own).run().with_code(2);
    expect_fault(&finished, &format!("{}:3:13", own.display()), &["later", "z_parent.xml:2", "rename"]);
    let earlier = site.write("a_parent.xml", text);
    Task::new(["rules", "check"]).arg(&own).arg(&earlier).run().with_code(0);
}

#[test]
fn no_text_of_rules_harms() {
    let site = Site::new();
    let mut variables = String::from("<var name=\"V0\">aaaaaaaaaa</var>\n");
    for level in 1..30 {
        let body = format!("$V{}", level - 1).repeat(10);
        variables.push_str(&format!("<var name=\"V{level}\">{body}</var>\n"));
    }
    variables.push_str("<group name=\"x,\"><rule id=\"100001\" level=\"3\"><match>$V29</match><description>d</description></rule></group>");
    let mut entities = String::from("<!DOCTYPE x [<!ENTITY e0 \"lol\">");
    for level in 1..30 {
        let body = format!("&e{};", level - 1).repeat(10);
        entities.push_str(&format!("<!ENTITY e{level} \"{body}\">"));
    }
    entities.push_str("]>\n<group name=\"x,\"><rule id=\"100001\" level=\"3\"><match>&e29;</match><description>d</description></rule></group>");
    let rule = |match_: &str| {
        format!(
            "<group name=\"x,\"><rule id=\"100001\" level=\"3\"><match>{match_}</match><description>d</description></rule></group>"
        )
    };
    let texts: [(&str, Vec<u8>); 9] = [
        ("variables within variables", variables.into()),
        ("entities within entities", entities.into()),
        (
            "an external entity",
            b"<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/hostname\">]><group name=\"&e;\"></group>"
                .to_vec(),
        ),
        ("deep nesting", "<group name=\"x,\">".repeat(100_000).into()),
        ("deep elements", "<a>".repeat(100_000).into()),
        ("an endless attribute", format!("<group name=\"{}", "x".repeat(5 << 20)).into()),
        ("an endless pattern", rule(&"(a*)*".repeat(100_000)).into()),
        ("no text", (0..=255).cycle().take(300_000).collect()),
        ("half a tag", b"<group name=\"x,\"><rule id=\"1000".to_vec()),
    ];
    for (what, text) in texts {
        let path = site.write("harm.xml", text);
        let finished = Task::new(["rules", "check"]).arg(&path).run();
        assert_eq!(finished.code, 2, "{what}: {}{}", finished.stdout, finished.stderr);
        assert!(finished.stderr.contains("harm.xml:"), "{what} has no place: {}", finished.stderr);
        assert!(finished.stderr.len() < 1 << 20, "{what}: {} bytes of faults", finished.stderr.len());
        assert!(finished.peak_bytes < 500 << 20, "{what}: {} MiB", finished.peak_bytes >> 20);
    }
}

#[test]
fn every_fault_of_a_configuration_is_told_at_once() {
    let site = Site::new();
    let path = site.write(
        "bad.yaml",
        r#"data_dir: /tmp/x
worker: 4
listen: nowhere
limits:
  in_flight_bites: 4MiB
  journal_bytes: lots
sources:
- {name: a, type: file, source: json, paths: [x]}
- {name: a, type: http, tokens: ["${env:TLD_TEST_NOT_SET}", "plain-secret"]}
- {name: c, type: fifo}
- {type: file, source: json, paths: [x]}
sinks:
- {name: s, type: file}
"#,
    );
    let finished = Task::new(["config", "check", "-c"]).arg(&path).run().with_code(2);
    let at = |place: &str| format!("{}:{place}", path.display());
    expect_fault(&finished, &at("2:1"), &["unknown key", "worker", "did you mean `workers`"]);
    expect_fault(&finished, &at("3:9"), &["address", "nowhere"]);
    expect_fault(&finished, &at("5:3"), &["in_flight_bites", "did you mean `in_flight_bytes`"]);
    expect_fault(&finished, &at("6:18"), &["size", "lots"]);
    expect_fault(&finished, &at("9:35"), &["TLD_TEST_NOT_SET", "not set"]);
    expect_fault(&finished, &at("10:19"), &["fifo", "did you mean `file`"]);
    expect_fault(&finished, &at("11:3"), &["`name` is missing"]);
    expect_fault(&finished, &at("13:3"), &["`path` is missing"]);
    assert!(!finished.stderr.contains("plain-secret"), "{}", finished.stderr);

    // `run` says the same and does not begin.
    let run = Task::new(["run", "-c"]).arg(&path).run().with_code(2);
    expect_fault(&run, &at("2:1"), &["did you mean `workers`"]);
}

#[test]
fn values_come_from_elsewhere_and_secrets_stay_there() {
    let site = Site::new();
    site.write("token", "secret-of-file\n");
    let yaml = "data_dir: ${env:TLD_TEST_DATA:-/tmp/default}\n\
                sources:\n\
                - name: push\n  \
                  type: http\n  \
                  tokens: [\"${env:TLD_TEST_TOKEN}\", \"${file:token}\", \"${exec:echo secret-of-command}\"]\n";
    let path = site.write("good.yaml", yaml);
    let check =
        || Task::new(["config", "check", "-c"]).arg(&path).env("TLD_TEST_TOKEN", "secret-of-environment");
    let finished = check().run().with_code(0);
    assert!(
        finished.stdout.contains("/tmp/default") && finished.stdout.contains("3 tokens"),
        "{}",
        finished.stdout
    );
    assert!(!format!("{finished:?}").contains("secret-of"), "{finished:?}");
    let finished = check().env("TLD_TEST_DATA", "/tmp/given").run().with_code(0);
    assert!(finished.stdout.contains("/tmp/given"), "{}", finished.stdout);

    // Whatever is wrong around them, they are not quoted.
    for (from, to) in [
        ("echo secret-of-command", "echo secret-of-command; exit 3"),
        ("type: http", "type: htttp"),
        ("tokens:", "toekns:"),
        ("- name: push", "- name: push push"),
        ("tokens: [", "tokens: [[\"secret-of-text\"], "),
        ("\"]", "\""),
    ] {
        site.write("good.yaml", yaml.replace(from, to));
        let finished = check().run().with_code(2);
        let quoted = ["secret-of-file\n", "secret-of-environment", "secret-of-text"];
        assert!(
            quoted.iter().all(|secret| !finished.stderr.contains(secret.trim())),
            "{to}: {}",
            finished.stderr
        );
    }
}

#[test]
fn no_text_of_a_configuration_harms() {
    let site = Site::new();
    let mut aliases = String::from("a0: &a0 [x]\n");
    for level in 1..30 {
        let body = vec![format!("*a{}", level - 1); 10].join(", ");
        aliases.push_str(&format!("a{level}: &a{level} [{body}]\n"));
    }
    for (what, text) in [
        ("aliases within aliases", aliases.into_bytes()),
        ("deep nesting", "[".repeat(100_000).into()),
        ("no text", (0..=255).cycle().take(100_000).collect()),
        ("two documents", b"workers: 1\n---\nworkers: 2\n".to_vec()),
        ("a key twice", b"workers: 1\nworkers: 2\n".to_vec()),
        ("a tab", b"log:\n\tlevel: info\n".to_vec()),
    ] {
        let path = site.write("harm.yaml", text);
        let finished = Task::new(["config", "check", "-c"]).arg(&path).run();
        assert_eq!(finished.code, 2, "{what}: {}{}", finished.stdout, finished.stderr);
        assert!(finished.stderr.contains("harm.yaml:"), "{what} has no place: {}", finished.stderr);
        assert!(finished.stderr.len() < 1 << 20, "{what}: {} bytes of faults", finished.stderr.len());
    }
    Task::new(["config", "check", "-c", "/nonexistent/x.yaml"]).run().with_code(2);
}

#[test]
fn help_shows_every_command() {
    let help = Task::new(["--help"]).run().with_code(0).stdout;
    for command in ["run", "scan", "logtest", "rules", "config"] {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "{command}:\n{help}"
        );
        let own = Task::new([command, "--help"]).run().with_code(0).stdout;
        assert!(own.contains("Usage: threatlockdown"), "{own}");
    }
    for (command, words) in [("run", ["--once", "Exit codes"]), ("scan", ["--stats", "Exit codes"])] {
        let own = Task::new([command, "--help"]).run().with_code(0).stdout;
        assert!(words.iter().all(|word| own.contains(word)), "{own}");
    }
    Task::new(["--version"]).run().with_code(0);
    Task::new(["no-such-command"]).run().with_code(2);
}

#[test]
fn sigma_rules_that_can_never_fire_are_told() {
    let site = Site::new();
    let rule = |title: &str, logsource: &str, field: &str| {
        format!(
            "title: {title}\nid: {title}\nlogsource: {{{logsource}}}\ndetection:\n  s: {{{field}: x}}\n  condition: s\n"
        )
    };
    let (trail, windows) =
        ("product: aws, service: cloudtrail", "product: windows, category: process_creation");
    let good = site.write("good.yml", rule("good", trail, "eventName"));
    let silent = site.write("silent.yml", rule("silent", trail, "src_country"));
    let homeless = site.write("homeless.yml", rule("homeless", windows, "Image"));
    let task = || Task::new(["rules", "check"]).arg(&good).arg(&silent).arg(&homeless);
    let finished = task().run().with_code(0);
    let faults: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("warning: ")).collect();
    assert!(finished.stdout.contains("3 of Sigma; 0 errors, 2 warnings"), "{}", finished.stdout);
    assert_eq!(faults.len(), 2, "{}", finished.stderr);
    expect_fault(
        &finished,
        &format!("{}:1:1", silent.display()),
        &["can never fire on aws.cloudtrail: no field src_country"],
    );
    let no_source =
        "can never fire: no source has the log source category: process_creation, product: windows";
    expect_fault(&finished, &format!("{}:1:1", homeless.display()), &[no_source, "docs/mappings.md"]);
    let object: serde_json::Value =
        serde_json::from_str(&task().arg("--json").run().with_code(0).stdout).unwrap();
    let sigma = &object["sigma"];
    assert_eq!(sigma["rules"], 3);
    let never = &sigma["never_fire"][0];
    assert_eq!((&never["id"], &never["source"]), (&"silent".into(), &"aws.cloudtrail".into()));
    assert_eq!((&never["missing"][0], &never["line"]), (&"src_country".into(), &1.into()));
    // Events of a bus are open, so nothing is known to be missing there.
    assert_eq!((sigma["never_fire"].as_array().unwrap().len(), &never["fires_elsewhere"]), (1, &true.into()));
    assert_eq!(sigma["no_source"][0]["logsource"]["product"], "windows");
}

#[test]
fn what_no_kafka_client_can_be_made_of_is_told_before_a_role_starts() {
    let site = Site::new();
    for (settings, wanted) in [
        ("librdkafka: {nope.nope: '1'}", "nope.nope"),
        ("librdkafka: {linger.ms: abc}", "linger.ms"),
        ("tls: {ca: DIR/none.pem}", "cannot read"),
    ] {
        site.configure(&format!("kafka: {{brokers: ['127.0.0.1:1'], {settings}}}\n"));
        let finished = Task::new(["config", "check", "-c"]).arg(site.path("config.yaml")).run().with_code(2);
        assert!(finished.stderr.contains(wanted), "{settings}: {}", finished.stderr);
    }
}
