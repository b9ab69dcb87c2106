//! An event without an alert allocates nothing, once the worker's buffers have grown.
//!
//! A counting allocator is this test binary's own. Each set of events is judged twice to warm up, then counted event by
//! event, so that a failure names the events that allocate.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod folders;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::correlate::{Clock, Memory, MemoryOptions, Room};
use threatlockdown_ruleset::matcher::{Input, Scratch, Verdict};
use threatlockdown_ruleset::naive::json::Json;
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::wazuh::home::Ruleset;
use threatlockdown_ruleset::{ListText, Origin, RuleText, Texts, load};

fn loaded(texts: Texts) -> Arc<Program> {
    let loaded = load(texts);
    let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    loaded.program.unwrap_or_else(|| panic!("{}", faults.join("\n")))
}

/// A worker with its context.
struct Worker {
    program: Arc<Program>,
    scratch: Scratch,
    context: Context,
    seconds: i64,
}

impl Worker {
    fn new(program: &Arc<Program>, source: &str) -> Self {
        let options = MemoryOptions { clock: Clock::Received, ..MemoryOptions::default() };
        let facts = [("log_file", "x.json.gz"), ("s3bucket", "trail"), ("aws_account_id", "123456789012")];
        let facts = facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let context = Context {
            source: source.into(),
            connector: "test".into(),
            location: "/var/log/test".into(),
            account: None,
            envelope: if source == "aws.cloudtrail" { facts.collect() } else { Vec::new() },
            origin: "test".into(),
            origin_id: [0; 16],
        };
        let scratch = Scratch::sharing(program, Memory::new(options));
        Self { program: Arc::clone(program), scratch, context, seconds: 1_700_000_000 }
    }

    /// Whether the event gives an alert; `None`: it cannot be read.
    fn alerts(&mut self, event: &str) -> Option<bool> {
        self.seconds += 1;
        let input = Input {
            binding: self.program.binding(&self.context.source),
            record: event.as_bytes(),
            context: &self.context,
            received: Millis(self.seconds * 1000),
        };
        let alerts = |verdict: &Verdict<'_>| verdict.counts() || verdict.sigma_matches().next().is_some();
        self.program.evaluate(&mut self.scratch, &input, alerts).ok()
    }

    /// Whether the event has to do with others.
    fn is_candidate(&mut self, event: &str) -> Option<bool> {
        let input = Input {
            binding: self.program.binding(&self.context.source),
            record: event.as_bytes(),
            context: &self.context,
            received: Millis(self.seconds * 1000),
        };
        self.program.evaluate_apart(&mut self.scratch, &input, |_, candidate| candidate.is_some()).ok()
    }

    /// Judges all events, none of which may alert, until `total` are counted; none of these may allocate.
    fn allocates_nothing(&mut self, events: &[String], total: usize) {
        for event in events.iter().chain(events) {
            assert_eq!(self.alerts(event), Some(false), "{event}");
        }
        let mut report = String::new();
        let mut count = 0;
        while count < total {
            for event in events {
                let allocated = allocation_counter::measure(|| {
                    self.alerts(event);
                });
                count += 1;
                let mut is_candidate = None;
                let apart = allocation_counter::measure(|| is_candidate = self.is_candidate(event));
                if apart.count_total > 0 && is_candidate == Some(false) && report.len() < 4_000 {
                    let _ = writeln!(report, "{} apart from state in {event:.300}", apart.count_total);
                }
                if allocated.count_total > 0 && report.len() < 4_000 {
                    let _ = writeln!(report, "{} in {event:.300}", allocated.count_total);
                }
            }
        }
        assert!(report.is_empty(), "allocations with {}:\n{report}", self.context.source);
        println!("{count} events of {} without an allocation", self.context.source);
    }
}

fn rules(text: &str) -> RuleText {
    RuleText { path: "own.xml".into(), text: text.into(), origin: Origin::User }
}

/// Calls that read, with members in every form that JSON has.
fn cloudtrail() -> Vec<String> {
    let parameters = [
        "null",
        "{}",
        r#"{"bucketName":"logs","Host":"logs.s3.amazonaws.com","acl":""}"#,
        r#"{"instancesSet":{"items":[{"instanceId":"i-1"}]},"filterSet":{"items":[{"name":"tag:\"app\"","valueSet":{"items":[{"value":"\u00fcber"},{"value":1.5}]}}]}}"#,
        r#"{"maxResults":50,"size":123456789012345678,"ratio":0.25,"dryRun":false,"names":["a","b"],"one":["a"],"none":[]}"#,
        r#"{"path":"C:\\x\\y","text":"line\nline\ttab","name":"größe"}"#,
    ];
    let calls = ["ec2.DescribeInstances", "s3.GetBucketAcl", "kms.Decrypt", "sts.GetCallerIdentity"];
    let mut events = Vec::new();
    for (number, parameters) in (0..400).zip(parameters.iter().cycle()) {
        let (service, name) = calls[number % calls.len()].split_once('.').unwrap();
        events.push(format!(
            r#"{{"eventVersion":"1.09","userIdentity":{{"type":"AssumedRole","principalId":"AROA{number}:s","arn":"arn:aws:sts::123456789012:assumed-role/app/s","accountId":"123456789012","accessKeyId":"ASIA{number}","sessionContext":{{"sessionIssuer":{{"type":"Role","userName":"app"}},"attributes":{{"mfaAuthenticated":"false","creationDate":"2026-11-20T10:00:00Z"}}}}}},"eventTime":"2026-11-20T10:00:{:02}Z","eventSource":"{service}.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.{}","userAgent":"aws-cli/2.17.13","requestParameters":{parameters},"responseElements":null,"requestID":"r{number}","eventID":"e{number}","readOnly":true,"resources":[{{"accountId":"123456789012","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::b{number}"}}],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012"}}"#,
            number % 60,
            number % 250,
        ));
    }
    events
}

fn enveloped(records: &[String]) -> Vec<String> {
    let envelope = |record: &String| {
        let rest = record.strip_prefix('{').unwrap();
        format!(
            r#"{{"integration":"aws","aws":{{"log_info":{{"s3bucket":"b"}},"source":"cloudtrail",{rest}}}"#
        )
    };
    records.iter().map(envelope).collect()
}

#[test]
fn cloudtrail_records_and_their_envelopes() {
    let program = loaded(Texts::builtin());
    let records = cloudtrail();
    Worker::new(&program, "aws.cloudtrail").allocates_nothing(&records, 4_000);
    let envelopes = enveloped(&records);
    for source in ["aws.cloudtrail", "json", "syslog"] {
        Worker::new(&program, source).allocates_nothing(&envelopes, 4_000);
    }
}

/// Tests of every kind on fields that the records have, lists, escapes and nulls among them, none of which all hold.
const SIGMA: &str = r#"
title: every kind of test
logsource: {product: aws}
detection:
  names: {eventName|contains: ['Describe', 'Get', 'Decrypt']}
  lists: {resources.ARN|startswith: 'arn:aws:s3'}
  texts: {requestParameters.path|re: "^C:.x", requestParameters.text: "l*e?"}
  numbers: {requestParameters.ratio|gte: 0.25}
  nothing: {responseElements: null}
  there: {requestParameters|exists: true}
  same: {userIdentity.accountId|fieldref: recipientAccountId}
  time: {eventTime|hour: 11}
  network: {sourceIPAddress|cidr: 203.0.113.0/24}
  words: ['needle', 'n*dle']
  condition: (names and lists and nothing and there and same and network and time) or texts and numbers or words
---
title: tried with every event
logsource: {product: aws}
detection:
  a: {eventName|contains: ['Describe', 'Get', 'Decrypt']}
  condition: not a
"#;

#[test]
fn sigma_rules_that_do_not_match() {
    let mut texts = Texts::builtin();
    texts.add(RuleText { path: "own.yml".into(), text: SIGMA.into(), origin: Origin::User });
    let program = loaded(texts);
    assert_eq!(program.sigma().rules().len(), 2);
    let records = cloudtrail();
    Worker::new(&program, "aws.cloudtrail").allocates_nothing(&records, 4_000);
    Worker::new(&program, "aws.cloudtrail").allocates_nothing(&enveloped(&records), 4_000);
}

/// The service that a bus names is no part of the record that rules see.
#[test]
fn sigma_rules_that_ask_for_the_service_of_an_event_bus() {
    let rule = "title: by bus\nlogsource: {product: aws, service: cloudtrail}\n\
                detection:\n  a: {aws.source: nobody}\n  condition: a\n";
    let mut texts = Texts::builtin();
    texts.add(RuleText { path: "own.yml".into(), text: rule.into(), origin: Origin::User });
    let program = loaded(texts);
    assert_eq!(program.sigma().rules().len(), 1);
    let wrapped = (0..200).map(|number| {
        let service = if number % 3 == 0 { "" } else { r#""source":"aws.own","# };
        format!(r#"{{{service}"detail":{{"eventName":"x{number}","userAgent":"a"}}}}"#)
    });
    Worker::new(&program, "aws.eventbridge").allocates_nothing(&wrapped.collect::<Vec<_>>(), 2_000);
}

#[test]
fn records_of_other_sources() {
    let program = loaded(Texts::builtin());
    for source in ["json", "syslog", "k8s.audit", "docker", "gcp.pubsub", "aws.guardduty", "aws.eventbridge"]
    {
        let events: Vec<String> = (0..200)
            .map(|number| {
                let wrapper = if number % 2 == 0 { r#""source":"aws.own","detail":{"a":"b"},"# } else { "" };
                format!(
                    r#"{{{wrapper}"id":{number},"time":"2026-11-20T10:00:00Z","kind":"Event","user":{{"name":"u{number}","groups":["a","b"]}},"ratio":{number}.5,"text":"a \"b\" \u00fc","empty":null,"list":[{{"x":1}},{{"y":[]}}]}}"#
                )
            })
            .collect();
        Worker::new(&program, source).allocates_nothing(&events, 2_000);
    }
}

/// Rare forms, which the reader leaves to the parser.
#[test]
fn records_that_the_parser_decides_about() {
    let program = loaded(Texts::builtin());
    let records = [
        r#"{"\u0061":"b","c":{"\u00fc":[1]}}"#,
        r#"{"a":"b\u0000c","user":"\u0000"}"#,
        r#"{"a":123456789012345678901234567890,"b":0.30000000000000004}"#,
    ];
    for source in ["json", "syslog"] {
        Worker::new(&program, source).allocates_nothing(&records.map(str::to_owned), 400);
    }
}

/// The parser gives up its stack when it refuses a text, and grows it anew: a few small allocations, whatever the text.
#[test]
fn texts_that_only_look_like_json() {
    let program = loaded(Texts::builtin());
    let mut worker = Worker::new(&program, "syslog");
    let nested = |depth| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let long = format!(r#"{{{}"a":01}}"#, r#""key":["value",1.5],"#.repeat(1_000));
    for text in [
        r#"{"a":"#,
        r#"{"a":1} tail"#,
        r#"{"a":1} {"b":2}"#,
        r#"{"a":1e999,"b":-1e400,"c":[1e999]}"#,
        r#"{"a":"\ud800"}"#,
        r#"Nov 20 10:00:00 host {"a":1"#,
        "{not json}",
        &nested(500),
        &nested(5_000),
        &long,
    ] {
        for _ in 0..2 {
            assert_eq!(worker.alerts(text), Some(false), "{text:.100}");
        }
        let allocated = allocation_counter::measure(|| {
            worker.alerts(text);
        });
        assert!(
            allocated.count_total <= 16 && allocated.bytes_max <= 16 << 10,
            "{allocated:?} for {text:.100}"
        );
    }
}

const ADDRESSES: [&str; 4] = ["10.0.0.1", "203.0.113.9", "2001:db8::1", "host.example"];

/// Lines of a daemon, as its decoders know them and as they do not.
fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..200 {
        let address = ADDRESSES[number % ADDRESSES.len()];
        let message = match number % 5 {
            0 => format!("Connection closed by {address} port {number}"),
            1 => format!("Failed password for user{number} from {address} port {number} ssh2"),
            2 => format!("session opened for user u{number} by (uid={number})"),
            3 => "x".repeat(number * 7),
            _ => format!("größe \"{number}\" {{\"not\": json"),
        };
        let second = number % 60;
        lines.push(match number % 4 {
            0 => format!("Nov 20 10:00:{second:02} host sshd[{number}]: {message}"),
            1 => format!("2026-11-20T10:00:{second:02}.123456+00:00 host other: {message}"),
            2 => format!("Nov 20 10:00:{second:02} host {message}"),
            _ => message,
        });
    }
    lines
}

#[test]
fn lines_with_the_built_in_decoders() {
    Worker::new(&loaded(Texts::builtin()), "syslog").allocates_nothing(&lines(), 4_000);
}

const DECODERS: &str = r#"
<decoder name="daemon"><program_name>^sshd</program_name></decoder>
<decoder name="daemon-failed"><parent>daemon</parent><prematch>^Failed </prematch>
  <regex offset="after_prematch">^password for (\S+) from (\S+) port (\d+)</regex>
  <order>user, srcip, srcport</order></decoder>
<decoder name="daemon-opened"><parent>daemon</parent>
  <regex type="pcre2">opened for user (\w+) by \(uid=(\d+)\)</regex><order>user, uid</order></decoder>
<decoder name="bare"><prematch type="pcre2">^(?:Connection|session) </prematch>
  <regex offset="after_prematch">by (\S+) port (\d+)</regex><order>srcip, port.number</order></decoder>"#;

/// Level 0 wherever something matches, so that every condition is tried; what would alert lacks something.
const RULES: &str = r#"<group name="own,">
<rule id="100000" level="0"><decoded_as>daemon</decoded_as><description>Daemon</description></rule>
<rule id="100001" level="0"><if_sid>100000</if_sid><match>^Failed</match><description>Failed</description></rule>
<rule id="100050" level="5"><if_sid>100001</if_sid><match>COUNT ME</match><group>counted,</group><description>Counted</description></rule>
<rule id="100002" level="5"><if_sid>100001</if_sid><user>^root$</user><description>Root</description></rule>
<rule id="100003" level="5"><if_sid>100001</if_sid><srcip>192.168.0.0/16</srcip><description>Near</description></rule>
<rule id="100004" level="5"><if_sid>100001</if_sid><srcip negate="yes">any</srcip><description>No</description></rule>
<rule id="100005" level="5"><if_sid>100001</if_sid><list field="srcip" lookup="address_match_key">etc/lists/bad</list><description>Listed</description></rule>
<rule id="100006" level="5"><if_sid>100001</if_sid><list field="user" lookup="match_key_value" check_value="^worse">etc/lists/bad</list><description>Listed user</description></rule>
<rule id="100007" level="5"><if_sid>100001</if_sid><regex>port \d+ tel\w+$</regex><description>Text</description></rule>
<rule id="100008" level="5"><if_sid>100001</if_sid><regex type="pcre2">(?i)(user\d+) from \1</regex><description>Again</description></rule>
<rule id="100009" level="10" frequency="3" timeframe="600"><if_matched_sid>100050</if_matched_sid><same_srcip /><description>Many</description></rule>
<rule id="100010" level="10" frequency="8" timeframe="600"><if_matched_group>counted</if_matched_group><same_user /><different_srcip /><description>Group</description></rule>
<rule id="100011" level="5"><if_sid>100000</if_sid><field name="uid">^-1$</field><description>Field</description></rule>
<rule id="100012" level="5"><if_sid>100000</if_sid><time>3 am - 3:01 am</time><weekday>monday</weekday><match>never</match><description>Time</description></rule>
<rule id="100013" level="0"><if_sid>100000</if_sid><match>opened</match><description>Opened</description></rule>
<rule id="100014" level="10" frequency="4" timeframe="900"><if_matched_sid>100050</if_matched_sid><same_user /><global_frequency /><description>Users</description></rule>
<rule id="100015" level="10" frequency="9" timeframe="900"><if_matched_regex>Failed \w+</if_matched_regex><match>closed</match><same_srcip /><description>Texts</description></rule>
<rule id="100016" level="5"><if_sid>100000</if_sid><program_name>^other</program_name><hostname>^host$</hostname><description>Program</description></rule>
<rule id="100017" level="5"><if_sid>100000</if_sid><location>nowhere</location><description>Place</description></rule>
<rule id="100018" level="5"><if_group>own</if_group><match>never</match><description>By group</description></rule>
</group>"#;

fn own_set() -> Texts {
    let mut texts = Texts::rules_only(vec![rules(RULES)]);
    texts.decoders.push(RuleText {
        path: "own-decoders.xml".into(),
        text: DECODERS.into(),
        origin: Origin::User,
    });
    let text = "192.168.:near\n198.51.100.7:far\nuser1:bad\nuser5:bad\n".into();
    texts.lists.push(ListText { name: "etc/lists/bad".into(), path: "etc/lists/bad".into(), text });
    texts
}

#[test]
fn lines_with_captures_lists_and_counts_that_are_not_reached() {
    let program = loaded(own_set());
    let mut worker = Worker::new(&program, "syslog");
    worker.allocates_nothing(&lines(), 4_000);
    // Events to be counted are remembered, too few of them for an alert.
    for address in ["192.0.2.1", "192.0.2.2"] {
        let counted =
            format!("Nov 20 10:00:00 host sshd[1]: Failed password for u from {address} port 1 COUNT ME");
        assert_eq!(worker.alerts(&counted), Some(true));
    }
    worker.allocates_nothing(&lines(), 400);
}

#[test]
fn an_allocation_is_noticed() {
    let program = loaded(own_set());
    let mut worker = Worker::new(&program, "syslog");
    let counted = "Nov 20 10:00:00 host sshd[1]: Failed password for u from 192.0.2.1 port 1 COUNT ME";
    let allocated = allocation_counter::measure(|| assert_eq!(worker.alerts(counted), Some(true)));
    assert!(allocated.count_total > 0);
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn installation(home: &Path) -> Texts {
    let (ruleset, faults) =
        Ruleset::read(&"ossec.conf".into(), &std::fs::read(home.join("etc/ossec.conf")).unwrap());
    assert_eq!(faults, []);
    let file = |path: &PathBuf| RuleText {
        path: path.to_string_lossy().as_ref().into(),
        text: std::fs::read(path).unwrap(),
        origin: Origin::Home,
    };
    let mut texts = Texts::default();
    for folder in &ruleset.rule_folders {
        let files = files_in(&home.join(&folder.path));
        texts
            .rules
            .extend(files.iter().filter(|path| !ruleset.leaves_out_rules(&path.to_string_lossy())).map(file));
    }
    for folder in &ruleset.decoder_folders {
        texts.decoders.extend(files_in(&home.join(&folder.path)).iter().map(file));
    }
    for name in ruleset.lists.unwrap_or_default() {
        let text = std::fs::read(home.join(&name)).unwrap();
        texts.lists.push(ListText { name: name.as_str().into(), path: name.as_str().into(), text });
    }
    texts
}

/// The recorded events of the stock rules that give no alert there, with the lines above.
#[test]
fn an_installation_with_the_reference_s_own_rules() {
    let Some(folder) = folders::compat() else { return };
    let program = loaded(installation(&folder.join("homes/stock")));
    let mut events = lines();
    for file in files_in(&folder.join("cases")) {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let case = Json::parse(line.as_bytes()).unwrap();
            let Some(Json::Array(recorded)) = case.get("events") else { continue };
            events.extend(recorded.iter().filter_map(Json::as_text).map(str::to_owned));
        }
    }
    let all = events.len();
    let mut worker = Worker::new(&program, "syslog");
    events.retain(|event| worker.alerts(event) == Some(false));
    println!("{} of {all} events without an alert", events.len());
    assert!(events.len() > 300);
    worker.allocates_nothing(&events, 4_000);
    let quiet = cloudtrail();
    Worker::new(&program, "aws.cloudtrail").allocates_nothing(&quiet, 4_000);
    for source in ["json", "syslog"] {
        Worker::new(&program, source).allocates_nothing(&enveloped(&quiet), 4_000);
    }
}

/// The bound in bytes is one of the memory that is really taken, but for a twentieth.
#[test]
fn a_memory_takes_at_most_what_it_says() {
    const MAX: u64 = 8 << 20;
    let text = r#"<group name="own,">
<rule id="100100" level="3"><decoded_as>json</decoded_as><description>d</description></rule>
<rule id="100101" level="8" frequency="3" timeframe="3600"><if_matched_sid>100100</if_matched_sid><same_srcip /><different_field>k</different_field><description>d</description></rule>
</group>"#;
    let program = loaded(Texts::rules_only(vec![rules(text)]));
    let room = Room::new(MAX);
    let options = MemoryOptions { clock: Clock::Received, ..MemoryOptions::default() };
    let memory = Memory::within(options, &room);
    let mut worker = Worker::new(&program, "json");
    worker.scratch = Scratch::sharing(&program, Arc::clone(&memory));
    worker.alerts(r#"{"srcip":"first","k":"first"}"#);
    let mut most = 0;
    let mut evicted_at = None;
    let taken = allocation_counter::measure(|| {
        for number in 0..60_000 {
            let key = number % 40_000;
            // All within one window.
            worker.seconds = 1_700_000_000;
            worker.alerts(&format!(r#"{{"srcip":"host-{key}","k":"{number}"}}"#));
            most = most.max(memory.bytes());
            if memory.evicted() > 0 && evicted_at.is_none() {
                evicted_at = Some(number);
            }
        }
    });
    println!(
        "{} bytes taken, {} told, first forgotten at {evicted_at:?}",
        taken.bytes_current,
        memory.bytes()
    );
    assert!(most <= MAX && most > MAX / 2, "{most}");
    let told = i64::try_from(memory.bytes()).unwrap();
    assert!(taken.bytes_current <= told + told / 20, "{taken:?} {}", memory.bytes());
    assert!(taken.bytes_current * 2 > told, "not told far too much either");
    assert!(evicted_at.is_some_and(|number| number > 5_000));
}
