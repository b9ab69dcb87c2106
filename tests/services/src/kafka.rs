//! Apache Kafka: one broker, or several that replicate to each other.
//!
//! Each process is broker and controller at once (KRaft). The settings are those of a small cluster that loses nothing:
//! with three brokers topics have three replicas, of which two must have a record.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::maven::{self, Artefact};
use crate::process::Server;
use crate::{Proxy, free_ports, java};

const LIBRARIES: &[Artefact] = &[
    ("org.apache.kafka", "kafka_2.13", "4.3.1"),
    ("org.apache.kafka", "kafka-tools", "4.3.1"),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),
];
const JAVA: u32 = 17;
const HEAP: &str = "384m";
/// Any will do; all brokers of a cluster have the same.
const CLUSTER: &str = "dGhyZWF0bG9ja2Rvd25fMQ";
const STARTED: &str = "Kafka Server started";
const LONGEST_START: Duration = Duration::from_secs(180);

const LOGGING: &str = r#"<Configuration status="WARN"><Appenders><Console name="c" target="SYSTEM_OUT">
<PatternLayout pattern="%d{ISO8601} %p %c{1} %m%n"/></Console></Appenders>
<Loggers><Root level="INFO"><AppenderRef ref="c"/></Root></Loggers></Configuration>
"#;

/// What is special about a cluster.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How many; 0 is one.
    pub brokers: usize,
    /// Further lines of each broker's properties; `{dir}` stands for its folder.
    pub properties: Vec<String>,
    /// Replaces `PLAINTEXT` as the protocol that clients speak: `SSL`, `SASL_SSL`, `SASL_PLAINTEXT`.
    pub protocol: Option<String>,
    /// Further arguments of formatting: `--add-scram` and a user.
    pub format: Vec<String>,
    /// Each broker has a second listener, behind a proxy: see [`Cluster::proxied`].
    pub is_proxied: bool,
}

/// A running cluster. Dropping it kills it.
#[derive(Debug)]
pub struct Cluster {
    brokers: Vec<Broker>,
    libraries: PathBuf,
    folder: TempDir,
}

#[derive(Debug)]
struct Broker {
    port: u16,
    proxy: Option<Proxy>,
    folder: PathBuf,
    server: Option<Server>,
}

impl Cluster {
    /// One broker as most tests want it.
    #[must_use]
    pub fn single() -> Self {
        Self::start(&Options::default())
    }

    /// Starts a cluster and waits until all its brokers serve.
    #[must_use]
    pub fn start(options: &Options) -> Self {
        let count = options.brokers.max(1);
        let libraries = maven::libraries("kafka", LIBRARIES);
        let folder = tempfile::Builder::new().prefix("kafka-").tempdir().expect("a temporary folder");
        let ports: Vec<[u16; 3]> = (0..count).map(|_| free_ports()).collect();
        let brokers = ports.iter().enumerate().map(|(index, [port, _, behind])| {
            let place = folder.path().join(format!("broker-{}", index + 1));
            fs::create_dir_all(&place).expect("a folder for a broker");
            let proxy = options.is_proxied.then(|| Proxy::to(*behind));
            let properties = properties(index, &ports, proxy.as_ref(), &place, options);
            fs::write(place.join("server.properties"), properties).expect("a broker's properties");
            fs::write(place.join("log4j2.xml"), LOGGING).expect("a broker's logging");
            Broker { port: *port, proxy, folder: place, server: None }
        });
        let mut cluster = Self { brokers: brokers.collect(), libraries, folder };
        cluster.format(&options.format);
        for index in 0..count {
            cluster.launch(index);
        }
        (0..count).for_each(|index| cluster.wait(index));
        cluster
    }

    /// For `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let addresses = self.brokers.iter().map(|broker| format!("127.0.0.1:{}", broker.port));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// For `bootstrap.servers` of clients that reach each broker through its proxy, and never otherwise. Brokers talk to each
    /// other directly.
    #[must_use]
    pub fn proxied(&self) -> String {
        let addresses = self.proxies().map(|proxy| format!("127.0.0.1:{}", proxy.port()));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// The proxies, one for each broker.
    pub fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.brokers.iter().filter_map(|broker| broker.proxy.as_ref())
    }

    /// The port of a broker, from 0.
    #[must_use]
    pub fn port(&self, broker: usize) -> u16 {
        self.brokers[broker].port
    }

    /// The folder of a broker, where certificates and the like may lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills a broker at once.
    pub fn kill(&mut self, broker: usize) {
        self.brokers[broker].server.take().expect("a running broker").kill();
    }

    /// Ends a broker in order: it hands over its partitions first.
    pub fn stop(&mut self, broker: usize) {
        self.brokers[broker].server.take().expect("a running broker").stop();
    }

    /// Starts a broker again, with what it had.
    pub fn restart(&mut self, broker: usize) {
        self.launch(broker);
        self.wait(broker);
    }

    /// Suspends a broker (`STOP`) or lets it go on (`CONT`).
    pub fn signal(&self, broker: usize, name: &str) {
        self.brokers[broker].server.as_ref().expect("a running broker").signal(name);
    }

    /// Runs a class of the distribution: `org.apache.kafka.tools.TopicCommand` and the like. Returns what it said.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let output = self.java().arg("-Xmx256m").arg(class).args(arguments).output().expect("java");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{class} {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    fn java(&self) -> Command {
        let mut java = Command::new(java::find(JAVA));
        java.env_remove("CLASSPATH").env("CLASSPATH", self.libraries.join("*"));
        java
    }

    /// Storage has to be formatted before the first start.
    fn format(&self, more: &[String]) {
        let run = |broker: &Broker| {
            let mut java = self.java();
            java.args(["-Xmx96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "kafka.tools.StorageTool"]);
            java.args(["format", "--cluster-id", CLUSTER, "--config"])
                .arg(broker.folder.join("server.properties"))
                .args(more);
            java.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("java")
        };
        let runs: Vec<_> = self.brokers.iter().map(run).collect();
        for run in runs {
            let output = run.wait_with_output().expect("the storage tool");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "formatting: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
    }

    fn launch(&mut self, index: usize) {
        let mut java = self.java();
        let broker = &mut self.brokers[index];
        java.args([&format!("-Xms{HEAP}"), &format!("-Xmx{HEAP}")]);
        java.args([
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
            "-Djava.awt.headless=true",
        ]);
        java.arg(format!("-Dlog4j2.configurationFile={}", broker.folder.join("log4j2.xml").display()));
        java.arg("kafka.Kafka").arg(broker.folder.join("server.properties"));
        broker.server = Some(Server::start(&java, &broker.folder.join("log")));
    }

    fn wait(&self, index: usize) {
        let server = self.brokers[index].server.as_ref().expect("a launched broker");
        server.wait_until("Kafka", LONGEST_START, |server| server.log().contains(STARTED));
    }
}

fn properties(
    index: usize,
    ports: &[[u16; 3]],
    proxy: Option<&Proxy>,
    folder: &Path,
    options: &Options,
) -> String {
    let [port, controller, behind] = ports[index];
    let (node, folder) = (index + 1, folder.display());
    let voters = ports.iter().enumerate().map(|(at, [_, port, _])| format!("{}@127.0.0.1:{port}", at + 1));
    let voters = voters.collect::<Vec<_>>().join(",");
    let (replicas, in_sync) = (ports.len().min(3), ports.len().min(2));
    // Between brokers and controllers no secrets are needed: all of them are on this machine.
    let client = options.protocol.as_deref().unwrap_or("PLAINTEXT");
    let (also_listens, also_is) = match proxy {
        Some(proxy) => {
            (format!(",PROXIED://127.0.0.1:{behind}"), format!(",PROXIED://127.0.0.1:{}", proxy.port()))
        }
        None => (String::new(), String::new()),
    };
    let mut lines = vec![
        "process.roles=broker,controller".to_owned(),
        format!("node.id={node}"),
        format!("controller.quorum.voters={voters}"),
        format!("listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{also_listens}"),
        format!("advertised.listeners=CLIENT://127.0.0.1:{port}{also_is}"),
        format!("listener.security.protocol.map=CLIENT:{client},CONTROLLER:PLAINTEXT,PROXIED:{client}"),
        "controller.listener.names=CONTROLLER".to_owned(),
        "inter.broker.listener.name=CLIENT".to_owned(),
        format!("log.dirs={folder}/data"),
        "auto.create.topics.enable=false".to_owned(),
        format!("default.replication.factor={replicas}"),
        format!("min.insync.replicas={in_sync}"),
        "unclean.leader.election.enable=false".to_owned(),
        format!("offsets.topic.replication.factor={replicas}"),
        "offsets.topic.num.partitions=4".to_owned(),
        format!("transaction.state.log.replication.factor={replicas}"),
        format!("transaction.state.log.min.isr={in_sync}"),
        "transaction.state.log.num.partitions=4".to_owned(),
        "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000".to_owned(),
        "group.initial.rebalance.delay.ms=0".to_owned(),
        "group.min.session.timeout.ms=1000".to_owned(),
        "num.network.threads=2".to_owned(),
        "num.io.threads=4".to_owned(),
        "log.cleaner.dedupe.buffer.size=8388608".to_owned(),
    ];
    let own = options.properties.iter().map(|line| line.replace("{dir}", &folder.to_string()));
    lines.extend(own);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_brokers_replicate_and_one_may_die() {
        let mut cluster = Cluster::start(&Options { brokers: 3, ..Options::default() });
        let topics = "org.apache.kafka.tools.TopicCommand";
        let bootstrap = cluster.bootstrap();
        let run = |cluster: &Cluster, arguments: &[&str]| {
            cluster.tool(topics, &[&["--bootstrap-server", &bootstrap], arguments].concat())
        };
        let _ = run(&cluster, &["--create", "--topic", "t", "--partitions", "3"]);
        let described = run(&cluster, &["--describe", "--topic", "t"]);
        assert!(described.contains("ReplicationFactor: 3"), "{described}");
        cluster.kill(0);
        // The others notice its death when its session with the controller ends.
        let begin = std::time::Instant::now();
        while run(&cluster, &["--describe", "--topic", "t"]).contains("Leader: 1\t") {
            assert!(begin.elapsed() < LONGEST_START, "nobody takes over from the broker that died");
        }
        cluster.restart(0);
    }
}
