//! Commands that end by themselves: `scan`, `logtest`, `rules check`, `config check`, `run --once`.
//!
//! Enters: arguments and what stdin gives. Leaves: exit code and both outputs. Outputs go through files, because a pipe
//! that nobody empties would stop the command.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::{DEADLINE, binary};

/// Writes what stdin gives.
type Feed = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// A command about to be run.
pub(crate) struct Task {
    command: Command,
    input: Option<Feed>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit code; panics (101) and signals (-1) are never right.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Largest resident memory, as far as it was seen.
    pub(crate) peak_bytes: u64,
}

impl Task {
    /// `threatlockdown` with these arguments.
    pub(crate) fn new<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I) -> Self {
        let mut command = Command::new(binary());
        command.args(args).env_remove("TLD_LOG");
        Self { command, input: None }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn current_dir(mut self, folder: &std::path::Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What stdin gives.
    pub(crate) fn input(self, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.stream(move |stdin| stdin.write_all(&bytes))
    }

    /// What stdin gives, written piece by piece.
    pub(crate) fn stream(
        mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Self {
        self.input = Some(Box::new(write));
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Finished {
        let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        self.command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        self.command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.spawn().unwrap();
        let feeder = self.input.take().map(|write| {
            let mut stdin = child.stdin.take().expect("stdin is a pipe");
            // A command that leaves before its input ends is no fault of the test.
            std::thread::spawn(move || write(&mut stdin).ok())
        });
        let (code, peak_bytes) = wait(&mut child, &format!("{:?}", self.command));
        if let Some(feeder) = feeder {
            feeder.join().unwrap();
        }
        let finished = Finished { code, stdout: text(&mut stdout), stderr: text(&mut stderr), peak_bytes };
        assert!(!finished.stderr.contains("panicked at"), "{:?}: {finished:?}", self.command);
        finished
    }
}

impl Finished {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        let shown: String = self.stdout.chars().take(4_000).collect();
        assert_eq!(self.code, code, "exit code; stderr:\n{}\nstdout:\n{shown}", self.stderr);
        self
    }

    /// stdout as JSON lines.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        assert!(self.stdout.is_empty() || self.stdout.ends_with('\n'), "the last line has no end");
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The last line of stderr as JSON.
    #[track_caller]
    pub(crate) fn stats(&self) -> Value {
        let last = self.stderr.lines().last().expect("stderr is empty");
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
    }
}

/// Waits for the end; the exit code and the memory's high-water mark.
fn wait(child: &mut Child, what: &str) -> (i32, u64) {
    let begin = Instant::now();
    let mut peak = 0;
    loop {
        peak = peak.max(peak_memory(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code().unwrap_or(-1), peak);
        }
        if begin.elapsed() > DEADLINE {
            child.kill().ok();
            child.wait().ok();
            panic!("{what} does not end");
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// `VmHWM` of a process, where the system tells it.
pub(crate) fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn text(file: &mut File) -> String {
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    io::copy(file, &mut bytes).unwrap();
    String::from_utf8(bytes).expect("output is UTF-8")
}
