//! Prometheus with its `promtool`: those of the path, or else those of the Debian package, unpacked into the cache.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Server;
use crate::{cache, free_ports, request};

const LONGEST_START: Duration = Duration::from_secs(60);

/// A running server that scrapes each second. Dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    server: Server,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these jobs, each at a port of loopback, and waits until it serves.
    #[must_use]
    pub fn scraping(jobs: &[(&str, u16)]) -> Self {
        let folder = tempfile::Builder::new().prefix("prometheus-").tempdir().expect("a temporary folder");
        let job = |(name, port): &(&str, u16)| {
            format!("- job_name: {name}\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n")
        };
        let jobs: String = jobs.iter().map(job).collect();
        let config = folder.path().join("prometheus.yml");
        let text = format!("global: {{scrape_interval: 1s}}\nscrape_configs:\n{jobs}");
        fs::write(&config, text).expect("its configuration");
        let [port] = free_ports();
        let mut command = Command::new(tool("prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let server = Server::start(&command, &folder.path().join("log"));
        server.wait_until("Prometheus", LONGEST_START, |_| {
            request(port, "GET", "/-/ready").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
        });
        Self { port, server, _folder: folder }
    }

    /// Its answer to an expression of letters, digits and `_{}="`, as JSON.
    #[must_use]
    pub fn query(&self, expression: &str) -> String {
        let encode = |character: char| match character {
            '{' | '}' | '"' | '=' | '~' | '+' | ' ' | '|' => format!("%{:02X}", u32::from(character)),
            other => other.to_string(),
        };
        let expression: String = expression.chars().map(encode).collect();
        let answer = request(self.port, "GET", &format!("/api/v1/query?query={expression}"));
        let answer = answer.unwrap_or_else(|error| panic!("{expression}: {error}: {}", self.server.log()));
        let begin = answer.find('{').unwrap_or_else(|| panic!("{expression}: {answer}"));
        let end = answer.rfind('}').map_or(answer.len(), |at| at + 1);
        answer[begin..end].to_owned()
    }
}

/// What `promtool check metrics` finds wrong with what a process exposes; empty where it finds nothing.
#[must_use]
pub fn check_metrics(text: &str) -> String {
    let mut promtool = Command::new(tool("promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool");
    let mut stdin = promtool.stdin.take().expect("its stdin");
    stdin.write_all(text.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() || !said.is_empty(), "promtool: {}", output.status);
    said
}

fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|tool| tool.exists());
    on_path.unwrap_or_else(|| cache::entry("prometheus", unpack).join("usr/bin").join(name))
}

/// The package as the system's own client brings it; nothing is installed.
fn unpack(folder: &Path) {
    let run = |program: &str, arguments: &[&str]| {
        let run = Command::new(program).args(arguments).current_dir(folder).output();
        let run = run.unwrap_or_else(|error| {
            panic!("this test needs Prometheus (Debian: apt-get install prometheus): {program}: {error}")
        });
        run.status.success().then_some(()).ok_or(String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let download = || run("apt-get", &["download", "--quiet", "prometheus"]);
    // Without lists of packages there is nothing to download from.
    let done = download().or_else(|_| run("apt-get", &["update", "--quiet"]).and_then(|()| download()));
    done.unwrap_or_else(|error| panic!("apt-get could not bring the package prometheus: {error}"));
    let mut packages = fs::read_dir(folder).expect("the folder").flatten().map(|entry| entry.path());
    let package = packages.find(|path| path.extension().is_some_and(|end| end == "deb"));
    let package = package.expect("a package");
    run("dpkg-deb", &["--extract", &package.display().to_string(), "."]).expect("a package to unpack");
}
