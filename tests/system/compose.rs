//! `docker-compose.yml` and what it mounts: every file is there, every command is one of the binary's, and the deployment that
//! they describe alerts on the samples. Images are not built here; the roles are started as their services say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use saphyr::{LoadableYamlNode as _, Yaml};

use crate::harness::{Daemon, Site, Task, ids, repository, skip};
use crate::kafka::Topics;

const MOUNTED: &str = "/etc/threatlockdown/threatlockdown.yaml";

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// A service, with what it has in common with others put in.
struct Service<'y> {
    own: &'y Yaml<'y>,
}

impl<'y> Service<'y> {
    fn of(compose: &'y Yaml<'y>, name: &str) -> Self {
        let services = compose.as_mapping_get("services").unwrap();
        Self { own: services.as_mapping_get(name).unwrap_or_else(|| panic!("no service {name}")) }
    }

    fn get(&self, key: &str) -> Option<&'y Yaml<'y>> {
        let common = || self.own.as_mapping_get("<<").and_then(|common| common.as_mapping_get(key));
        self.own.as_mapping_get(key).or_else(common)
    }

    fn texts(&self, key: &str) -> Vec<&'y str> {
        let items = self.get(key).and_then(Yaml::as_sequence).map(Vec::as_slice).unwrap_or_default();
        items.iter().map(|item| item.as_str().unwrap()).collect()
    }
}

fn compose(text: &str) -> Yaml<'_> {
    Yaml::load_from_str(text).unwrap().remove(0)
}

#[test]
fn every_service_is_pinned_watched_and_mounts_what_is_there() {
    let text = text("docker-compose.yml");
    let compose = compose(&text);
    let volumes = compose.as_mapping_get("volumes").unwrap();
    for name in ["kafka", "opensearch", "prometheus", "topics", "collect", "analyze", "deliver"] {
        let service = Service::of(&compose, name);
        let image = service.get("image").and_then(Yaml::as_str).unwrap();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_else(|| panic!("{image} has no tag"));
        assert!(tag.contains('.') && tag != "latest", "{image}");
        for volume in service.texts("volumes") {
            let from = volume.split(':').next().unwrap();
            let is_there = match from.strip_prefix("./") {
                Some(path) => repository().join(path).exists(),
                None => volumes.as_mapping_get(from).is_some(),
            };
            assert!(is_there, "{name} mounts {from}");
        }
        if ["collect", "analyze", "deliver"].contains(&name) {
            assert_eq!(service.get("read_only").and_then(Yaml::as_bool), Some(true), "{name}");
            assert_eq!(service.texts("cap_drop"), ["ALL"], "{name}");
        }
    }
    // The roles have theirs in the image.
    let image = self::text("Dockerfile");
    assert!(
        image.contains("HEALTHCHECK")
            && image.contains("/healthz")
            && image.contains("\nUSER threatlockdown")
    );
    for name in ["kafka", "opensearch", "prometheus"] {
        let check =
            Service::of(&compose, name).get("healthcheck").and_then(|check| check.as_mapping_get("test"));
        assert!(check.is_some_and(|test| test.as_sequence().is_some_and(|words| words.len() > 1)), "{name}");
    }
    let Ok(output) = Command::new("promtool")
        .args(["check", "config"])
        .arg(repository().join("deploy/prometheus.yml"))
        .output()
    else {
        return skip("the configuration of Prometheus", "there is no promtool");
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The mounted configuration, with the names of this machine for those of the services.
fn configure(site: &Site, topics: &Topics) -> PathBuf {
    let samples = repository().join("samples");
    let config = text("deploy/threatlockdown.yaml")
        .replace("kafka:9092", &topics.cluster.bootstrap())
        .replace("/samples/", &format!("{}/", samples.display()))
        .replace("/var/lib/threatlockdown", &site.text("data"))
        .replace("listen: 0.0.0.0:7514", &format!("listen: 127.0.0.1:{}", site.port))
        // Nobody is there: the sink waits, as it does before OpenSearch is up.
        .replace("opensearch:9200", "127.0.0.1:9");
    site.write("config.yaml", config)
}

/// What a service runs, with the configuration where it lies here.
fn command(compose: &Yaml<'_>, name: &str, config: &Path) -> Vec<String> {
    let words = Service::of(compose, name).texts("command");
    assert!(words.contains(&MOUNTED), "{name}: {words:?}");
    let place =
        |word: &&str| if *word == MOUNTED { config.to_str().unwrap().to_owned() } else { (*word).to_owned() };
    words.iter().map(place).collect()
}

#[test]
fn the_services_alert_on_the_samples() {
    let text = text("docker-compose.yml");
    let compose = compose(&text);
    let topics = Topics::start();
    let sites = ["collect", "analyze", "deliver"].map(|role| (role, Site::new()));
    let mut daemons: Vec<Daemon> = Vec::new();
    for (role, site) in &sites {
        let config = configure(site, &topics);
        drop(Task::new(["config", "check", "-c"]).arg(&config).run().with_code(0));
        if daemons.is_empty() {
            drop(Task::new(command(&compose, "topics", &config)).run().with_code(0));
        }
        let words = command(&compose, role, &config);
        assert_eq!(words[0], *role);
        let flags: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        daemons.push(site.start_role_with(role, &flags).ready());
    }
    let scan = Task::new(["scan", "samples/AWSLogs", "samples/azure"]).current_dir(repository()).run();
    let wanted = ids(&scan.with_code(1).json());
    let alerts = || topics.read("threatlockdown.alerts");
    daemons[1].until("the alerts of the samples", || (alerts().len() >= wanted.len()).then_some(()));
    let found: Vec<_> = alerts().iter().map(|one| serde_json::from_slice(&one.payload).unwrap()).collect();
    assert_eq!(ids(&found), wanted);
}
