//! A place to run in: a scratch folder, a port, a configuration. It outlives the processes that are started on it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;

use super::{Client, Daemon, binary, json_lines};

/// See the module.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), port: free_port() }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the folder as text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, with the folders that it lies in.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Appends to a file.
    pub(crate) fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        append(&self.path(name), bytes.as_ref());
    }

    /// Writes the configuration: data folder and port are set, the rest is `yaml`, in which `DIR` is the folder.
    pub(crate) fn configure(&self, yaml: &str) {
        let folder = self.folder.path().to_str().unwrap();
        let head = format!("data_dir: {folder}/data\nlisten: 127.0.0.1:{}\n", self.port);
        self.write("config.yaml", head + &yaml.replace("DIR", folder));
    }

    /// Starts `run` with the configuration.
    pub(crate) fn start(&self) -> Daemon {
        let config = self.text("config.yaml");
        self.start_with(&["-c", &config])
    }

    /// Starts `run` with these flags alone.
    pub(crate) fn start_with(&self, flags: &[&str]) -> Daemon {
        Daemon::start(binary(), "run", flags, self.folder.path(), self.port)
    }

    /// Starts a role of a cluster with the configuration.
    pub(crate) fn start_role(&self, role: &str) -> Daemon {
        let config = self.text("config.yaml");
        self.start_role_with(role, &["-c", &config])
    }

    /// Starts a role of a cluster with these flags alone.
    pub(crate) fn start_role_with(&self, role: &str, flags: &[&str]) -> Daemon {
        Daemon::start(binary(), role, flags, self.folder.path(), self.port)
    }

    /// Starts a role of a cluster of another release, with the configuration.
    pub(crate) fn start_role_of(&self, release: &Path, role: &str) -> Daemon {
        let config = self.text("config.yaml");
        Daemon::start(release, role, &["-c", &config], self.folder.path(), self.port)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.port)
    }

    /// The alerts of a file sink that writes to `alerts.jsonl`; nobody may be writing.
    #[track_caller]
    pub(crate) fn alerts(&self) -> Vec<Value> {
        json_lines(&self.path("alerts.jsonl"))
    }
}

/// Appends to a file as another process would.
pub(crate) fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// A port that nobody else takes between two starts: below those that systems hand out by themselves.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 15_000 + u16::try_from(std::process::id() % 250).unwrap() * 60;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
