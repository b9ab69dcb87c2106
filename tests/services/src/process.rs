//! A server's process.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// A server that does not end by then after it was asked to is killed.
const GRACE: Duration = Duration::from_secs(30);

/// Starts the server in its own session, tells its process id, and waits for a word or for the end of the test, which
/// closes the pipe; so no server outlives its test, however that ends.
const WATCH: &str = r#"
exec 3>&1
"$@" </dev/null >>"$LOG" 2>&1 3>&- &
server=$!
echo "$server" >&3
exec 3>&- >/dev/null 2>&1
read -r _
kill -KILL "$server"
wait "$server"
"#;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    watch: Child,
    word: Option<ChildStdin>,
    pid: u32,
    log: PathBuf,
}

impl Server {
    /// Starts a command; what it writes goes to the log.
    #[must_use]
    pub fn start(command: &Command, log: &Path) -> Self {
        File::create(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let mut watch = Command::new("sh");
        watch.args(["-c", WATCH, "server"]).arg(command.get_program()).args(command.get_args());
        watch.env("LOG", log);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => watch.env(name, value),
                None => watch.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            watch.current_dir(folder);
        }
        let mut watch = watch.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let word = watch.stdin.take();
        let mut line = String::new();
        let stdout = watch.stdout.take().expect("its stdout");
        BufReader::new(stdout).read_line(&mut line).expect("the process id");
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("no process id: {line:?}"));
        Self { watch, word, pid, log: log.to_owned() }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until it is ready.
    pub fn wait_until(&self, what: &str, longest: Duration, mut is_ready: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !is_ready(self) {
            let tail = || {
                let log = self.log();
                let lines: Vec<&str> = log.lines().rev().take(40).collect();
                lines.into_iter().rev().collect::<Vec<_>>().join("\n")
            };
            assert!(self.is_running(), "{what}: the server has ended:\n{}", tail());
            assert!(started.elapsed() < longest, "{what}: not within {longest:?}:\n{}", tail());
            std::thread::sleep(LOOK);
        }
    }

    /// Whether it runs; a dead one that nobody has looked after does not.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        state.is_some_and(|state| !"ZX".contains(state))
    }

    /// Sends a signal by name: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name} {}", self.pid);
    }

    /// Asks it to end, and waits for that.
    pub fn stop(self) {
        self.signal("TERM");
        let asked = Instant::now();
        while self.is_running() && asked.elapsed() < GRACE {
            std::thread::sleep(LOOK);
        }
    }

    /// `kill -9`.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut word) = self.word.take() {
            let _ = word.write_all(b"end\n");
        }
        let _ = self.watch.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_writes_its_log_and_ends_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo it is $NAME; sleep 1000"]).env("NAME", "up");
        let server = Server::start(&command, &folder.path().join("log"));
        server.wait_until("the first line", Duration::from_secs(30), |server| {
            server.log().contains("it is up")
        });
        let pid = server.pid();
        assert!(server.is_running());
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    #[should_panic(expected = "the server has ended")]
    fn one_that_ends_at_once_is_told_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&Command::new("false"), &folder.path().join("log"));
        server.wait_until("nothing", Duration::from_secs(30), |_| false);
    }
}
