//! `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}` and `${exec:CMD}` inside the values of a configuration.
//!
//! Enters: the tree as written. Leaves: the same tree with `text` of each scalar filled in, and a fault for each
//! reference that cannot be resolved. Only values are replaced, never keys, and the replacement is not looked at
//! again: a secret that happens to hold `${` stays as it is. Messages show what was written, never what came of it.

use std::cell::RefCell;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::ir::Place;

use super::tree::{Node, Scalar, Value};

/// How long `${exec:…}` may take.
const EXEC_DEADLINE: Duration = Duration::from_secs(10);
/// The most that a file or a command may give: these are tokens and names, not data.
const MAX_VALUE_BYTES: u64 = 1024 * 1024;
const FORMS: &str =
    "use ${env:NAME}, ${env:NAME:-default}, ${file:PATH} or ${exec:COMMAND}; write $${ for a plain ${";

/// What a message about a value may quote: nothing of a secret, not even its `:-default`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Text,
    Nothing,
}

/// Where references are looked up.
pub(crate) struct Lookup<'a> {
    /// The environment; a function so that tests need not change that of the process.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    /// The folder that relative `${file:…}` paths start from: that of the configuration file.
    pub(crate) base: PathBuf,
    /// The files that values came from.
    pub(crate) files: RefCell<Vec<PathBuf>>,
}

impl Lookup<'_> {
    /// Replaces the references in all values below `node`.
    pub(crate) fn resolve(&self, node: &mut Node, faults: &mut Vec<Diagnostic>) {
        self.walk(node, Shown::Text, faults);
    }

    fn walk(&self, node: &mut Node, shown: Shown, faults: &mut Vec<Diagnostic>) {
        let place = node.place.clone();
        match &mut node.value {
            Value::Scalar(scalar) => {
                let first = faults.len();
                self.resolve_scalar(scalar, &place, faults);
                scalar.unresolved = faults.len() > first;
                if shown == Shown::Nothing {
                    faults[first..].iter_mut().for_each(|fault| fault.text.clear());
                }
            }
            Value::Sequence(items) => items.iter_mut().for_each(|item| self.walk(item, shown, faults)),
            Value::Mapping(pairs) => {
                for (key, value) in pairs {
                    let secret = key.as_scalar().is_some_and(|key| key.written.starts_with("token"));
                    self.walk(value, if secret { Shown::Nothing } else { shown }, faults);
                }
            }
        }
    }

    fn resolve_scalar(&self, scalar: &mut Scalar, place: &Place, faults: &mut Vec<Diagnostic>) {
        if !scalar.written.contains("${") {
            return;
        }
        let written = &scalar.written;
        let mut text = String::new();
        let mut at = 0;
        while let Some(found) = written[at..].find("${") {
            let start = at + found;
            if written[..start].ends_with('$') {
                // `$${`: the first dollar sign is the escape, the rest stands.
                text.push_str(&written[at..start - 1]);
                text.push_str("${");
                at = start + 2;
                continue;
            }
            text.push_str(&written[at..start]);
            let Some(end) = closing(written, start + 2) else {
                let message = "a reference without its closing brace";
                faults.push(fault(scalar, place, start, &written[start..], message, FORMS));
                return;
            };
            match self.value(&written[start + 2..end]) {
                Ok(value) => text.push_str(&value),
                Err((message, help)) => {
                    faults.push(fault(scalar, place, start, &written[start..=end], &message, &help));
                }
            }
            at = end + 1;
        }
        text.push_str(&written[at..]);
        scalar.text = text;
    }

    /// What `${reference}` stands for, or what is wrong and what to do.
    fn value(&self, reference: &str) -> Result<String, (String, String)> {
        let (form, argument) = reference.split_once(':').unwrap_or((reference, ""));
        match form {
            _ if argument.is_empty() => Err(("a reference to nothing".into(), FORMS.into())),
            "env" => self.env(argument),
            "file" => {
                let path = self.base.join(argument);
                let value = read_file(&path);
                self.files.borrow_mut().push(path);
                value
            }
            "exec" => execute(argument),
            _ => Err(("no such kind of reference".into(), FORMS.into())),
        }
    }

    fn env(&self, argument: &str) -> Result<String, (String, String)> {
        let (name, default) = match argument.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (argument, None),
        };
        match ((self.env)(name), default) {
            (Some(value), None) => Ok(value),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value),
            (_, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err((
                format!("the environment variable `{name}` is not set"),
                format!("set it, or give a default: ${{env:{name}:-default}}"),
            )),
        }
    }
}

/// The brace that closes the reference whose inside starts at `from`; braces inside count, so that commands may hold
/// them.
fn closing(text: &str, from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn fault(scalar: &Scalar, place: &Place, start: usize, text: &str, message: &str, help: &str) -> Diagnostic {
    let mut place = place.clone();
    // In a text over several lines the column of a reference is not known; then the value's own place serves.
    if !scalar.written.contains('\n') {
        let before = scalar.written[..start].chars().count();
        place.column += scalar.quote + u32::try_from(before).unwrap_or(0);
    }
    Diagnostic::error(place, text, message, help)
}

fn read_file(path: &Path) -> Result<String, (String, String)> {
    let shown = path.display();
    let read = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MAX_VALUE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = read.map_err(|error| {
        (
            format!("cannot read {shown}: {error}"),
            "a relative path starts at the configuration file".to_owned(),
        )
    })?;
    as_value(bytes, &format!("{shown}"))
}

fn execute(command: &str) -> Result<String, (String, String)> {
    let failed = |what: String| (what, "run the command by hand with `sh -c` to see why".to_owned());
    let late = || failed(format!("the command took longer than {} s", EXEC_DEADLINE.as_secs()));
    let deadline = Instant::now() + EXEC_DEADLINE;
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("cannot start `sh`: {error}")))?;
    let output = read_aside(child.stdout.take()).recv_timeout(EXEC_DEADLINE);
    let too_much = matches!(&output, Ok(Ok(bytes)) if bytes.len() as u64 > MAX_VALUE_BYTES);
    if output.is_err() || too_much {
        child.kill().ok();
    }
    let status = wait_until(&mut child, deadline).map_err(|error| failed(format!("cannot wait: {error}")))?;
    let bytes =
        output.map_err(|_| late())?.map_err(|error| failed(format!("cannot read output: {error}")))?;
    match status {
        None => Err(late()),
        Some(status) if !too_much && !status.success() => {
            Err(failed(format!("the command failed, {status}")))
        }
        Some(_) => as_value(bytes, "the command's output"),
    }
}

/// Reads a pipe in a thread of its own, because a command may keep its output open beyond the deadline. The thread ends
/// with the pipe and is not waited for.
fn read_aside(pipe: Option<ChildStdout>) -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |pipe| pipe.take(MAX_VALUE_BYTES + 1).read_to_end(&mut bytes));
        sender.send(read.map(|_| bytes)).ok();
    });
    receiver
}

/// The exit status; `None` when the child had to be killed at the deadline. Asks again and again, because the standard
/// library has no wait with a limit.
fn wait_until(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Text without its last line end. Bytes that are not UTF-8 are refused, not replaced: they would be a wrong secret.
fn as_value(bytes: Vec<u8>, what: &str) -> Result<String, (String, String)> {
    if bytes.len() as u64 > MAX_VALUE_BYTES {
        return Err((format!("{what} is larger than 1 MiB"), "refer to a single value".into()));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| {
        (format!("{what} is not UTF-8 text"), String::from("encode the value, for example as base64"))
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}
