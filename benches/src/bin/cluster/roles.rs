//! The product's roles as processes.
//!
//! Enters: the binary, a configuration, the name of a role. Leaves: a process that is ready, and ends when it is dropped.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use threatlockdown_services::free_ports;

use crate::Fault;

const LONGEST_START: Duration = Duration::from_secs(60);
const LONGEST_END: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// A folder, and the binary that is run in it.
pub(crate) struct Roles {
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) brokers: String,
    pub(crate) partitions: u32,
    pub(crate) compression: Option<String>,
}

impl Roles {
    /// The file that `collect` and `scan` read.
    pub(crate) fn corpus(&self) -> PathBuf {
        self.folder.join("corpus.log")
    }

    fn configure(&self, instance: &str, workers: usize, port: u16) -> Result<PathBuf, Fault> {
        let (folder, brokers) = (self.folder.display(), &self.brokers);
        let setting = self
            .compression
            .as_ref()
            .map_or(String::new(), |name| format!("  librdkafka: {{compression.type: {name}}}\n"));
        let text = format!(
            "data_dir: {folder}/data-{instance}
listen: 127.0.0.1:{port}
workers: {workers}
kafka:
  brokers: [\"{brokers}\"]
  instance: {instance}
  topics: {{partitions: {}, sources: [aws.cloudtrail]}}
{setting}sources: [{{name: trail, type: file, source: aws.cloudtrail, paths: [\"{}\"]}}]
sinks: [{{name: alerts, type: file, path: {folder}/alerts.jsonl}}]
",
            self.partitions,
            self.corpus().display(),
        );
        let path = self.folder.join(format!("{instance}.yaml"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Starts a role and waits until it is ready.
    pub(crate) fn start(&self, role: &str, instance: &str, workers: usize) -> Result<Running, Fault> {
        let [port] = free_ports();
        let config = self.configure(instance, workers, port)?;
        let log = self.folder.join(format!("{instance}.stderr"));
        let child = Command::new(&self.binary)
            .args([role, "-c"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut running = Running { child: Some(child), log };
        let began = Instant::now();
        while !is_ready(port) {
            running.look()?;
            if began.elapsed() > LONGEST_START {
                return Err(format!("{role} does not start:\n{}", running.said()).into());
            }
            std::thread::sleep(LOOK);
        }
        Ok(running)
    }

    /// Makes the topics.
    pub(crate) fn topics(&self) -> Result<(), Fault> {
        let config = self.configure("topics", 1, 1)?;
        let output = Command::new(&self.binary).args(["topics", "create", "-c"]).arg(config).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(())
    }

    /// Runs `scan` over a file.
    pub(crate) fn scan(&self, path: &Path) -> Result<(), Fault> {
        let status = Command::new(&self.binary)
            .args(["scan", "--source", "aws.cloudtrail"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(File::create(self.folder.join("scan.jsonl"))?)
            .stderr(File::create(self.folder.join("scan.stderr"))?)
            .status()?;
        // It tells by its code that there were alerts.
        if status.code().is_none_or(|code| code > 1) {
            return Err(format!("scan ended with {status}").into());
        }
        Ok(())
    }
}

fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// A process. It is killed when it is dropped.
pub(crate) struct Running {
    child: Option<Child>,
    log: PathBuf,
}

impl Running {
    pub(crate) fn process(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Whether it still runs.
    pub(crate) fn look(&mut self) -> Result<(), Fault> {
        match self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
            Some(status) => Err(format!("a process ended with {status}:\n{}", self.said()).into()),
            None => Ok(()),
        }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), Fault> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let command = format!("kill -TERM {}", child.id());
        Command::new("sh").args(["-c", &command]).status()?;
        let began = Instant::now();
        while child.try_wait()?.is_none() {
            if began.elapsed() > LONGEST_END {
                child.kill()?;
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
