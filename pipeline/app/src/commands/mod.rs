//! One file for each command. A command gives its exit code, or an error that ends with code 2.

mod analyze;
mod collect;
mod compiled;
mod config_check;
mod deadletter;
mod deliver;
mod home;
mod logtest;
mod outlets;
mod process;
mod reload;
mod renewal;
mod role;
mod rule_files;
mod rule_set;
mod rules;
mod run;
mod scan;
mod sources;
mod suppressions;
mod topics;

use std::io::Write as _;
use std::process::ExitCode;

use threatlockdown_ruleset::diagnostic::Diagnostic;

use crate::cli::{Command, ConfigCommand};

/// Something kept the command from doing its work. Scripts tell it from "alerts were found" (1) by this code.
const EXIT_ERROR: u8 = 2;

/// Runs a command to its end.
pub(crate) fn execute(command: Command) -> ExitCode {
    let result = match command {
        Command::Run(args) => run::execute(&args),
        Command::Collect(args) => role::execute(role::Role::Collect, &args),
        Command::Analyze(args) => role::execute(role::Role::Analyze, &args),
        Command::Deliver(args) => role::execute(role::Role::Deliver, &args),
        Command::Scan(args) => scan::execute(&args),
        Command::Logtest(args) => logtest::execute(&args),
        Command::Rules(command) => rules::execute(&command),
        Command::Topics(command) => topics::execute(&command),
        Command::Deadletter(command) => deadletter::execute(&command),
        Command::Config(ConfigCommand::Check { config }) => config_check::execute(&config),
    };
    result.unwrap_or_else(|error| {
        report(&format!("error: {}", in_words(&error)));
        ExitCode::from(EXIT_ERROR)
    })
}

/// An error and its causes in one line, each said once: many an error says its cause itself.
fn in_words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// A line for the person at the terminal, on stderr. A closed stderr is no reason to stop.
fn report(line: &str) {
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// What the command was asked for, on stdout. Whoever reads it may stop when they have seen enough; anything else that
/// keeps it from being written is an error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to stdout"))
        }
        _ => Ok(()),
    }
}

/// All faults, errors before warnings where they stand at the same place, and how many there are.
fn report_faults(faults: &mut [Diagnostic]) {
    let key = |fault: &Diagnostic| (fault.place.file.clone(), fault.place.line, fault.place.column);
    faults.sort_by_key(key);
    let mut text = String::new();
    for fault in faults.iter() {
        text.push_str(&format!("{fault}\n"));
    }
    std::io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// `1 fault`, `2 faults`.
fn counted(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}

/// How many threads can work at once.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    #[test]
    fn says_each_cause_once() {
        let error = anyhow::anyhow!("b is gone").context("cannot read a: b is gone").context("cannot start");
        assert_eq!(super::in_words(&error), "cannot start: cannot read a: b is gone");
    }
}
