//! What processes use, as the system tells it.
//!
//! Enters: the number of a process. Leaves: its processor time, as a whole and by thread, and its memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::Fault;

/// Ticks of a second in `/proc`, the same on all machines.
const TICKS: u64 = 100;

/// Processor time of a process, threads that ended included.
pub(crate) fn of(process: u32) -> Result<Duration, Fault> {
    Ok(fields(&fs::read_to_string(format!("/proc/{process}/stat"))?, [11, 12]))
}

/// Processor time of the processes that this one started and waited for.
pub(crate) fn of_ended() -> Result<Duration, Fault> {
    Ok(fields(&fs::read_to_string("/proc/self/stat")?, [13, 14]))
}

/// Two fields of a process's line, counted behind its name.
fn fields(line: &str, at: [usize; 2]) -> Duration {
    let behind = line.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = behind.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
    let ticks: u64 = at.iter().filter_map(|at| fields.get(*at)).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// Processor time of the threads that run, by name.
pub(crate) fn by_thread(process: u32) -> Result<BTreeMap<String, Duration>, Fault> {
    let mut all = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        let (Ok(name), Ok(times)) =
            (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("schedstat")))
        else {
            continue;
        };
        let nanoseconds = times.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
        *all.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(nanoseconds);
    }
    Ok(all)
}

/// MiB that a process has in memory, and the most that it had.
pub(crate) fn memory(process: u32) -> Result<(f64, f64), Fault> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN) / 1024.0
    };
    Ok((of("VmRSS:"), of("VmHWM:")))
}
