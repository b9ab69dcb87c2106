//! Roles with the rights that the documentation gives them, and new passwords and certificates while they run.
//!
//! The broker demands a certificate and a password of everybody, and enforces access rules. The rules are the commands of
//! `docs/kafka.md`, run as they stand there.

use std::fs;
use std::path::{Path, PathBuf};

use threatlockdown_services::kafka::{Cluster, Options};

use crate::harness::{Daemon, Site, Task, complete_lines, repository};

const USERS: [&str; 4] = ["tld-admin", "tld-collect", "tld-analyze", "tld-deliver"];

const SECURITY: &str = "org.apache.kafka.common.security";
const RULES: &str = r#"<group name="t,">
<rule id="100900" level="7"><decoded_as>json</decoded_as><field name="event">^login$</field><description>A login</description></rule>
<rule id="100901" level="10" frequency="2" timeframe="3600"><if_matched_sid>100900</if_matched_sid><same_field>account</same_field><description>Many</description></rule>
</group>
"#;

/// Certificate and key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    fn new(name: &str) -> Self {
        let names = vec!["127.0.0.1".to_owned(), name.to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }
}

/// A broker and the files that it and its clients read.
struct Secured {
    cluster: Cluster,
    folder: tempfile::TempDir,
    broker: Identity,
}

impl Secured {
    fn start(client: &Identity, password: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Identity::new("broker");
        let place = |name: &str| folder.path().join(name).display().to_string();
        fs::write(place("broker.pem"), broker.key.clone() + &broker.certificate).unwrap();
        fs::write(place("ca.pem"), &broker.certificate).unwrap();
        fs::write(place("trust.pem"), broker.certificate.clone() + &client.certificate).unwrap();
        let login = "listener.name.client";
        let scram =
            format!("{login}.scram-sha-512.sasl.jaas.config={SECURITY}.scram.ScramLoginModule required;");
        let mut properties = store("", &place("broker.pem"), &place("trust.pem"));
        properties.extend([
            format!("{login}.ssl.client.auth=required"),
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512".to_owned(),
            "sasl.mechanism.inter.broker.protocol=PLAIN".to_owned(),
            format!("{login}.plain.sasl.jaas.config={} user_broker=\"of-broker\";", plain()),
            scram,
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
            "super.users=User:broker;User:ANONYMOUS".to_owned(),
        ]);
        let user = |user: &&str| {
            ["--add-scram".to_owned(), format!("SCRAM-SHA-512=[name={user},password={password}]")]
        };
        let format = USERS.iter().flat_map(user).collect();
        let protocol = Some("SASL_SSL".to_owned());
        let cluster = Cluster::start(&Options { properties, protocol, format, ..Options::default() });
        let admin = store("", &place("broker.pem"), &place("trust.pem"));
        let login = ["security.protocol=SASL_SSL".to_owned(), "sasl.mechanism=PLAIN".to_owned()];
        let jaas = format!("sasl.jaas.config={};", plain());
        fs::write(place("admin.properties"), [&admin[..], &login[..], &[jaas]].concat().join("\n")).unwrap();
        Self { cluster, folder, broker }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let new = self.place(&format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.place(name)).unwrap();
    }

    /// Runs a tool as the administrator, several calls at once.
    fn tools(&self, class: &str, calls: &[Vec<String>]) {
        let properties = self.place("admin.properties").display().to_string();
        let access = ["--bootstrap-server", &self.cluster.bootstrap(), "--command-config", &properties]
            .map(str::to_owned);
        for some in calls.chunks(4) {
            std::thread::scope(|scope| {
                for call in some {
                    let arguments = [&access[..], call].concat();
                    scope.spawn(move || {
                        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                        drop(self.cluster.tool(class, &arguments));
                    });
                }
            });
        }
    }

    /// A site for a role, with what lets it in.
    fn site(&self, role: &str, more: &str) -> Site {
        let site = Site::new();
        let place = |name: &str| self.place(name).display().to_string();
        site.configure(&format!(
            "workers: 1
kafka:
  brokers: [\"{}\"]
  instance: {role}
  tls: {{ca: {}, certificate: {}, key: {}}}
  sasl: {{mechanism: SCRAM-SHA-512, username: tld-{role}, password: \"${{file:{}}}\"}}
  topics: {{partitions: 2, correlate_partitions: 2, sources: [json]}}
{more}",
            self.cluster.bootstrap(),
            place("ca.pem"),
            place("client.pem"),
            place("client.key"),
            place("password"),
        ));
        site
    }
}

fn store(prefix: &str, own: &str, trust: &str) -> Vec<String> {
    vec![
        format!("{prefix}ssl.keystore.type=PEM"),
        format!("{prefix}ssl.keystore.location={own}"),
        format!("{prefix}ssl.truststore.type=PEM"),
        format!("{prefix}ssl.truststore.location={trust}"),
    ]
}

fn plain() -> String {
    format!("{SECURITY}.plain.PlainLoginModule required username=\"broker\" password=\"of-broker\"")
}

/// The commands of the documentation, without the program and the way in.
fn documented() -> Vec<Vec<String>> {
    let text = fs::read_to_string(repository().join("docs/kafka.md")).unwrap();
    let calls = text.lines().filter_map(|line| line.strip_prefix("kafka-acls.sh $KAFKA "));
    let calls: Vec<Vec<String>> = calls
        .map(|call| call.split(' ').map(str::to_owned).chain(["--force".to_owned()]).collect())
        .collect();
    assert!(calls.len() > 10, "the documentation lists rights");
    calls
}

fn line(user: u32) -> String {
    format!("{{\"event\":\"login\",\"account\":\"u{user}\"}}\n")
}

/// Waits until the file of alerts has so many.
fn until(deliver: &mut Daemon, path: &Path, count: usize) {
    deliver.until(&format!("{count} alerts"), || (complete_lines(path).len() >= count).then_some(()));
}

#[test]
fn roles_with_the_documented_rights_take_over_new_passwords_and_certificates() {
    let (first, second) = (Identity::new("first"), Identity::new("second"));
    let mut secured = Secured::start(&first, "old-secret");
    secured.write("client.pem", &first.certificate);
    secured.write("client.key", &first.key);
    secured.write("password", "old-secret");
    secured.tools("org.apache.kafka.tools.AclCommand", &documented());

    let shared = Site::new();
    shared.write("rules/a.xml", RULES);
    let source = format!(
        "sources:
- {{name: app, type: file, source: json, paths: [\"{}\"]}}
- {{name: far, type: file, source: json, paths: [\"{}\"], shared: true}}
",
        shared.text("in.log"),
        shared.text("far.log"),
    );
    let sinks = "sinks: [{name: alerts, type: file, path: DIR/alerts.jsonl}, {name: soc, type: topic}]\n";
    let admin = secured.site("admin", &format!("{source}{sinks}"));
    drop(Task::new(["topics", "create", "-c"]).arg(admin.path("config.yaml")).run().with_code(0));
    let publish =
        Task::new(["rules", "publish"]).arg(shared.path("rules")).arg("-c").arg(admin.path("config.yaml"));
    drop(publish.run().with_code(0));
    let sites = [
        ("deliver", secured.site("deliver", sinks)),
        ("analyze", secured.site("analyze", "state: {idle: 2s}\n")),
        ("collect", secured.site("collect", &source)),
    ];
    let mut roles: Vec<Daemon> = sites.iter().map(|(role, site)| site.start_role(role).ready()).collect();
    let alerts = sites[0].1.path("alerts.jsonl");
    // Both a source of the instance and one that copies share.
    let input = |user| shared.append(if user % 2 == 0 { "in.log" } else { "far.log" }, line(user));
    input(1);
    input(1);
    input(2);
    // Two of a user are one more alert.
    until(&mut roles[0], &alerts, 4);

    // Who may write may not read.
    let curious = secured.site("collect", "");
    let listed = Task::new(["deadletter", "list", "-c"]).arg(curious.path("config.yaml")).run();
    let refused = listed.with_code(2);
    assert!(refused.stderr.contains("refused by the brokers"), "{}", refused.stderr);

    // One after the other, as an operator does it. The broker trusts the first one no longer once it starts again.
    let change = |user: &&str| {
        let words = [
            "--alter",
            "--entity-type",
            "users",
            "--entity-name",
            user,
            "--add-config",
            "SCRAM-SHA-512=[password=new-secret]",
        ];
        words.map(str::to_owned).to_vec()
    };
    secured.tools("kafka.admin.ConfigCommand", &USERS.iter().map(change).collect::<Vec<_>>());
    secured.write("trust.pem", &(secured.broker.certificate.clone() + &second.certificate));
    secured.write("client.pem", &second.certificate);
    secured.write("client.key", &second.key);
    secured.write("password", "new-secret");
    input(3);
    until(&mut roles[0], &alerts, 5);
    secured.cluster.stop(0);
    secured.cluster.restart(0);
    input(2);
    input(4);
    // The second one of a user is counted with the first, from before all this.
    until(&mut roles[0], &alerts, 8);
    for role in roles.into_iter().rev() {
        role.stop();
    }
    assert_eq!(complete_lines(&alerts).len(), 8);
    // The password of before does not open anything now.
    secured.write("password", "old-secret");
    let late = Task::new(["topics", "check", "-c"]).arg(admin.path("config.yaml")).run().with_code(2);
    assert!(
        late.stderr.contains("refused by the brokers") || late.stderr.contains("cannot reach"),
        "{}",
        late.stderr
    );
}
