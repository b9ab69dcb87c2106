//! rsigma, in a process of its own, as the baseline: it needs a newer compiler than this workspace promises.
//!
//! Enters: a program built from `benches/rsigma` and a folder of rules. Leaves: the time that it says it took, measured
//! there without the pipe. It gets the same bytes in the same rounds as the candidate.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::chunk::Chunk;
use crate::stage::Stage;

/// See the module. It ends when its input ends.
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    rules: usize,
    text: Vec<u8>,
}

impl Peer {
    pub(crate) fn start(program: &Path, rules: &Path) -> Result<Self, String> {
        let fault = |error: std::io::Error| format!("{}: {error}", program.display());
        let mut child = Command::new(program)
            .arg(rules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(fault)?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("the peer has no output")?;
        let mut peer = Self { child, input, output: BufReader::new(output), rules: 0, text: Vec::new() };
        let [rules] = peer.numbers()?;
        peer.rules = usize::try_from(rules).unwrap_or(usize::MAX);
        Ok(peer)
    }

    /// Rules that it has loaded.
    pub(crate) fn rules(&self) -> usize {
        self.rules
    }

    fn numbers<const N: usize>(&mut self) -> Result<[u64; N], String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| format!("the peer: {error}"))?;
        let numbers: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
        numbers.ok_or_else(|| format!("the peer says {line:?}"))
    }
}

impl Stage for Peer {
    fn run(&mut self, chunk: &Chunk) -> Result<Duration, String> {
        self.text.clear();
        for (_, event) in chunk.events() {
            self.text.extend_from_slice(event);
            self.text.push(b'\n');
        }
        let input = self.input.as_mut().ok_or("the peer has no input")?;
        let sent = writeln!(input, "{}", self.text.len())
            .and_then(|()| input.write_all(&self.text))
            .and_then(|()| input.flush());
        sent.map_err(|error| format!("the peer takes no events: {error}"))?;
        let [events, nanoseconds, _matched, _matches] = self.numbers()?;
        if events != chunk.len() as u64 {
            return Err(format!("the peer took {events} events of {}", chunk.len()));
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself; this only takes note of it.
        let _ = self.child.wait();
    }
}
