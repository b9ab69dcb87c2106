//! A running `threatlockdown run`, or another role. It is killed when the test lets go of it; what it wrote to stderr stands in every
//! failure.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use super::{Client, DEADLINE, LOOK, command::peak_memory};

/// See the module.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    pub(crate) client: Client,
}

impl Daemon {
    /// Starts it. stdout and stderr go to files in `folder`, which restarts append to.
    pub(super) fn start(binary: &Path, role: &str, flags: &[&str], folder: &Path, port: u16) -> Self {
        let log = folder.join("stderr.log");
        let child = Command::new(binary)
            .arg(role)
            .args(flags)
            .current_dir(folder)
            .env_remove("TLD_LOG")
            .stdin(Stdio::null())
            .stdout(open(&folder.join("stdout.log")))
            .stderr(open(&log))
            .spawn()
            .unwrap();
        Self { child, log, client: Client::new(port) }
    }

    /// Waits until it is ready.
    #[track_caller]
    pub(crate) fn ready(mut self) -> Self {
        let client = self.client.clone();
        self.until("readiness", || {
            client.try_get("/readyz").is_ok_and(|reply| reply.status == 200).then_some(())
        });
        self
    }

    /// Asks again and again until there is an answer, as long as the process lives.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("waiting for {what}, the process ended: {status}\n{}", self.log());
            }
            assert!(begin.elapsed() < DEADLINE, "waited too long for {what}\n{}", self.log());
            std::thread::sleep(LOOK);
        }
    }

    /// Fails if it has ended.
    #[track_caller]
    pub(crate) fn runs(&mut self, what: &str) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{what}: the process ended: {status}\n{}", self.log());
        }
    }

    /// The end of what it wrote to stderr.
    pub(crate) fn log(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let skipped = text.lines().count().saturating_sub(60);
        let last: Vec<&str> = text.lines().skip(skipped).collect();
        format!("stderr ends with:\n{}", last.join("\n"))
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it ended before it was killed\n{}", self.log());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: a minimal system has no other.
        let command = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(sent.success(), "cannot send SIG{name}\n{}", self.log());
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < DEADLINE, "it does not end\n{}", self.log());
            std::thread::sleep(LOOK);
        }
    }

    /// SIGTERM, and exit code 0 after the drain.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.terminate();
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// Largest resident memory up to now, where the system tells it.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        peak_memory(self.child.id())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}
