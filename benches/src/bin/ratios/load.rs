//! How long an installation's rules take to load, and the memory of a process that does nothing else.
//!
//! Enters: the folder of an installation. Leaves: seconds and MiB. The process calls itself, several times, so that each
//! load is a cold one and its peak is its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use threatlockdown_benches::home;
use threatlockdown_ruleset::load;

/// The argument with which the process calls itself.
pub(crate) const ALONE: &str = "--load-only";

/// What loading took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) least_seconds: f64,
    pub(crate) median_seconds: f64,
    /// Most memory at once.
    pub(crate) mebibytes: f64,
    /// Memory after loading.
    pub(crate) kept_mebibytes: f64,
}

/// Loads and writes seconds, peak and what is kept, for the process that called.
pub(crate) fn alone(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let texts = home::read(folder)?;
    let loaded = load(texts);
    let seconds = started.elapsed().as_secs_f64();
    let Some(program) = loaded.program else {
        let fault = loaded.diagnostics.first().map(ToString::to_string).unwrap_or_default();
        return Err(format!("{} does not load: {fault}", folder.display()).into());
    };
    drop(loaded.set);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let (peak, kept) = (kibibytes(&status, "VmHWM:"), kibibytes(&status, "VmRSS:"));
    writeln!(std::io::stdout(), "{seconds} {peak} {kept}")?;
    drop(program);
    Ok(())
}

fn kibibytes(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN)
}

/// KiB that this process has in memory.
pub(crate) fn resident() -> Result<f64, std::io::Error> {
    Ok(kibibytes(&std::fs::read_to_string("/proc/self/status")?, "VmRSS:"))
}

/// Loads in `times` processes.
pub(crate) fn measure(folder: &Path, times: usize) -> Result<Load, Box<dyn std::error::Error>> {
    let mut runs = Vec::new();
    for _ in 0..times {
        let child = Command::new(std::env::current_exe()?)
            .arg(ALONE)
            .arg(folder)
            .stderr(Stdio::inherit())
            .output()?;
        let said = String::from_utf8_lossy(&child.stdout);
        let numbers: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [seconds, peak, kept] = numbers[..] else {
            return Err(format!("loading {} alone failed", folder.display()).into());
        };
        runs.push((seconds, peak / 1024.0, kept / 1024.0));
    }
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = runs.get(runs.len() / 2).copied().unwrap_or_default();
    Ok(Load {
        least_seconds: runs.first().copied().unwrap_or_default().0,
        median_seconds: median.0,
        mebibytes: runs.iter().map(|run| run.1).fold(0.0, f64::max),
        kept_mebibytes: runs.iter().map(|run| run.2).fold(0.0, f64::max),
    })
}
